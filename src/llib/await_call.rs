//! `task:await([ms [, keep]])` and `task:result([ms [, keep]])`: waiting.

use std::ffi::c_int;

use llib_lua::ffi::*;

use super::deliver::{add_identity, deliver};
use super::task;
use llib_core::observe::trace;
use llib_core::sys::clock;
use llib_core::wire::kind::Kind;
use llib_host::NotYet;
use llib_lua::call::{Outcome, Raise, milliseconds, wrong_type};
use llib_lua::hooks;
use llib_lua::types::failure;

/// The values, or nil and a failure.
///
/// # Safety
/// Called by Lua.
pub(super) unsafe fn values(lua: *mut lua_State) -> Outcome {
    // SAFETY: as demanded.
    Ok(unsafe { wait(lua) }?.unwrap_or(2))
}

/// True and the values, or false and a failure.
///
/// # Safety
/// Called by Lua.
pub(super) unsafe fn result(lua: *mut lua_State) -> Outcome {
    // SAFETY: as demanded; so many values are on top.
    unsafe {
        let count = wait(lua)?;
        let values = count.unwrap_or_else(|| {
            lua_remove(lua, -2);
            1
        });
        if lua_checkstack(lua, 1) == 0 {
            return Err(Raise::Message("too many results".to_owned()));
        }
        lua_pushboolean(lua, c_int::from(count.is_some()));
        lua_insert(lua, -1 - values);
        Ok(1 + values)
    }
}

/// Pushes the values and returns how many, or pushes nil and a failure and returns `None`.
///
/// # Safety
/// Called by Lua.
unsafe fn wait(lua: *mut lua_State) -> Result<Option<c_int>, Raise> {
    // SAFETY: Lua's state; index 1 is checked to be a task and stays on the stack.
    unsafe {
        let task = task::check(lua)?;
        let time = milliseconds(lua, 2)?;
        let keep = match lua_type(lua, 3) {
            LUA_TBOOLEAN => Some(lua_toboolean(lua, 3) != 0),
            kind if kind <= LUA_TNIL => None,
            _ => return Err(wrong_type(lua, 3, "boolean")),
        };
        lua_settop(lua, 1);
        let limit = time.map(clock::after);
        let waiting = trace::span("wait", || format!("await {}", task.facts.name));
        let (job, settled) = loop {
            // Taken anew each round: a hook may have cleaned the task meanwhile.
            let job = task.job()?;
            match job.wait(limit) {
                Ok(settled) => break (job, settled),
                Err(NotYet::TimedOut) => {
                    let pid = job.pid();
                    drop(job);
                    if keep == Some(false) {
                        task.end(lua)?;
                    }
                    let waited = time.unwrap_or_default().as_secs_f64() * 1000.0;
                    lua_pushnil(lua);
                    failure::push(lua, Kind::Timeout, &format!("no result within {waited} ms"));
                    add_identity(lua, &task.facts.name, pid);
                    return Ok(None);
                }
                Err(NotYet::Pause) => {
                    drop(job);
                    hooks::run(lua)?;
                }
            }
        };
        drop(waiting);
        let values = deliver(lua, &task.facts, &*job, settled)?;
        drop(job);
        if keep != Some(true) {
            task.clean();
        }
        Ok(values)
    }
}
