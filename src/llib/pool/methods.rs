//! What scripts call of a pool.

use std::ffi::{CStr, c_int};
use std::time::Duration;

use llib_lua::ffi::*;

use super::handle::{Handle, POOL, check};
use super::{functions, map, submit};
use llib_core::sys::clock;
use llib_host::pool;
use llib_lua::call::{Outcome, Raise, milliseconds, push_text, set_functions};
use llib_lua::hooks;
use llib_lua::lua_function;

/// Registers the metatables.
///
/// # Safety
/// `lua` is a valid state with five free stack slots, in a protected call.
pub(crate) unsafe fn register(lua: *mut lua_State) {
    let methods: [(&CStr, lua_CFunction); 4] =
        [(c"close", close), (c"map", map_entry), (c"stats", stats), (c"submit", submit_entry)];
    let metamethods: [(&CStr, lua_CFunction); 3] =
        [(c"__close", end), (c"__gc", collect), (c"__tostring", to_string)];
    // SAFETY: as demanded; balanced.
    unsafe {
        functions::register(lua);
        if luaL_newmetatable(lua, POOL.as_ptr()) != 0 {
            set_functions(lua, &metamethods);
            lua_createtable(lua, 0, methods.len() as c_int);
            set_functions(lua, &methods);
            lua_setfield(lua, -2, c"__index".as_ptr());
            push_text(lua, "llib.pool");
            lua_setfield(lua, -2, c"__metatable".as_ptr());
        }
        lua_pop(lua, 1);
    }
}

lua_function!(close => close_body);
lua_function!(collect => collect_body);
lua_function!(end => end_body);
lua_function!(map_entry => map::body);
lua_function!(stats => stats_body);
lua_function!(submit_entry => submit::body);
lua_function!(to_string => to_string_body);

// Every body below is called by Lua with its state, and keeps the pool at index 1 while it uses it: that is the SAFETY
// argument of each.

unsafe fn collect_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above. The collector calls this once.
    unsafe {
        let handle = luaL_testudata(lua, 1, POOL.as_ptr()).cast::<Handle>();
        if !handle.is_null() {
            lua_pushnil(lua);
            lua_setmetatable(lua, 1);
            handle.drop_in_place();
        }
    }
    Ok(0)
}

/// `pool:close([ms])`: true if all jobs came to their own end.
unsafe fn close_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let (handle, time) = (check(lua)?, milliseconds(lua, 2)?);
        let by_themselves = close_pool(lua, handle, time)?;
        lua_pushboolean(lua, by_themselves.into());
    }
    Ok(1)
}

/// A pool that goes out of scope is closed at once.
unsafe fn end_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe { close_pool(lua, check(lua)?, Some(Duration::ZERO))? };
    Ok(0)
}

unsafe fn close_pool(lua: *mut lua_State, handle: &Handle, time: Option<Duration>) -> Result<bool, Raise> {
    let limit = time.map(clock::after);
    // SAFETY: see above.
    unsafe { hooks::patiently(lua, |patience| pool::close(&handle.pool, limit, patience)) }
}

unsafe fn stats_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let mut pool = check(lua)?.pool.borrow_mut();
        pool.attend();
        let (counts, standing, size) = (pool.counts(), pool.standing(), pool.size());
        drop(pool);
        let fields = [
            (c"size", size as u64),
            (c"workers", standing.workers as u64),
            (c"running", standing.running as u64),
            (c"queued", standing.queued as u64),
            (c"done", counts.done),
            (c"failed", counts.failed),
            (c"died", counts.died),
            (c"recycled", counts.recycled),
        ];
        lua_createtable(lua, 0, fields.len() as c_int);
        for (name, value) in fields {
            lua_pushinteger(lua, value.cast_signed());
            lua_setfield(lua, -2, name.as_ptr());
        }
    }
    Ok(1)
}

unsafe fn to_string_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let pool = check(lua)?.pool.borrow();
        let state = if pool.is_lost() {
            "lost"
        } else if pool.stopper().is_some() {
            "stopped"
        } else if pool.is_open() {
            "open"
        } else {
            "closed"
        };
        let text = format!("llib.pool: {} workers ({state})", pool.size());
        // What Lua allocates may collect tasks, which come to the pool.
        drop(pool);
        push_text(lua, &text);
    }
    Ok(1)
}
