//! Globals and libraries of a state in which modules were preloaded, which may have emptied their tables, or given them metatables
//! that raise: `strict` and its like.

use std::ffi::{CStr, c_char};

use llib_lua::ffi::*;

/// Pushes a table of the standard library as the registry knows it, whatever modules have made of the globals; or what
/// they have put in its place, or nil.
///
/// # Safety
/// `lua` is a valid state with three free stack slots.
pub(super) unsafe fn push_library(lua: *mut lua_State, name: &CStr) {
    // SAFETY: as demanded; raw access raises nothing.
    unsafe {
        lua_pushvalue(lua, LUA_REGISTRYINDEX);
        push_field(lua, LUA_LOADED_TABLE);
        lua_remove(lua, -2);
        push_field(lua, name.as_ptr());
        lua_remove(lua, -2);
    }
}

/// Pushes a field of the value on top; nil if that is no table.
///
/// # Safety
/// `lua` is a valid state with a value on top and two free stack slots.
pub(super) unsafe fn push_field(lua: *mut lua_State, name: *const c_char) {
    // SAFETY: as demanded; raw access raises nothing.
    unsafe {
        if lua_type(lua, -1) == LUA_TTABLE {
            lua_pushstring(lua, name);
            lua_rawget(lua, -2);
        } else {
            lua_pushnil(lua);
        }
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
