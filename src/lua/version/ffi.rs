//! Lua's C API as Lua 5.4 has it, for every version.
//!
//! `mlua::ffi` fills in most of what older versions lack; here is the rest. Each function behaves as the
//! manual of Lua 5.4 says.

pub use mlua::ffi::*;

#[cfg(any(feature = "lua51", feature = "lua52", feature = "luajit"))]
pub use self::wide::{lua_rawgeti, lua_rawseti};
#[cfg(feature = "luajit")]
pub use arithmetic::lua_concat;
#[cfg(any(feature = "lua51", feature = "luajit"))]
pub use arithmetic::*;
#[cfg(feature = "lua52")]
pub use arithmetic::{
    LUA_OPBAND, LUA_OPBNOT, LUA_OPBOR, LUA_OPBXOR, LUA_OPIDIV, LUA_OPSHL, LUA_OPSHR, lua_arith,
};
#[cfg(feature = "lua55")]
pub use newer::lua_newstate;
#[cfg(not(any(feature = "lua54", feature = "lua55")))]
pub use older::*;
#[cfg(any(feature = "lua51", feature = "luajit"))]
pub use oldest::*;

/// Arithmetic of Lua 5.4. Operators that a version lacks have no metamethods there, so nobody asks for them.
#[cfg(any(feature = "lua51", feature = "lua52", feature = "luajit"))]
#[allow(missing_docs)] // The names are Lua's own.
mod arithmetic {
    use std::ffi::c_int;

    use mlua::ffi::*;

    #[cfg(not(feature = "lua52"))]
    pub use self::oldest::*;

    #[cfg(not(feature = "lua52"))]
    mod oldest {
        use std::ffi::c_int;

        pub const LUA_OPADD: c_int = 0;
        pub const LUA_OPSUB: c_int = 1;
        pub const LUA_OPMUL: c_int = 2;
        pub const LUA_OPDIV: c_int = 3;
        pub const LUA_OPMOD: c_int = 4;
        pub const LUA_OPPOW: c_int = 5;
        pub const LUA_OPUNM: c_int = 6;
        pub const LUA_OPEQ: c_int = 0;
        pub const LUA_OPLT: c_int = 1;
        pub const LUA_OPLE: c_int = 2;
    }

    pub const LUA_OPIDIV: c_int = 7;
    pub const LUA_OPBAND: c_int = 8;
    pub const LUA_OPBOR: c_int = 9;
    pub const LUA_OPBXOR: c_int = 10;
    pub const LUA_OPSHL: c_int = 11;
    pub const LUA_OPSHR: c_int = 12;
    pub const LUA_OPBNOT: c_int = 13;

    /// Replaces the operands on top, one or two, by the result. May raise.
    ///
    /// # Safety
    /// As for Lua's own, with two free stack slots.
    pub unsafe fn lua_arith(lua: *mut lua_State, operator: c_int) {
        // SAFETY: as demanded.
        unsafe {
            if !(0..=6).contains(&operator) {
                luaL_error(lua, c"this Lua has no such operator".as_ptr());
            }
            #[cfg(feature = "lua52")]
            mlua::ffi::lua_arith(lua, operator);
            #[cfg(not(feature = "lua52"))]
            evaluate(lua, operator);
        }
    }

    /// There is no such function before Lua 5.2: a piece of Lua does it. Its errors have no position of their own.
    #[cfg(not(feature = "lua52"))]
    unsafe fn evaluate(lua: *mut lua_State, operator: c_int) {
        const PIECES: [&std::ffi::CStr; 7] = [
            c"local a, b = ... return a + b",
            c"local a, b = ... return a - b",
            c"local a, b = ... return a * b",
            c"local a, b = ... return a / b",
            c"local a, b = ... return a % b",
            c"local a, b = ... return a ^ b",
            c"local a = ... return -a",
        ];
        // SAFETY: as for `lua_arith`; the operator is one of these.
        unsafe { run(lua, PIECES[operator as usize], if operator == LUA_OPUNM { 1 } else { 2 }) }
    }

    /// Calls a piece of Lua with the operands on top, which its result replaces.
    #[cfg(not(feature = "lua52"))]
    unsafe fn run(lua: *mut lua_State, piece: &std::ffi::CStr, operands: c_int) {
        /// What Lua puts in front of an error in a piece.
        const PLACE: &[u8] = b"?:1: ";
        // SAFETY: the caller's operands, with two free stack slots. The message stays on the stack while it is read.
        unsafe {
            if luaL_loadbuffer(lua, piece.as_ptr(), piece.count_bytes(), c"=?".as_ptr()) != LUA_OK {
                lua_error(lua);
            }
            lua_insert(lua, -operands - 1);
            if lua_pcall(lua, operands, 1, 0) == LUA_OK {
                return;
            }
            if lua_type(lua, -1) == LUA_TSTRING {
                let message = std::ffi::CStr::from_ptr(lua_tostring(lua, -1));
                if message.to_bytes().starts_with(PLACE) {
                    lua_pushstring(lua, message.as_ptr().add(PLACE.len()));
                }
            }
            lua_error(lua);
        }
    }

    /// Concatenates the values on top. LuaJIT's own of 2022 crashes where a metamethod is to be called.
    ///
    /// # Safety
    /// As for Lua's own, with two free stack slots.
    #[cfg(feature = "luajit")]
    pub unsafe fn lua_concat(lua: *mut lua_State, count: c_int) {
        // SAFETY: as demanded; `lua_isstring` is true for strings and numbers.
        unsafe {
            if count == 2 && (lua_isstring(lua, -1) == 0 || lua_isstring(lua, -2) == 0) {
                run(lua, c"local a, b = ... return a .. b", 2);
            } else {
                mlua::ffi::lua_concat(lua, count);
            }
        }
    }

