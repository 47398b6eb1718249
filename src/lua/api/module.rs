//! What `require "llib"` returns.

use std::ffi::{CStr, c_int};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::lua::ffi::*;

use super::{async_call, crypto, failure, pool, preload, sandbox, sleep, task};
use crate::dispatch::{Session, note_module};
use crate::lua::call::{Outcome, Raise, push_text, set_functions};
use crate::lua::convert::{register_inert, remember_names};
use crate::lua::types;
use crate::lua::version::state;
use crate::lua_function;

/// Where a worker keeps the job's `res`, for `thread.self()`.
const SELF: &CStr = c"llib.self";

/// Lua states of this process that have the module open.
static STATES: AtomicUsize = AtomicUsize::new(0);

/// Pushes the module's table. Starts nothing and sets no global.
///
/// # Safety
/// Called by Lua, in a protected call, as a module's opener.
pub unsafe fn open(lua: *mut lua_State) -> Outcome {
    let functions: [(&CStr, lua_CFunction); 13] = [
        (c"async", async_entry),
        (c"buffer", buffer),
        (c"channel", channel),
        (c"capabilities", capabilities),
        (c"cores", cores),
        (c"lock", lock),
        (c"mutex", mutex),
        (c"pool", pool_entry),
        (c"preload", preload_entry),
        (c"self", self_entry),
        (c"sleep", sleep_entry),
        (c"stats", stats),
        (c"unlock", unlock),
    ];
    note_module(crate::sys::module::own_file().as_deref());
    // SAFETY: Lua's state; a C function has at least 20 free stack slots.
    unsafe {
        state::note_main_thread(lua);
        failure::register(lua);
        register_inert(lua);
        task::register(lua);
        pool::register(lua);
        note_state(lua);
        // Before a script puts something else in place of a library's function.
        remember_names(lua).map_err(|error| Raise::Message(error.to_string()))?;
        lua_createtable(lua, 0, 3);
        lua_createtable(lua, 0, functions.len() as c_int);
        set_functions(lua, &functions);
        lua_setfield(lua, -2, c"thread".as_ptr());
        crypto::push(lua);
        lua_setfield(lua, -2, c"crypto".as_ptr());
        push_text(lua, env!("CARGO_PKG_VERSION"));
        lua_setfield(lua, -2, c"_VERSION".as_ptr());
    }
    Ok(1)
}

/// Sets what `thread.self()` returns: the value on top, which is popped.
///
/// # Safety
/// `lua` is a valid state with a value on top.
pub unsafe fn set_self(lua: *mut lua_State) {
    // SAFETY: as demanded.
    unsafe { lua_setfield(lua, LUA_REGISTRYINDEX, SELF.as_ptr()) }
}

/// Counts the state, and leaves in its registry something whose finalizer takes it off again: a program
/// that closes its last state with llib gets rid of the supervisors too.
unsafe fn note_state(lua: *mut lua_State) {
    const STATE: &CStr = c"llib.state";
    // SAFETY: the opener's state with free slots; balanced.
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

lua_function!(buffer => types::buffer::new);
lua_function!(channel => types::channel::new);
lua_function!(lock => types::lock::lock);
lua_function!(mutex => types::mutex::new);
lua_function!(unlock => types::lock::unlock);
lua_function!(async_entry => async_call::body);
lua_function!(capabilities => sandbox::capabilities_body);
lua_function!(cores => cores_body);
lua_function!(pool_entry => pool::new);
lua_function!(preload_entry => preload::body);
lua_function!(forget_state => forget_state_body);
lua_function!(self_entry => self_body);
lua_function!(sleep_entry => sleep::body);
lua_function!(stats => stats_body);

unsafe fn forget_state_body(_: *mut lua_State) -> Outcome {
    if STATES.fetch_sub(1, Ordering::SeqCst) == 1 {
        Session::end_current();
    }
    Ok(0)
}

unsafe fn cores_body(lua: *mut lua_State) -> Outcome {
    let cores = crate::sys::cores::count();
    // SAFETY: Lua's state.
    unsafe { lua_pushinteger(lua, cores as lua_Integer) };
    Ok(1)
}

unsafe fn self_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state.
    unsafe { lua_getfield(lua, LUA_REGISTRYINDEX, SELF.as_ptr()) };
    Ok(1)
}

/// Process ids of the supervisors and numbers of the slot table; an empty table before the first job.
unsafe fn stats_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state.
    unsafe {
        lua_createtable(lua, 0, 4);
        if let Some(stats) = Session::stats() {
            let fields = [
                (c"guard", i64::from(stats.guard)),
                (c"zygote", i64::from(stats.zygote)),
                (c"spares", stats.spares as i64),
                (c"jobs", stats.jobs as i64),
            ];
            for (name, value) in fields {
                lua_pushinteger(lua, value);
                lua_setfield(lua, -2, name.as_ptr());
            }
        }
    }
    Ok(1)
}
