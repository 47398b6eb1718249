//! Failures that are told by how a job's process ended.

use llib_lua::ffi::*;

use super::task::Facts;
use llib_core::sys::call_names::call_name;
use llib_core::sys::signal;
use llib_core::wire::cause::{Cause, Scarce};
use llib_core::wire::kind::Kind;
use llib_host::{Death, Dispatched};
use llib_lua::types::failure;

/// Pushes nil and the failure of a job whose worker died, and returns its kind.
///
/// # Safety
/// `lua` is a valid state with free slots.
pub(super) unsafe fn tell_death(
    lua: *mut lua_State,
    facts: &Facts,
    job: &dyn Dispatched,
    death: Death,
) -> Kind {
    let by_signal = libc::WIFSIGNALED(death.status).then(|| libc::WTERMSIG(death.status));
    let timeout = &facts.timeout;
    let limits = &job.limits(facts.limits);
    // That of a worker of many jobs says nothing of this one.
    let cpu_time = job.usage().map_or(0, |usage| usage.cpu());
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
            Some(libc::SIGSYS) if facts.sandbox.is_some() => (Kind::Denied, denied(job)),
            Some(number) => (Kind::Signal, format!("the worker process died of SIG{}", signal::name(number))),
            None => {
                let code = libc::WEXITSTATUS(death.status);
                (Kind::Exit, format!("the worker process exited with code {code} and without a result"))
            }
        },
    };
    // SAFETY: as demanded.
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
            && let Some(name) = job.denied_call().and_then(call_name)
        {
            failure::set_text(lua, c"call", name);
        }
        let limit = match kind {
            Kind::Deadline => timeout.unwrap_or_default().as_secs_f64() * 1000.0,
            Kind::Cpu => limits.cpu.unwrap_or_default() as f64 / 1000.0,
            _ => return kind,
        };
        failure::set_number(lua, c"limit", limit);
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
fn denied(job: &dyn Dispatched) -> String {
    match job.denied_call().and_then(call_name) {
        Some(name) => format!("the sandbox denied the system call {name}"),
        None => "the sandbox denied a system call".to_owned(),
    }
}
