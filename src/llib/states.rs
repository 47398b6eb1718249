//! Lua states of this process that have the module open.

use std::ffi::CStr;
use std::sync::atomic::{AtomicUsize, Ordering};

use llib_lua::ffi::*;

use llib_host::Session;
use llib_lua::call::Outcome;
use llib_lua::lua_function;

static STATES: AtomicUsize = AtomicUsize::new(0);

/// Counts the state, and leaves in its registry something whose finalizer takes it off again: a program
/// that closes its last state with llib gets rid of the supervisors too.
///
/// # Safety
/// `lua` is a valid state with four free stack slots, in a protected call.
pub(super) unsafe fn note(lua: *mut lua_State) {
    const STATE: &CStr = c"llib.state";
    // SAFETY: as demanded; balanced.
    unsafe {
        if lua_getfield(lua, LUA_REGISTRYINDEX, STATE.as_ptr()) == LUA_TNIL {
            lua_newuserdatauv(lua, 0, 0);
            lua_createtable(lua, 0, 1);
            lua_pushcfunction(lua, forget_state);
            lua_setfield(lua, -2, c"__gc".as_ptr());
            STATES.fetch_add(1, Ordering::SeqCst);
            lua_setmetatable(lua, -2);
            lua_setfield(lua, LUA_REGISTRYINDEX, STATE.as_ptr());
        }
        lua_pop(lua, 1);
    }
}

lua_function!(forget_state => forget_state_body);

unsafe fn forget_state_body(_: *mut lua_State) -> Outcome {
    if STATES.fetch_sub(1, Ordering::SeqCst) == 1 {
        Session::end_current();
    }
    Ok(0)
}
