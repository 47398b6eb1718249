//! What a job that has settled gives: its values, or nil and a failure.

use std::ffi::c_int;

use llib_lua::ffi::*;

use super::death::tell_death;
use super::task::Facts;
use llib_core::wire::cause::Cause;
use llib_core::wire::kind::Kind;
use llib_core::wire::limits::Limits;
use llib_host::{Dispatched, Settled};
use llib_lua::call::{Raise, bytes, push_text};
use llib_lua::convert::{DecodeOptions, Source, decode};
use llib_lua::hooks;
use llib_lua::types::{Objects, failure, result_memory};

/// Why jobs, pools and preloads are lost with their supervisors.
pub(super) const LOST: &str =
    "the supervisors of the worker processes have ended: they died, or thread.close was called";

/// What is said of a pool before how one of its workers has stopped it.
pub(super) const STOPPED: &str = "the pool has stopped, since its workers die at their start: ";

/// Pushes the values and returns how many, or pushes nil and the failure and returns `None`.
///
/// # Safety
/// `lua` is a valid state with free slots, in a protected call.
pub(super) unsafe fn deliver(
    lua: *mut lua_State,
    facts: &Facts,
    job: &dyn Dispatched,
    settled: Settled,
) -> Result<Option<c_int>, Raise> {
    // SAFETY: as demanded; the caller's values stay below `top`.
    unsafe {
        let top = lua_gettop(lua);
        let kind = match settled {
            Settled::Reply(code) => {
                let values = code == Settled::VALUES;
                let kind =
                    if values { "values" } else { Kind::from_reply(code).unwrap_or(Kind::Encode).name() };
                job.note_outcome(kind);
                let decoded = decode_reply(lua, facts, job);
                let outcome = match decoded {
                    Ok(count) if values => return Ok(Some(count)),
                    Err(problem) if values => Err(problem),
                    decoded => report(lua, top + 1, &job.limits(facts.limits), code, decoded),
                };
                if let Err(problem) = outcome {
                    lua_settop(lua, top);
                    damaged(lua, job, &problem);
                }
                kind
            }
            Settled::Death(death) => tell_death(lua, facts, job, death).name(),
            Settled::Cancelled(cause) => {
                let (kind, how) = match cause {
                    Cause::Closed => (Kind::Closed, "closed"),
                    _ => (Kind::Killed, "killed"),
                };
                lua_pushnil(lua);
                failure::push(lua, kind, &format!("{how} before a worker had it"));
                kind.name()
            }
            Settled::Stopped => return stopped(lua, facts, job).map(|()| None),
            Settled::Lost => {
                lost(lua);
                Kind::Lost.name()
            }
        };
        job.note_outcome(kind);
        add_facts(lua, facts, job)?;
    }
    Ok(None)
}

/// The failure of the worker that has stopped a pool, as that of one of the pool's jobs.
unsafe fn stopped(lua: *mut lua_State, facts: &Facts, job: &dyn Dispatched) -> Result<(), Raise> {
    // SAFETY: the caller's state with free slots.
    unsafe {
        let Some((worker, settled)) = job.stopper() else {
            lost(lua);
            return Ok(());
        };
        deliver(lua, facts, &*worker, settled)?;
        lua_getfield(lua, -1, c"message".as_ptr());
        push_text(lua, STOPPED);
        lua_insert(lua, -2);
        lua_concat(lua, 2);
        lua_setfield(lua, -2, c"message".as_ptr());
    }
    Ok(())
}

/// Decodes the reply of a job and pushes its values. On error the stack is as it was.
///
/// # Safety
/// As for [`deliver`].
pub(super) unsafe fn decode_reply(
    lua: *mut lua_State,
    facts: &Facts,
    job: &dyn Dispatched,
) -> Result<c_int, String> {
    let limit =
        |limit: Option<u64>| limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let max_len = limit(facts.limits.result);
    let (hostile, options) = match &facts.sandbox {
        None => (None, DecodeOptions { max_len, ..DecodeOptions::TRUSTED }),
        Some(sandboxed) => {
            let options = DecodeOptions {
                functions: sandboxed.functions,
                requires: sandboxed.functions,
                metatables: sandboxed.metatables,
                max_len,
                max_memory: result_memory(limit(job.limits(facts.limits).memory)),
                ..DecodeOptions::INERT
            };
            (Some(max_len), options)
        }
    };
    let reply = job.reply(hostile).map_err(|error| error.to_string())?;
    // SAFETY: `reply` and the job keep the memory mapped until the end of this function.
    unsafe {
        let values = reply.values();
        let source = Source::new(values.as_ptr(), values.len());
        decode(lua, source, &options, &mut Objects::default()).map_err(|error| error.to_string())
    }
}

