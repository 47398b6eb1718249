//! `task:await([ms [, keep]])`: waiting, and turning what came into values or a failure.

use std::ffi::c_int;
use std::rc::Rc;

use llib_lua::ffi::*;

use super::failure;
use super::task::{self, Facts};
use llib_host::{Death, Job, Settled, Waited};
use llib_lua::call::{Outcome, Raise, bytes, milliseconds};
use llib_lua::convert::{DecodeOptions, Source, decode};
use llib_lua::hooks;
use llib_lua::types::{Objects, Sent};
use llib_core::observe::trace;
use llib_core::shared::split_in_memory;
use llib_core::sys::call_names::call_name;
use llib_core::sys::{clock, signal};
use llib_core::wire::cause::{Cause, Scarce};
use llib_core::wire::kind::Kind;
use llib_core::wire::limits::Limits;

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
            _ => return Err(llib_lua::call::wrong_type(lua, 3, "boolean")),
        };
        lua_settop(lua, 1);
        let limit = time.map(clock::after);
        let waiting = trace::span("wait", || format!("await {}", task.facts.name));
        let settled = loop {
            // Taken anew each round: a hook may have cleaned the task meanwhile.
            let job = task.job()?;
            match job.wait(limit) {
                Waited::Settled(settled) => break settled,
                Waited::TimedOut => {
                    let pid = job.pid();
                    drop(job);
                    if keep == Some(false) {
                        task.end(lua)?;
                    }
                    let waited = time.unwrap_or_default().as_secs_f64() * 1000.0;
                    lua_pushnil(lua);
                    failure::push(lua, Kind::Timeout, &format!("no result within {waited} ms"));
                    add_identity(lua, &task.facts, pid);
                    return Ok(2);
                }
                Waited::Pause => {
                    drop(job);
                    hooks::run(lua)?;
                }
            }
        };
        drop(waiting);
        let job = task.job()?;
        let results = deliver(lua, &task.facts, &job, settled)?;
        drop(job);
        if keep != Some(true) {
            task.clean();
        }
        Ok(results)
    }
}

/// Pushes the values or `nil, err`.
pub(super) unsafe fn deliver(lua: *mut lua_State, facts: &Facts, job: &Rc<Job>, settled: Settled) -> Outcome {
    const VALUES: u32 = 1;
    // SAFETY: the caller's state with the task at index 1 alone.
    unsafe {
        match settled {
            Settled::Reply(VALUES) => {
                job.note_outcome("values");
                match decode_reply(lua, facts, job) {
                    Ok(count) => return Ok(count),
                    Err(error) => damaged(lua, job, &error),
                }
            }
            Settled::Reply(code) => {
                job.note_outcome(Kind::from_reply(code).unwrap_or(Kind::Encode).name());
                reported(lua, facts, job, code);
            }
            Settled::Death(death) => {
                let kind = died(lua, facts, job, death);
                job.note_outcome(kind.name());
            }
            Settled::Lost => {
                job.note_outcome(Kind::Lost.name());
                lost(lua);
            }
        }
        add_facts(lua, facts, job)?;
    }
    Ok(2)
}

unsafe fn decode_reply(lua: *mut lua_State, facts: &Facts, job: &Job) -> Result<c_int, String> {
    let limit =
        |limit: Option<u64>| limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let max_len = limit(facts.limits.result);
    let (reply, options) = match &facts.sandbox {
        None => (job.reply_bytes(), DecodeOptions { max_len, ..DecodeOptions::TRUSTED }),
        Some(sandboxed) => {
            let options = DecodeOptions {
                functions: sandboxed.functions,
                requires: sandboxed.functions,
                metatables: sandboxed.metatables,
                max_len,
                // The job held all of it in a heap of its limit; the decoder counts generously.
                max_memory: limit(job.limits(facts.limits).memory).saturating_mul(3).saturating_add(1 << 20),
                ..DecodeOptions::INERT
            };
            (job.hostile_reply_bytes(max_len), options)
        }
    };
    let reply = reply.map_err(|error| error.to_string())?;
    // SAFETY: `reply` keeps the memory mapped until the end of this function.
    unsafe {
        let split = if reply.carries { split_in_memory(reply.start, reply.len) } else { None };
        let len = split.map_or(reply.len, |(values, _)| values);
        let source = Source::new(reply.start, len);
        decode(lua, source, &options, &mut Objects(&Sent::default())).map_err(|error| error.to_string())
    }
}

/// A reply that cannot be had, or makes no sense. What lies in a segment of its own goes with the session.
unsafe fn damaged(lua: *mut lua_State, job: &Job, problem: &str) {
    // SAFETY: the caller's state with the task at index 1.
    unsafe {
        lua_settop(lua, 1);
        if job.is_lost() {
            return lost(lua);
        }
        lua_pushnil(lua);
        failure::push(lua, Kind::Encode, &format!("the result could not be received: {problem}"));
    }
}

/// Pushes nil and the failure of jobs whose supervisors died.
///
/// # Safety
/// `lua` is a valid state with free slots.
pub(super) unsafe fn lost(lua: *mut lua_State) {
    // SAFETY: the caller's state with free slots.
    unsafe {
        lua_pushnil(lua);
        failure::push(lua, Kind::Lost, "the supervisor of the worker processes died");
    }
}

