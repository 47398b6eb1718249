//! The functions of the standard library by their names, whatever a script puts in their places.

use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, Ordering};

use super::library::functions;
use super::{Names, push, push_loaded, standard};
use crate::convert::error::EncodeError;
use crate::convert::protect::{FIRST, Protected, protected};
use crate::ffi::*;
use crate::version::function::identity;

// A registry key is the address of a static.
static ORIGINALS_KEY: u8 = 4;

/// Whether this process runs a sandboxed job.
static CONFINED: AtomicBool = AtomicBool::new(false);

/// Gives the things that are loaded now their names, before a script replaces some of them, and keeps the functions of the
/// standard library for those that ask for them by name.
///
/// # Safety
/// `lua` is a valid state with a few free slots.
pub unsafe fn remember_names(lua: *mut lua_State) -> Result<(), EncodeError> {
    struct Remember;
    impl Protected for Remember {
        unsafe fn run(&mut self, lua: *mut lua_State) -> c_int {
            // SAFETY: below `lua_pcall`; a C function has twenty free slots, and more are asked for.
            unsafe {
                luaL_checkstack(lua, 40, std::ptr::null());
                lua_settop(lua, FIRST);
                Names::open(lua, FIRST);
                keep_originals(lua);
            }
            0
        }
    }
    // SAFETY: as demanded.
    unsafe { protected(lua, &mut Remember, || 0, 0) }.map_err(EncodeError::from)
}

/// Keeps the functions of the standard library by their names, also those that a script has replaced already.
unsafe fn keep_originals(lua: *mut lua_State) {
    // SAFETY: below `lua_pcall` with free slots; every index was pushed just before.
    unsafe {
        let top = lua_gettop(lua);
        lua_createtable(lua, 0, 160);
        push_loaded(lua);
        for (index, (module, field)) in functions().enumerate() {
            let names = Names { lua, slot: 0, filter: std::ptr::null_mut(), rebuilt: true };
            names.push_name(module, field);
            push(lua, module);
            if lua_type(lua, top + 2) == LUA_TTABLE
                && lua_rawget(lua, top + 2) == LUA_TTABLE
                && !field.is_empty()
            {
                push(lua, field);
                lua_rawget(lua, -2);
            }
            let here =
                lua_iscfunction(lua, -1) != 0 && standard::belongs(identity(lua), index, (module, field));
            if !here && let Some(function) = standard::to_make(index) {
                lua_pushcfunction(lua, function);
            }
            if lua_iscfunction(lua, -1) != 0 && standard::belongs(identity(lua), index, (module, field)) {
                lua_replace(lua, top + 4);
                lua_settop(lua, top + 4);
                lua_rawset(lua, top + 1);
            }
            lua_settop(lua, top + 2);
        }
        lua_settop(lua, top + 1);
        lua_rawsetp(lua, LUA_REGISTRYINDEX, (&raw const ORIGINALS_KEY).cast());
    }
}

/// Whether this process runs a sandboxed job: what `require` finds here was granted, and whether other jobs find it is the
/// grants' affair.
pub(in crate::convert) fn is_confined() -> bool {
    CONFINED.load(Ordering::Relaxed)
}

/// Forgets the functions that [`remember_names`] kept: from now on names lead to what is in the libraries' tables, and no
/// further. For the state of a sandboxed job, once functions were taken away.
///
/// # Safety
/// `lua` is a valid state with two free stack slots, in a protected call.
pub unsafe fn confine_names(lua: *mut lua_State) {
    CONFINED.store(true, Ordering::Relaxed);
    // SAFETY: as demanded.
    unsafe { forget_originals(lua) }
}

/// See above.
pub(in crate::convert) unsafe fn forget_originals(lua: *mut lua_State) {
    // SAFETY: as demanded of the caller.
    unsafe {
        lua_pushnil(lua);
        lua_rawsetp(lua, LUA_REGISTRYINDEX, (&raw const ORIGINALS_KEY).cast());
    }
}

/// Pushes a function of the standard library that [`remember_names`] keeps, whatever stands in its place; or pushes nothing and
/// returns false.
///
/// # Safety
/// `lua` is a valid state with a few free slots.
pub unsafe fn push_standard(lua: *mut lua_State, module: &str, field: &str) -> bool {
    // SAFETY: as demanded; raw access. Short strings that the state has already take no memory.
    unsafe {
        push(lua, &[module, field].join("\0"));
        let found = push_original(lua);
        lua_remove(lua, if found { -2 } else { -1 });
        found
    }
}

/// Pushes the function of the standard library that has the name on top, or pushes nothing and returns false.
///
/// # Safety
/// Below `lua_pcall`, three free slots, a string on top.
pub(in crate::convert) unsafe fn push_original(lua: *mut lua_State) -> bool {
    // SAFETY: as demanded.
    unsafe {
        let name = lua_gettop(lua);
        if lua_rawgetp(lua, LUA_REGISTRYINDEX, (&raw const ORIGINALS_KEY).cast()) == LUA_TTABLE {
            lua_pushvalue(lua, name);
            if lua_rawget(lua, -2) == LUA_TFUNCTION {
                lua_replace(lua, name + 1);
                return true;
            }
        }
        lua_settop(lua, name);
        false
    }
}
