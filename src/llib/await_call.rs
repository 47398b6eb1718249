//! `task:await([ms [, keep]])`: waiting.

use llib_lua::ffi::*;

use super::deliver::{add_identity, deliver};
use super::task;
use llib_core::observe::trace;
use llib_core::sys::clock;
use llib_core::wire::kind::Kind;
use llib_host::NotYet;
use llib_lua::call::{Outcome, milliseconds, wrong_type};
use llib_lua::hooks;
use llib_lua::types::failure;

/// # Safety
/// Called by Lua.
pub(super) unsafe fn body(lua: *mut lua_State) -> Outcome {
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
                    return Ok(2);
                }
                Err(NotYet::Pause) => {
                    drop(job);
                    hooks::run(lua)?;
                }
            }
        };
        drop(waiting);
        let results = deliver(lua, &task.facts, &*job, settled)?;
        drop(job);
        if keep != Some(true) {
            task.clean();
        }
        Ok(results)
    }
}
