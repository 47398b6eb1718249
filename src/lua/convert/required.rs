//! The tables in which `require` looks.

use std::ffi::CStr;

use crate::ffi::*;
use crate::version::SEARCHERS;

use super::names::{content, push, push_loaded};

/// Pushes a table of `package` and returns true, or pushes nothing.
///
/// # Safety
/// Below `lua_pcall`, with four free slots.
pub(super) unsafe fn push_package_table(lua: *mut lua_State, field: &CStr) -> bool {
    // SAFETY: as demanded; raw access.
    unsafe {
        let top = lua_gettop(lua);
        push_loaded(lua);
        push(lua, "package");
        if lua_type(lua, top + 1) == LUA_TTABLE && lua_rawget(lua, top + 1) == LUA_TTABLE {
            lua_pushlstring(lua, field.as_ptr(), field.count_bytes());
            if lua_rawget(lua, top + 2) == LUA_TTABLE {
                lua_replace(lua, top + 1);
                lua_settop(lua, top + 1);
                return true;
            }
        }
        lua_settop(lua, top);
        false
    }
}

/// A number that changes when modules of a script's own come or go, or searchers do: what functions that name `require`
/// would take along.
///
/// # Safety
/// `lua` is a valid state with ten free stack slots, in a protected call.
pub unsafe fn loaders_state(lua: *mut lua_State) -> u64 {
    // SAFETY: as demanded; balanced; the tables are not changed meanwhile.
    unsafe {
        let top = lua_gettop(lua);
        let mut sum = 0u64;
        for field in [c"preload", SEARCHERS, c"loaded"] {
            if push_package_table(lua, field) {
                sum = sum.rotate_left(9) ^ content(lua);
            }
            lua_settop(lua, top);
        }
        sum
    }
}