    /// Compares two values. May raise.
    ///
    /// # Safety
    /// As for Lua's own.
    #[cfg(not(feature = "lua52"))]
    pub unsafe fn lua_compare(lua: *mut lua_State, a: c_int, b: c_int, operator: c_int) -> c_int {
        let piece = match operator {
            LUA_OPEQ => c"local a, b = ... return a == b",
            LUA_OPLT => c"local a, b = ... return a < b",
            _ => c"local a, b = ... return a <= b",
        };
        // SAFETY: as demanded, with four free stack slots.
        unsafe {
            let (a, b) = (lua_absindex(lua, a), lua_absindex(lua, b));
            lua_pushvalue(lua, a);
            lua_pushvalue(lua, b);
            run(lua, piece, 2);
            let holds = lua_toboolean(lua, -1);
            lua_pop(lua, 1);
            holds
        }
    }
}

/// What came with Lua 5.4.
#[cfg(not(any(feature = "lua54", feature = "lua55")))]
mod older {
    use std::ffi::{c_char, c_int, c_void};

    use mlua::ffi::*;

    /// Pushes a new userdata. It has one user value at most, and none of ours has more.
    ///
    /// # Safety
    /// `lua` is a valid state with a free stack slot.
    pub unsafe fn lua_newuserdatauv(lua: *mut lua_State, size: usize, _values: c_int) -> *mut c_void {
        // SAFETY: as demanded.
        unsafe { lua_newuserdata(lua, size) }
    }

    /// Pushes the user value: a table, once there is one. Before Lua 5.2 it is the userdata's environment.
    ///
    /// # Safety
    /// `lua` is a valid state with a free stack slot and a full userdata at `index`.
    pub unsafe fn lua_getiuservalue(lua: *mut lua_State, index: c_int, _value: c_int) -> c_int {
        // SAFETY: as demanded.
        unsafe { lua_getuservalue(lua, index) }
    }

    /// Makes the table on top the user value, and pops it.
    ///
    /// # Safety
    /// As for [`lua_getiuservalue`].
    pub unsafe fn lua_setiuservalue(lua: *mut lua_State, index: c_int, _value: c_int) -> c_int {
        // SAFETY: as demanded.
        unsafe { lua_setuservalue(lua, index) };
        1
    }

    /// There are no warnings: nothing is written.
    ///
    /// # Safety
    /// None.
    pub unsafe fn lua_warning(_lua: *mut lua_State, _message: *const c_char, _continues: c_int) {}
}

/// Lua 5.5 wants a seed for its hashes as well.
#[cfg(feature = "lua55")]
mod newer {
    use std::ffi::c_void;

    use mlua::ffi;
    use mlua::ffi::{lua_Alloc, lua_State};

    /// # Safety
    /// As for Lua's own.
    pub unsafe fn lua_newstate(allocate: lua_Alloc, context: *mut c_void) -> *mut lua_State {
        // SAFETY: as demanded.
        unsafe { ffi::lua_newstate(allocate, context, std::process::id()) }
    }
}

/// Integer keys of tables of any size: before Lua 5.3 the functions take a C `int`.
#[cfg(any(feature = "lua51", feature = "lua52", feature = "luajit"))]
mod wide {
    use std::ffi::c_int;

    use mlua::ffi;
    use mlua::ffi::{lua_Integer, lua_Number, lua_State};

    /// # Safety
    /// As for Lua's own.
    pub unsafe fn lua_rawgeti(lua: *mut lua_State, index: c_int, key: lua_Integer) -> c_int {
        // SAFETY: as demanded; the key takes the slot that the value needs.
        unsafe {
            if c_int::try_from(key).is_ok() {
                return ffi::lua_rawgeti(lua, index, key);
            }
            let index = ffi::lua_absindex(lua, index);
            ffi::lua_pushnumber(lua, key as lua_Number);
            ffi::lua_rawget(lua, index)
        }
    }

    /// # Safety
    /// As for Lua's own, with a free stack slot where the key is no `int`.
    pub unsafe fn lua_rawseti(lua: *mut lua_State, index: c_int, key: lua_Integer) {
        // SAFETY: as demanded.
        unsafe {
            if c_int::try_from(key).is_ok() {
                return ffi::lua_rawseti(lua, index, key);
            }
            let index = ffi::lua_absindex(lua, index);
            ffi::lua_pushnumber(lua, key as lua_Number);
            ffi::lua_insert(lua, -2);
            ffi::lua_rawset(lua, index);
        }
    }
}

/// What came with Lua 5.2.
#[cfg(any(feature = "lua51", feature = "luajit"))]
mod oldest {
    use std::ffi::{c_char, c_int, c_void};
    use std::ptr::null_mut;

    use mlua::ffi::*;

    /// Key of `package.preload` in the registry of later versions.
    pub const LUA_PRELOAD_TABLE: *const c_char = c"_PRELOAD".as_ptr();

    /// Most slots that a C function has (luaconf.h, `LUAI_MAXCSTACK`).
    pub const LUAI_MAXSTACK: c_int = 8000;

    /// # Safety
    /// As for Lua's own, with two free stack slots.
    #[allow(non_snake_case)]
    pub unsafe fn luaL_testudata(lua: *mut lua_State, index: c_int, name: *const c_char) -> *mut c_void {
        // SAFETY: as demanded; balanced.
        unsafe {
            let block = lua_touserdata(lua, index);
            if block.is_null() || lua_getmetatable(lua, index) == 0 {
                return null_mut();
            }
            luaL_getmetatable(lua, name);
            let same = lua_rawequal(lua, -1, -2) != 0;
            lua_pop(lua, 2);
            if same { block } else { null_mut() }
        }
    }
}
