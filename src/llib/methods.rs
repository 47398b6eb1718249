//! What scripts call of a task, but for `await`.

use std::ffi::{CStr, c_int};

use llib_lua::ffi::*;

use super::task::{Task, check};
use super::{await_call, sandbox};
use llib_core::observe::trace;
use llib_core::sys::signal;
use llib_core::wire::cause::Cause;
use llib_core::wire::kind::Kind;
use llib_host::{Dispatched, Patience, Paused, Settled};
use llib_lua::call::{Outcome, Raise, bytes, is_absent, milliseconds, push_bytes, push_text, wrong_type};
use llib_lua::hooks;
use llib_lua::lua_function;
use llib_lua::types::failure;
use llib_lua::userdata;

/// Registers the metatable.
///
/// # Safety
/// `lua` is a valid state with five free stack slots, in a protected call.
pub(super) unsafe fn register(lua: *mut lua_State) {
    let methods: [(&CStr, lua_CFunction); 15] = [
        (c"await", await_entry),
        (c"clean", clean),
        (c"close", close),
        (c"getfd", getfd),
        (c"id", id),
        (c"kill", kill),
        (c"name", name),
        (c"output", output),
        (c"pause", pause),
        (c"pid", pid),
        (c"result", result),
        (c"resume", resume),
        (c"sandbox", sandbox_entry),
        (c"status", status),
        (c"usage", usage),
    ];
    let metamethods: [(&CStr, lua_CFunction); 3] =
        [(c"__close", clean), (c"__gc", collect), (c"__tostring", to_string)];
    // SAFETY: as demanded.
    unsafe { userdata::register::<Task>(lua, &metamethods, &methods) }
}

lua_function!(await_entry => await_call::values);
lua_function!(result => await_call::result);
lua_function!(clean => clean_body);
lua_function!(collect => userdata::collect::<Task>);
lua_function!(close => close_body);
lua_function!(getfd => getfd_body);
lua_function!(id => id_body);
lua_function!(kill => kill_body);
lua_function!(name => name_body);
lua_function!(output => output_body);
lua_function!(pause => pause_body);
lua_function!(pid => pid_body);
lua_function!(resume => resume_body);
lua_function!(sandbox_entry => sandbox_body);
lua_function!(status => status_body);
lua_function!(to_string => to_string_body);
lua_function!(usage => usage_body);

// Every body below is called by Lua with its state, and keeps the task at index 1 while it uses it: that is
// the SAFETY argument of each.

/// Has something done with the task's job that may take long.
unsafe fn patiently<T>(
    lua: *mut lua_State,
    task: &Task,
    act: impl FnOnce(&dyn Dispatched, Patience<'_>) -> T,
) -> Result<T, Raise> {
    let job = task.job()?;
    // SAFETY: see above.
    unsafe { hooks::patiently(lua, |patience| act(&*job, patience)) }
}

unsafe fn clean_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe { check(lua)?.end(lua)? };
    Ok(0)
}

unsafe fn close_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let (task, grace) = (check(lua)?, milliseconds(lua, 2)?);
        let _span = trace::span("close", || format!("close {}", task.facts.name));
        patiently(lua, task, |job, patience| job.close(grace, patience))?;
    }
    Ok(0)
}

unsafe fn kill_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let (task, number, grace) = (check(lua)?, signal_argument(lua, 2)?, milliseconds(lua, 3)?);
        if number == libc::SIGSTOP {
            let outcome = pause_body(lua)?;
            if let Some(grace) = grace {
                patiently(lua, task, |job, patience| job.kill_after(grace, Cause::Killed, patience))?;
            }
            return Ok(outcome);
        }
        let _span = trace::span("kill", || format!("SIG{} to {}", signal::name(number), task.facts.name));
        patiently(lua, task, |job, patience| {
            job.signal(number, patience);
            if let Some(grace) = grace {
                job.kill_after(grace, Cause::Killed, patience);
            }
        })?;
    }
    Ok(0)
}

