//! What `require "llib"` returns.

use std::ffi::{CStr, c_int};

use llib_lua::ffi::*;

use super::{about, after_fork, async_call, methods, pool, preload, refresh, sandbox, sleep, states};
use llib_core::sys::module::own_file;
use llib_host::note_module;
use llib_lua::call::{Outcome, Raise, push_text, set_functions};
use llib_lua::convert::{register_inert, remember_names};
use llib_lua::lua_function;
use llib_lua::types::{self, crypto, failure};
use llib_lua::version::state;

/// Pushes the module's table. Starts nothing and sets no global.
///
/// # Safety
/// Called by Lua, in a protected call, as a module's opener.
pub unsafe fn open(lua: *mut lua_State) -> Outcome {
    let functions: [(&CStr, lua_CFunction); 16] = [
        (c"after_fork", after_fork_entry),
        (c"async", async_entry),
        (c"buffer", buffer),
        (c"channel", channel),
        (c"capabilities", capabilities),
        (c"close", close),
        (c"cores", cores),
        (c"lock", lock),
        (c"mutex", mutex),
        (c"pool", pool_entry),
        (c"preload", preload_entry),
        (c"refresh", refresh_entry),
        (c"self", self_entry),
        (c"sleep", sleep_entry),
        (c"stats", stats),
        (c"unlock", unlock),
    ];
    note_module(own_file().as_deref());
    // SAFETY: Lua's state; a C function has at least 20 free stack slots.
    unsafe {
        state::note_main_thread(lua);
        failure::register(lua);
        register_inert(lua);
        methods::register(lua);
        pool::register(lua);
        states::note(lua);
        types::taken::register(lua);
        // Before a script puts something else in place of a library's function.
        remember_names(lua).map_err(|error| Raise::Message(error.to_string()))?;
        lua_createtable(lua, 0, 4);
        lua_createtable(lua, 0, functions.len() as c_int);
        set_functions(lua, &functions);
        lua_setfield(lua, -2, c"thread".as_ptr());
        crypto::push(lua);
        lua_setfield(lua, -2, c"crypto".as_ptr());
        lua_pushcfunction(lua, is_failure);
        lua_setfield(lua, -2, c"failure".as_ptr());
        push_text(lua, env!("CARGO_PKG_VERSION"));
        lua_setfield(lua, -2, c"_VERSION".as_ptr());
    }
    Ok(1)
}

lua_function!(is_failure => failure::is_failure);
lua_function!(buffer => types::buffer::new);
lua_function!(channel => types::channel::new);
lua_function!(lock => types::lock::lock);
lua_function!(mutex => types::mutex::new);
lua_function!(unlock => types::lock::unlock);
lua_function!(after_fork_entry => after_fork::body);
lua_function!(async_entry => async_call::body);
lua_function!(capabilities => sandbox::capabilities_body);
lua_function!(close => about::close);
lua_function!(cores => about::cores);
lua_function!(pool_entry => pool::new);
lua_function!(preload_entry => preload::body);
lua_function!(refresh_entry => refresh::body);
lua_function!(self_entry => about::own);
lua_function!(sleep_entry => sleep::body);
lua_function!(stats => about::stats);
