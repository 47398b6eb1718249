//! Globals of a state in which modules were preloaded, whose table may have a metatable that raises: `strict` and its like.

use std::ffi::CStr;

use llib_lua::ffi::*;

/// Pushes a global.
///
/// # Safety
/// `lua` is a valid state with two free stack slots.
pub(super) unsafe fn push_global(lua: *mut lua_State, name: &CStr) {
    // SAFETY: as demanded; raw access raises nothing.
    unsafe {
        lua_pushglobaltable(lua);
        lua_pushstring(lua, name.as_ptr());
        lua_rawget(lua, -2);
        lua_remove(lua, -2);
    }
}

/// Gives a global the value on top of the stack, which it pops.
///
/// # Safety
/// `lua` is a valid state with a value on top and two free stack slots, below a protected call.
pub(super) unsafe fn set_global(lua: *mut lua_State, name: &CStr) {
    // SAFETY: as demanded.
    unsafe {
        lua_pushglobaltable(lua);
        lua_insert(lua, -2);
        lua_pushstring(lua, name.as_ptr());
        lua_insert(lua, -2);
        lua_rawset(lua, -3);
        lua_settop(lua, -2);
    }
}