/// A failure that the worker tells of itself: message, traceback, and what was passed to `error` or `rej`.
unsafe fn reported(lua: *mut lua_State, facts: &Facts, job: &Job, code: u32) {
    // SAFETY: the caller's state with the task at index 1 alone.
    unsafe {
        let decoded = decode_reply(lua, facts, job);
        if let Err(damage) = report(lua, 2, &job.limits(facts.limits), code, decoded) {
            damaged(lua, job, &damage);
        }
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

/// A failure that is told by how the process ended.
unsafe fn died(lua: *mut lua_State, facts: &Facts, job: &Job, death: Death) -> Kind {
    // SAFETY: the caller's state with the task at index 1 alone.
    unsafe { tell_death(lua, facts, Some(job), job.usage().cpu(), death) }
}

/// Pushes nil and the failure of a job whose worker died, and returns its kind. `cpu_time` is what it had used, in microseconds.
///
/// # Safety
/// `lua` is a valid state with free slots.
pub(super) unsafe fn tell_death(
    lua: *mut lua_State,
    facts: &Facts,
    job: Option<&Job>,
    cpu_time: u64,
    death: Death,
) -> Kind {
    let by_signal = libc::WIFSIGNALED(death.status).then(|| libc::WTERMSIG(death.status));
    let timeout = &facts.timeout;
    let limits = &job.map_or(facts.limits, |job| job.limits(facts.limits));
    let (kind, message) = match death.cause {
        Cause::Killed => {
            let name = by_signal.map(signal::name).unwrap_or_default();
            (Kind::Killed, format!("killed by task:kill (SIG{name})"))
        }
        Cause::Deadline => {
            let limit = timeout.unwrap_or_default().as_secs_f64() * 1000.0;
            (Kind::Deadline, format!("still running after its timeout of {limit} ms"))
        }
        Cause::Closed => (Kind::Closed, "killed, since it did not end by itself after task:close".to_owned()),
        Cause::NotStarted => {
            let reason = std::io::Error::from_raw_os_error(death.status);
            (Kind::Lost, format!("no worker process could be started: {reason}"))
        }
        Cause::Refused => (Kind::Denied, refused(Scarce::from_code(death.status)).to_owned()),
        Cause::Itself => match by_signal {
            Some(number) if limits.is_cpu_death(number, cpu_time) => {
                let limit = limits.cpu.unwrap_or_default() as f64 / 1000.0;
                let used = cpu_time as f64 / 1000.0;
                (Kind::Cpu, format!("used {used} ms of CPU time, and its limit was {limit} ms"))
            }
            Some(libc::SIGSYS) if facts.sandbox.is_some() => {
                (Kind::Denied, job.map(denied).unwrap_or_default())
            }
            Some(number) => (Kind::Signal, format!("the worker process died of SIG{}", signal::name(number))),
            None => {
                let code = libc::WEXITSTATUS(death.status);
                (Kind::Exit, format!("the worker process exited with code {code} and without a result"))
            }
        },
    };
    // SAFETY: the caller's state with the task at index 1 alone.
    unsafe {
        lua_pushnil(lua);
        failure::push(lua, kind, &message);
        if matches!(death.cause, Cause::NotStarted | Cause::Refused) {
            return kind;
        }
        match by_signal {
            Some(number) => failure::set_text(lua, c"signal", &signal::name(number)),
            None => failure::set_integer(lua, c"code", i64::from(libc::WEXITSTATUS(death.status))),
        }
        if kind == Kind::Denied
            && let Some(name) = job.and_then(|job| job.denied_call()).and_then(call_name)
        {
            failure::set_text(lua, c"call", name);
        }
        let limit = match kind {
            Kind::Deadline => timeout.unwrap_or_default().as_secs_f64() * 1000.0,
            Kind::Cpu => limits.cpu.unwrap_or_default() as f64 / 1000.0,
            _ => return kind,
        };
        lua_pushnumber(lua, limit);
        lua_setfield(lua, -2, c"limit".as_ptr());
        kind
    }
}

/// Why a sandboxed job's own job was not started.
fn refused(scarce: Scarce) -> &'static str {
    match scarce {
        Scarce::Jobs => {
            "not started: the sandbox has as many jobs as it may have at once, those of its jobs included"
        }
        Scarce::Memory => "not started: the sandbox has less memory left for jobs than this one asks for",
        Scarce::Cpu => "not started: the sandbox has less CPU time left for jobs than this one asks for",
    }
}

/// Which system call it was. The number is the worker's word.
fn denied(job: &Job) -> String {
    match job.denied_call().and_then(call_name) {
        Some(name) => format!("the sandbox denied the system call {name}"),
        None => "the sandbox denied a system call".to_owned(),
    }
}

/// What every failure of a job tells: its name, process, usage and captured output.
unsafe fn add_facts(lua: *mut lua_State, facts: &Facts, job: &Job) -> Result<(), Raise> {
    // SAFETY: the caller has a failure on top of the stack.
    unsafe {
        add_identity(lua, facts, job.settled_pid());
        failure::push_usage(lua, job.wall(), job.usage());
        lua_setfield(lua, -2, c"usage".as_ptr());
        if facts.captures {
            let output = hooks::patiently(lua, |patience| job.output(patience))?;
            failure::set_output(lua, &output);
        }
    }
    Ok(())
}

unsafe fn add_identity(lua: *mut lua_State, facts: &Facts, pid: Option<i32>) {
    // SAFETY: the caller has a failure on top of the stack.
    unsafe {
        failure::set_text(lua, c"name", &facts.name);
        if let Some(pid) = pid {
            failure::set_integer(lua, c"pid", i64::from(pid));
        }
    }
}

/// The error of a task that was cleaned.
pub(super) fn cleaned(name: &str) -> Raise {
    Raise::Message(format!("task '{name}' has been cleaned"))
}
