//! Lua's C API as Lua 5.4 has it, for every version.
//!
//! `mlua::ffi` fills in most of what older versions lack; here is the rest. Each function behaves as the
//! manual of Lua 5.4 says.

pub use mlua::ffi::*;

#[cfg(any(feature = "lua51", feature = "lua52", feature = "luajit"))]
pub use self::wide::{lua_rawgeti, lua_rawseti};
#[cfg(feature = "lua55")]
pub use newer::lua_newstate;
#[cfg(not(any(feature = "lua54", feature = "lua55")))]
pub use older::*;
#[cfg(any(feature = "lua51", feature = "luajit"))]
pub use oldest::*;

/// What came with Lua 5.4.
#[cfg(not(any(feature = "lua54", feature = "lua55")))]
mod older {
    use std::ffi::{c_char, c_int, c_void};

    use mlua::ffi::*;

    /// Pushes a new userdata. None of ours has user values.
    ///
    /// # Safety
    /// `lua` is a valid state with a free stack slot.
    pub unsafe fn lua_newuserdatauv(lua: *mut lua_State, size: usize, _values: c_int) -> *mut c_void {
        // SAFETY: as demanded.
        unsafe { lua_newuserdata(lua, size) }
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
