//! What a table looks like: a metatable, a class, or neither.

use super::push;
use crate::ffi::*;

/// Whether the table on top can serve as a metatable: it has a field that only those have.
pub(super) unsafe fn is_metatable(lua: *mut lua_State) -> bool {
    const FIELDS: [&str; 6] = ["__index", "__call", "__tostring", "__name", "__eq", "__newindex"];
    // SAFETY: as in `rebuild`; balanced.
    unsafe { FIELDS.iter().any(|field| has_field(lua, field)) }
}

/// Whether the table on top is a metatable, or a class as the usual libraries make them: it can be called, and the metatable of its
/// instances is one of its fields.
///
/// # Safety
/// Below `lua_pcall`, a table on top and six free slots.
pub(in crate::convert) unsafe fn is_class(lua: *mut lua_State) -> bool {
    /// Fields looked at: a class is not a long list.
    const MOST: usize = 100;
    // SAFETY: as demanded; balanced.
    unsafe {
        if is_metatable(lua) {
            return true;
        }
        if lua_getmetatable(lua, -1) == 0 {
            return false;
        }
        let callable = has_field(lua, "__call");
        lua_settop(lua, -2);
        let table = lua_gettop(lua);
        let (mut class, mut seen) = (false, 0);
        lua_pushnil(lua);
        while callable && !class && seen < MOST && lua_next(lua, table) != 0 {
            seen += 1;
            class = lua_type(lua, -1) == LUA_TTABLE && has_field(lua, "__index");
            lua_settop(lua, -2);
        }
        lua_settop(lua, table);
        class
    }
}

/// Whether the table on top is a class by itself, not just the metatable of something.
///
/// # Safety
/// As for [`is_class`].
pub(in crate::convert) unsafe fn makes_instances(lua: *mut lua_State) -> bool {
    // SAFETY: as demanded.
    unsafe { has_field(lua, "__index") || (!is_metatable(lua) && is_class(lua)) }
}

unsafe fn has_field(lua: *mut lua_State, field: &str) -> bool {
    // SAFETY: a table is on top, and a slot is free; balanced.
    unsafe {
        push(lua, field);
        let found = lua_rawget(lua, -2) != LUA_TNIL;
        lua_settop(lua, -2);
        found
    }
}
