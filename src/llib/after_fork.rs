//! `thread.after_fork(f)`: what a preloaded module does in each worker that has it, before the worker's job.

use std::ffi::{CStr, c_int};
use std::sync::atomic::{AtomicBool, Ordering};

use llib_lua::call::{Outcome, wrong_type};
use llib_lua::ffi::*;

/// Whether this process is loading a module for workers to come.
static LOADING: AtomicBool = AtomicBool::new(false);
/// Whether there is a function to call.
static ANY: AtomicBool = AtomicBool::new(false);

/// Where the functions are in the registry, in the order in which they came.
const FUNCTIONS: &CStr = c"llib.after_fork";

/// Loads a module for the workers that are forked from this process.
pub fn loading<T>(load: impl FnOnce() -> T) -> T {
    LOADING.store(true, Ordering::Relaxed);
    let loaded = load();
    LOADING.store(false, Ordering::Relaxed);
    loaded
}

/// # Safety
/// Called by Lua.
pub(super) unsafe fn body(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state.
    unsafe {
        if lua_type(lua, 1) != LUA_TFUNCTION {
            return Err(wrong_type(lua, 1, "function"));
        }
        let loading = LOADING.load(Ordering::Relaxed);
        if loading {
            if lua_getfield(lua, LUA_REGISTRYINDEX, FUNCTIONS.as_ptr()) != LUA_TTABLE {
                lua_createtable(lua, 1, 0);
                lua_pushvalue(lua, -1);
                lua_setfield(lua, LUA_REGISTRYINDEX, FUNCTIONS.as_ptr());
            }
            lua_pushvalue(lua, 1);
            lua_rawseti(lua, -2, lua_rawlen(lua, -2) as lua_Integer + 1);
            ANY.store(true, Ordering::Relaxed);
        }
        lua_pushboolean(lua, loading.into());
    }
    Ok(1)
}

/// In a worker: calls the functions of its modules, one after the other, with the message handler at `handler`. Returns the
/// status of the last call; if that is not `LUA_OK` what it raised is on top of the stack.
///
/// # Safety
/// `lua` is a valid state with four free stack slots, in a protected call.
pub unsafe fn call_after_fork(lua: *mut lua_State, handler: c_int) -> c_int {
    if !ANY.load(Ordering::Relaxed) {
        return LUA_OK;
    }
    // SAFETY: as demanded; balanced, but for what is raised.
    unsafe {
        let top = lua_gettop(lua);
        lua_getfield(lua, LUA_REGISTRYINDEX, FUNCTIONS.as_ptr());
        for place in 1..=lua_rawlen(lua, top + 1) {
            lua_rawgeti(lua, top + 1, place as lua_Integer);
            let status = lua_pcall(lua, 0, 0, handler);
            if status != LUA_OK {
                return status;
            }
        }
        lua_settop(lua, top);
    }
    LUA_OK
}
