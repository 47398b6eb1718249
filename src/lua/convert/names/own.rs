//! What a job has of its own: `thread.self()`, and `rej` beside it.

use std::ffi::CStr;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::ffi::*;

/// Registry key of what `thread.self()` returns in a worker, and of `rej` beside it.
const OWN: [&CStr; 2] = [c"llib.self", c"llib.rej"];

/// Whether a value of [`OWN`] was ever set in this process.
static OWNED: AtomicBool = AtomicBool::new(false);

/// Sets what `thread.self()` returns, the second value from the top, and the job's `rej`, which is on top. Pops both.
///
/// # Safety
/// `lua` is a valid state with these values on top, in a protected call.
pub unsafe fn set_own(lua: *mut lua_State) {
    OWNED.store(true, Ordering::Relaxed);
    // SAFETY: as demanded.
    unsafe {
        lua_setfield(lua, LUA_REGISTRYINDEX, OWN[1].as_ptr());
        lua_setfield(lua, LUA_REGISTRYINDEX, OWN[0].as_ptr());
    }
}

/// Pushes one of these, or nil.
///
/// # Safety
/// `lua` is a valid state with a free slot.
pub unsafe fn push_own(lua: *mut lua_State, which: usize) {
    // SAFETY: as demanded.
    unsafe {
        if OWNED.load(Ordering::Relaxed) {
            lua_getfield(lua, LUA_REGISTRYINDEX, OWN[which].as_ptr());
        } else {
            lua_pushnil(lua);
        }
    }
}

/// The address of the job's `res`; 0 in a program.
///
/// # Safety
/// Below `lua_pcall`, with a free slot.
pub(in crate::convert) unsafe fn own_address(lua: *mut lua_State) -> usize {
    if !OWNED.load(Ordering::Relaxed) {
        return 0;
    }
    // SAFETY: as demanded; balanced.
    unsafe {
        push_own(lua, 0);
        let address = lua_topointer(lua, -1) as usize;
        lua_settop(lua, -2);
        address
    }
}
