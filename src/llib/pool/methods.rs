//! What scripts call of a pool.

use std::ffi::{CStr, c_int};
use std::rc::Rc;
use std::time::Duration;

use llib_lua::ffi::*;

use super::handle::{Handle, check};
use super::{functions, map, submit};
use llib_core::sys::clock;
use llib_host::pool::{self, Counts, Standing};
use llib_lua::call::{Outcome, Raise, milliseconds, push_text};
use llib_lua::hooks;
use llib_lua::lua_function;
use llib_lua::userdata;

/// Registers the metatables.
///
/// # Safety
/// `lua` is a valid state with five free stack slots, in a protected call.
pub(crate) unsafe fn register(lua: *mut lua_State) {
    let methods: [(&CStr, lua_CFunction); 4] =
        [(c"close", close), (c"map", map_entry), (c"stats", stats), (c"submit", submit_entry)];
    let metamethods: [(&CStr, lua_CFunction); 3] =
        [(c"__close", end), (c"__gc", collect), (c"__tostring", to_string)];
    // SAFETY: as demanded.
    unsafe {
        functions::register(lua);
        userdata::register::<Handle>(lua, &metamethods, &methods);
    }
}

lua_function!(close => close_body);
lua_function!(collect => userdata::collect::<Handle>);
lua_function!(end => end_body);
lua_function!(map_entry => map::body);
lua_function!(stats => stats_body);
lua_function!(submit_entry => submit::body);
lua_function!(to_string => to_string_body);

// Every body below is called by Lua with its state, and keeps the pool at index 1 while it uses it: that is the SAFETY
// argument of each.

/// `pool:close([ms])`: true if all jobs came to their own end.
unsafe fn close_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let (handle, time) = (check(lua)?, milliseconds(lua, 2)?);
        handle.check_ours()?;
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
    let newest = handle.pool();
    let pools = handle.pools.borrow().clone();
    let mut by_themselves = true;
    // The newest takes no jobs as soon as this begins.
    for each in std::iter::once(&newest).chain(pools.iter().filter(|each| !Rc::ptr_eq(each, &newest))) {
        // SAFETY: see above.
        by_themselves &= unsafe { hooks::patiently(lua, |patience| pool::close(each, limit, patience))? };
    }
    Ok(by_themselves)
}

unsafe fn stats_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let handle = check(lua)?;
        handle.check_ours()?;
        let size = handle.pool().borrow().size();
        let (mut counts, mut standing) = (Counts::default(), Standing::default());
        for pool in handle.pools.borrow().iter() {
            let mut pool = pool.borrow_mut();
            pool.attend();
            counts += pool.counts();
            standing += pool.standing();
        }
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
        let pool = check(lua)?.pool();
        let pool = pool.borrow();
        let state = if !pool.is_ours() {
            "of another process"
        } else if pool.is_lost() {
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
