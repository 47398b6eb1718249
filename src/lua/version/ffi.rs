//! Lua's C API as Lua 5.4 has it, for every version.
//!
//! `mlua::ffi` fills in most of what older versions lack; here is the rest. Each function behaves as the
//! manual of Lua 5.4 says.

pub use mlua::ffi::*;

#[cfg(any(feature = "lua51", feature = "lua52", feature = "luajit"))]
pub use self::wide::{lua_rawgeti, lua_rawseti};
#[cfg(feature = "luajit")]
pub use concatenation::lua_concat;
#[cfg(feature = "lua55")]
pub use newer::lua_newstate;
#[cfg(not(any(feature = "lua54", feature = "lua55")))]
pub use older::*;
#[cfg(any(feature = "lua51", feature = "luajit"))]
pub use oldest::*;

/// LuaJIT's own of 2022 crashes where a metamethod is to be called.
#[cfg(feature = "luajit")]
mod concatenation {
    use std::ffi::c_int;

    use mlua::ffi::*;

    /// Concatenates the values on top.
    ///
    /// # Safety
    /// As for Lua's own, with two free stack slots.
    pub unsafe fn lua_concat(lua: *mut lua_State, count: c_int) {
        // SAFETY: as demanded; `lua_isstring` is true for strings and numbers.
        unsafe {
            if count == 2 && (lua_isstring(lua, -1) == 0 || lua_isstring(lua, -2) == 0) {
                concat_by_operator(lua);
            } else {
                mlua::ffi::lua_concat(lua, count);
            }
        }
    }

    /// Has a piece of Lua concatenate the two values on top, which its result replaces.
    unsafe fn concat_by_operator(lua: *mut lua_State) {
        const PIECE: &std::ffi::CStr = c"local a, b = ... return a .. b";
        /// What Lua puts in front of an error in the piece.
        const PLACE: &[u8] = b"?:1: ";
        // SAFETY: the caller's operands, with two free stack slots. The message stays on the stack while it is read.
        unsafe {
            if luaL_loadbuffer(lua, PIECE.as_ptr(), PIECE.count_bytes(), c"=?".as_ptr()) != LUA_OK {
                lua_error(lua);
            }
            lua_insert(lua, -3);
            if lua_pcall(lua, 2, 1, 0) == LUA_OK {
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