/// The signal that is named or numbered at `index`; SIGKILL where nothing is.
///
/// # Safety
/// `lua` is a valid state with free slots.
unsafe fn signal_argument(lua: *mut lua_State, index: c_int) -> Result<i32, Raise> {
    // SAFETY: see above; the type is checked before a value is read.
    unsafe {
        if is_absent(lua, index) {
            return Ok(libc::SIGKILL);
        }
        if let Some(name) = bytes(lua, index) {
            let name = String::from_utf8_lossy(name);
            return signal::number(&name)
                .ok_or_else(|| Raise::Argument(index, format!("unknown signal '{name}'")));
        }
        let mut exact = 0;
        let number = lua_tointegerx(lua, index, &mut exact);
        if exact == 0 {
            return Err(wrong_type(lua, index, "signal name or number"));
        }
        i32::try_from(number)
            .ok()
            .filter(|number| signal::exists(*number))
            .ok_or_else(|| Raise::Argument(index, format!("unknown signal {number}")))
    }
}

unsafe fn pause_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let reason = match patiently(lua, check(lua)?, |job, patience| job.pause(patience))? {
            Paused::Yes => {
                lua_pushboolean(lua, 1);
                return Ok(1);
            }
            Paused::Locked => "the job runs on: it has held a lock of something shared for a second",
            Paused::Unheard => "no worker has the job yet",
        };
        lua_pushnil(lua);
        failure::push(lua, Kind::Busy, reason);
    }
    Ok(2)
}

unsafe fn resume_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        patiently(lua, check(lua)?, |job, patience| job.signal(libc::SIGCONT, patience))?;
    }
    Ok(0)
}

/// `running`, `paused`, `done`, `failed` or `cleaned`.
fn word(task: &Task) -> &'static str {
    let Ok(job) = task.job() else { return "cleaned" };
    match job.settled_by_now() {
        Some(Settled::Reply(Settled::VALUES)) => "done",
        Some(_) => "failed",
        None if job.is_paused() => "paused",
        None => "running",
    }
}

unsafe fn status_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let task = check(lua)?;
        if task.is_foreign() {
            task.job()?;
        }
        push_text(lua, word(task));
    }
    Ok(1)
}

unsafe fn to_string_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let task = check(lua)?;
        let status = if task.is_foreign() { "of another process" } else { word(task) };
        let name = &task.facts.name;
        let pid = task.job().ok().and_then(|job| job.pid());
        let pid = pid.map(|pid| format!(", pid {pid}")).unwrap_or_default();
        push_text(lua, &format!("llib.task: {name} ({status}{pid})"));
    }
    Ok(1)
}

unsafe fn name_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe { push_text(lua, &check(lua)?.facts.name) };
    Ok(1)
}

unsafe fn id_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe { lua_pushinteger(lua, check(lua)?.id.get().cast_signed()) };
    Ok(1)
}

unsafe fn pid_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let task = check(lua)?;
        loop {
            // A job that found no spare gets its process a moment after `async` has returned.
            match task.job()?.wait_for_pid() {
                Ok(Some(pid)) => lua_pushinteger(lua, i64::from(pid)),
                Ok(None) => lua_pushnil(lua),
                Err(_) => {
                    hooks::run(lua)?;
                    continue;
                }
            }
            return Ok(1);
        }
    }
}

unsafe fn usage_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let job = check(lua)?.job()?;
        failure::push_usage(lua, job.wall(), job.usage());
    }
    Ok(1)
}

/// A table of what was enforced; nil for a job without a sandbox.
unsafe fn sandbox_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        match &check(lua)?.facts.sandbox {
            Some(sandboxed) => sandbox::push_report(lua, &sandboxed.report),
            None => lua_pushnil(lua),
        }
    }
    Ok(1)
}

unsafe fn output_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let output = patiently(lua, check(lua)?, |job, patience| job.output(patience))?;
        for stream in [&output.stdout, &output.stderr] {
            match stream {
                Some(text) => push_bytes(lua, text),
                None => lua_pushnil(lua),
            }
        }
    }
    Ok(2)
}

unsafe fn getfd_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let made = check(lua)?.job()?.watch();
        let number = made.map_err(|error| Raise::Message(format!("failed to make a descriptor: {error}")))?;
        lua_pushinteger(lua, i64::from(number));
    }
    Ok(1)
}
