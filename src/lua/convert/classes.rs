//! Classes that keep their identity without a name that both sides know.
//!
//! The table of a class that a script has put together, or added to a module, is copied where it arrives. It has a random identity, and
//! a state remembers which of its tables have which, for as long as they live: so a class that comes home is the class
//! itself, and one that comes twice is one.

use std::ffi::c_int;

use crate::ffi::*;

use super::format::IDENTITY;
use super::names::push;
use super::protect::string;

// A registry key is the address of a static.
static CLASSES_KEY: u8 = 1;

/// The identity of the class on top, which it gets if it has none.
///
/// # Safety
/// Below `lua_pcall`, a table on top and six free slots.
pub(super) unsafe fn identity(lua: *mut lua_State) -> [u8; IDENTITY] {
    // SAFETY: as demanded; balanced. The table holds strings of this length under tables.
    unsafe {
        let class = lua_gettop(lua);
        push_classes(lua);
        lua_pushvalue(lua, class);
        if lua_rawget(lua, class + 1) != LUA_TSTRING {
            let mut fresh = [0; IDENTITY];
            if rustix::rand::getrandom(&mut fresh, rustix::rand::GetRandomFlags::empty()).is_err() {
                let unique = [lua_topointer(lua, class) as u64, u64::from(std::process::id())];
                fresh[..8].copy_from_slice(&unique[0].to_le_bytes());
                fresh[8..].copy_from_slice(&unique[1].to_le_bytes());
            }
            lua_settop(lua, class + 1);
            lua_pushlstring(lua, fresh.as_ptr().cast(), IDENTITY);
            enter(lua, class + 1, class, class + 2);
        }
        let identity = string(lua, class + 2).first_chunk().copied().unwrap_or_default();
        lua_settop(lua, class);
        identity
    }
}

/// The identity of the class on top, if it has one.
///
/// # Safety
/// As for [`identity`].
pub(super) unsafe fn known_identity(lua: *mut lua_State) -> Option<[u8; IDENTITY]> {
    // SAFETY: as demanded; balanced.
    unsafe {
        let class = lua_gettop(lua);
        let mut known = None;
        if push_all(lua) {
            lua_pushvalue(lua, class);
            if lua_rawget(lua, class + 1) == LUA_TSTRING {
                known = string(lua, class + 2).first_chunk().copied();
            }
        }
        lua_settop(lua, class);
        known
    }
}

/// Pushes the class of this identity, or nil.
///
/// # Safety
/// As for [`identity`].
pub(super) unsafe fn push_known(lua: *mut lua_State, identity: &[u8; IDENTITY]) {
    // SAFETY: as demanded.
    unsafe {
        push_classes(lua);
        lua_pushlstring(lua, identity.as_ptr().cast(), IDENTITY);
        lua_rawget(lua, -2);
        lua_rotate(lua, -2, 1);
        lua_settop(lua, -2);
    }
}

/// Remembers that the table at `class` has the identity at `identity`, a string. Both are absolute indices.
///
/// # Safety
/// As for [`identity`].
pub(super) unsafe fn remember(lua: *mut lua_State, class: c_int, identity: c_int) {
    // SAFETY: as demanded; balanced.
    unsafe {
        push_classes(lua);
        enter(lua, lua_gettop(lua), class, identity);
        lua_settop(lua, -2);
    }
}

/// Pushes the table from class to identity and from identity to class and returns true, or pushes nothing.
///
/// # Safety
/// As for [`identity`].
pub(super) unsafe fn push_all(lua: *mut lua_State) -> bool {
    // SAFETY: as demanded.
    unsafe {
        let known = lua_rawgetp(lua, LUA_REGISTRYINDEX, (&raw const CLASSES_KEY).cast()) == LUA_TTABLE;
        if !known {
            lua_settop(lua, -2);
        }
        known
    }
}

/// Forgets all of them: what comes from now on is new.
///
/// # Safety
/// `lua` is a valid state with two free stack slots, in a protected call.
pub unsafe fn forget_classes(lua: *mut lua_State) {
    // SAFETY: as demanded.
    unsafe {
        if push_all(lua) {
            lua_pushnil(lua);
            lua_rawsetp(lua, LUA_REGISTRYINDEX, (&raw const CLASSES_KEY).cast());
            lua_settop(lua, -2);
        }
    }
}

unsafe fn enter(lua: *mut lua_State, classes: c_int, class: c_int, identity: c_int) {
    // SAFETY: the callers' indices.
    unsafe {
        lua_pushvalue(lua, class);
        lua_pushvalue(lua, identity);
        lua_rawset(lua, classes);
        lua_pushvalue(lua, identity);
        lua_pushvalue(lua, class);
        lua_rawset(lua, classes);
    }
}

/// As [`push_all`]; makes the table if need be.
unsafe fn push_classes(lua: *mut lua_State) {
    // SAFETY: the callers have free slots.
    unsafe {
        if push_all(lua) {
            return;
        }
        lua_createtable(lua, 0, 4);
        lua_createtable(lua, 0, 1);
        push(lua, "__mode");
        push(lua, "kv");
        lua_rawset(lua, -3);
        lua_setmetatable(lua, -2);
        lua_pushvalue(lua, -1);
        lua_rawsetp(lua, LUA_REGISTRYINDEX, (&raw const CLASSES_KEY).cast());
    }
}