/// A reply that cannot be had, or makes no sense. What lies in a segment of its own goes with the session.
unsafe fn damaged(lua: *mut lua_State, job: &dyn Dispatched, problem: &str) {
    // SAFETY: the caller's state with free slots.
    unsafe {
        if job.is_lost() {
            return lost(lua);
        }
        lua_pushnil(lua);
        failure::push(lua, Kind::Encode, &format!("the result could not be received: {problem}"));
    }
}

/// Pushes nil and the failure of jobs whose supervisors died.
unsafe fn lost(lua: *mut lua_State) {
    // SAFETY: the caller's state with free slots.
    unsafe {
        lua_pushnil(lua);
        failure::push(lua, Kind::Lost, LOST);
    }
}

/// Pushes nil and a failure that a worker tells of itself. `decoded` is what came of decoding it; its values, message,
/// traceback, why what was raised did not come along, and what was raised, are all that stands from the index `base` on.
/// On error nothing sensible is on the stack.
///
/// # Safety
/// `lua` is a valid state with these values on top.
pub(super) unsafe fn report(
    lua: *mut lua_State,
    base: c_int,
    limits: &Limits,
    code: u32,
    decoded: Result<c_int, String>,
) -> Result<(), String> {
    /// Values before what was raised.
    const RAISED: c_int = 3;
    // SAFETY: as demanded.
    unsafe {
        let (count, damage) = match (Kind::from_reply(code), decoded) {
            (Some(_), Ok(count)) => (count, None),
            (Some(_), Err(error)) => (0, Some(error)),
            (None, _) => (0, Some(format!("it is of an unknown kind ({code})"))),
        };
        if let Some(damage) = damage {
            return Err(damage);
        }
        let kind = Kind::from_reply(code).unwrap_or(Kind::Encode);
        let message =
            bytes(lua, base).map(|text| String::from_utf8_lossy(text).into_owned()).unwrap_or_default();
        lua_checkstack(lua, 8);
        failure::push(lua, kind, &message);
        if count >= 1 {
            // The bytes themselves, which need not be UTF-8.
            lua_pushvalue(lua, base);
            lua_setfield(lua, -2, c"message".as_ptr());
        }
        if kind == Kind::Syntax {
            lua_pushboolean(lua, 1);
            lua_setfield(lua, -2, c"syntax".as_ptr());
        }
        if let Some(limit) = limits.memory.filter(|_| kind == Kind::Memory) {
            failure::set_integer(lua, c"limit", limit.cast_signed());
        }
        if count >= 2 {
            lua_pushvalue(lua, base + 1);
            lua_setfield(lua, -2, c"traceback".as_ptr());
        }
        if count >= RAISED && bytes(lua, base + RAISED - 1).is_some() {
            lua_pushvalue(lua, base + RAISED - 1);
            lua_setfield(lua, -2, c"value_reason".as_ptr());
        }
        if count > RAISED {
            lua_pushvalue(lua, base + RAISED);
            lua_setfield(lua, -2, c"value".as_ptr());
            lua_createtable(lua, count - RAISED, 1);
            for position in 1..=count - RAISED {
                lua_pushvalue(lua, base + RAISED - 1 + position);
                lua_rawseti(lua, -2, lua_Integer::from(position));
            }
            lua_pushinteger(lua, lua_Integer::from(count - RAISED));
            lua_setfield(lua, -2, c"n".as_ptr());
            lua_setfield(lua, -2, c"values".as_ptr());
        }
        lua_pushnil(lua);
        lua_insert(lua, -2);
    }
    Ok(())
}

/// What every failure of a job tells: its name, process, usage and captured output.
unsafe fn add_facts(lua: *mut lua_State, facts: &Facts, job: &dyn Dispatched) -> Result<(), Raise> {
    // SAFETY: the caller has a failure on top of the stack.
    unsafe {
        add_identity(lua, &facts.name, job.settled_pid());
        failure::push_usage(lua, job.wall(), job.usage());
        lua_setfield(lua, -2, c"usage".as_ptr());
        if facts.captures {
            let output = hooks::patiently(lua, |patience| job.output(patience))?;
            failure::set_output(lua, output.stdout.as_deref(), output.stderr.as_deref());
        }
    }
    Ok(())
}

/// Sets name and process of the failure on top.
///
/// # Safety
/// A failure is on top of the stack of `lua`, with a free slot.
pub(super) unsafe fn add_identity(lua: *mut lua_State, name: &str, pid: Option<i32>) {
    // SAFETY: as demanded.
    unsafe {
        failure::set_text(lua, c"name", name);
        if let Some(pid) = pid {
            failure::set_integer(lua, c"pid", i64::from(pid));
        }
    }
}
