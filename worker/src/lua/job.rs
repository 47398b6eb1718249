//! A job from its bytes to its end.

use std::ffi::{OsStr, c_int};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use llib_core::wire::kind::Kind;
use llib_core::wire::limits::Limits;
use llib_core::wire::settings::Stdio;
use llib_lua::call::{Outcome, bytes, push_bytes};
use llib_lua::convert::{DecodeError, DecodeOptions, MEMORY_FACTOR, Roots, Source, decode, set_own};
use llib_lua::ffi::*;
use llib_lua::lua_function;
use llib_lua::types::Objects;
use llib_lua::version::collector::{self, Pause};

use super::outcome::{
    VALUES, code, exhausted, finish, finish_failure, heap_exhausted, is_memory_error, send, tell,
};
use super::raw::{push_field, push_library, set_global};
use super::text::compile_at;
use super::{confine, explain, memory, res};
use crate::child;
use crate::job::{self, Job};
use llib_sandbox::limits;
use llib_worker_sys as sys;

/// Runs the job. The process ends here, by itself or by a signal.
pub(crate) fn run(lua: *mut lua_State, job: &'static Job) -> ! {
    sys::heap::on_exhaustion(heap_exhausted);
    llib_core::log!(Debug, "runs job {} '{}'", job.id(), job.settings.name);
    if let Some(reason) = &job.refused {
        tell(job, format!("the job was not started: {reason}").as_bytes(), code(Kind::Error));
    }
    if job.desk.walls.is_none() {
        apply_settings(job);
    }
    let entered = match &job.settings.sandbox {
        Some(policy) => confine::enter(lua, job, policy),
        None => {
            // A worker of a pool has its CPU time for each of its jobs.
            let cpu = job.settings.limits.cpu.filter(|_| job.settings.pool.is_none());
            let limits = Limits { cpu, ..job.settings.limits };
            limits::apply(&limits, limits::Lid::Loose).map_err(|error| error.to_string())
        }
    };
    if let Err(reason) = entered {
        tell(job, format!("the job was not started: {reason}").as_bytes(), code(Kind::Error));
    }
    // SAFETY: the worker's state, idle. Errors inside end up here as a status.
    unsafe {
        lua_settop(lua, 0);
        // Takes memory in Lua 5.1, where no error is caught yet.
        lua_pushcfunction(lua, job_main);
        if let Some(bytes) = job.settings.limits.memory {
            memory::limit(lua, bytes);
        }
        let status = lua_pcall(lua, 0, 0, 0);
        if status != LUA_OK {
            // Only what the job's own handler could not take.
            if is_memory_error(lua, status) {
                exhausted(lua, job);
            }
            tell(job, bytes(lua, -1).unwrap_or(b"error in error handling"), code(Kind::Error));
        }
        finish(lua, 1, 0, VALUES)
    }
}

fn apply_settings(job: &Job) {
    let settings = &job.settings;
    sys::set_title("llib:", &settings.name);
    if let Some(directory) = &settings.directory {
        child::enter_directory(Path::new(OsStr::from_bytes(directory)));
    }
    if settings.nice > 0 {
        sys::renice(settings.nice);
    }
    for (stdio, target) in [(settings.stdout, libc::STDOUT_FILENO), (settings.stderr, libc::STDERR_FILENO)] {
        if stdio == Stdio::Null {
            sys::silence(target);
        }
    }
}

/// Runs `decode` and lets the collector start when as much again has been allocated. All that was decoded is
/// alive, as after a collection; without this the collector would begin its work with finding that out.
unsafe fn unhurried<T>(lua: *mut lua_State, len: usize, decode: impl FnOnce() -> T) -> T {
    // SAFETY: the job's state; the calls count and raise nothing.
    unsafe {
        let before = collector::count(lua);
        let pause = Pause::new(lua, len.saturating_mul(MEMORY_FACTOR));
        let decoded = decode();
        let made = collector::count(lua) - before;
        pause.end_keeping(made.saturating_mul(2));
        decoded
    }
}

lua_function!(pub(super) job_main => job_main_body);

unsafe fn job_main_body(lua: *mut lua_State) -> Outcome {
    let Some(job) = job::current() else { return Ok(0) };
    // SAFETY: Lua's state below lua_pcall; the job's values stay mapped while they are decoded.
    unsafe {
        if job.settings.sandbox.is_none() {
            set_search_paths(lua, job);
        }
        explain::push(lua);
        res::push(lua, job);
        lua_pushcfunction(lua, res::rej);
        lua_pushvalue(lua, -1);
        set_global(lua, c"rej");
        lua_pushvalue(lua, -2);
        set_global(lua, c"res");
        lua_pushvalue(lua, -2);
        lua_pushvalue(lua, -2);
        set_own(lua);
        // The stack: 1 handler, 2 res, 3 rej, 4 function, 5… arguments.
        let decoded = job.take_values(|values| {
            unhurried(lua, values.len(), || {
                let source = Source::new(values.as_ptr(), values.len());
                decode(lua, source, &DecodeOptions::TRUSTED, &mut Objects::default())
            })
        });
        if let Err(error) = decoded {
            if job.rehearsal {
                return Ok(0);
            }
            if error == DecodeError::Memory {
                exhausted(lua, job);
            }
            tell(job, format!("the job could not be received: {error}").as_bytes(), code(Kind::Error));
        }
        lua_pushvalue(lua, 4);
        lua_remove(lua, 4);
        lua_insert(lua, 2);
        if !job.rehearsal {
            let status = llib::call_after_fork(lua, 1);
            if status != LUA_OK {
                fail(lua, job, status, Kind::Error);
            }
        }
        // The stack: 1 handler, 2 function, 3 res, 4 rej, 5… arguments.
        let status = compile_at(lua, 2, &job.settings.name);
        if status != LUA_OK {
            fail(lua, job, status, Kind::Syntax);
        }
        let arguments = lua_gettop(lua) - 2;
        let status = lua_pcall(lua, arguments, LUA_MULTRET, 1);
        if status == LUA_OK {
            let count = lua_gettop(lua) - 1;
            if job.rehearsal {
                sys::flush_streams();
                // Not sent; what cannot be copied fails again when it matters.
                let _ = send(lua, job, 2, count, VALUES, Roots::Results);
                return Ok(0);
            }
            if let Some(post) = &job.settings.pool {
                // What came was only to be run once, before the pool's own jobs.
                super::pool::serve(lua, job, post);
            }
            finish(lua, 2, count, VALUES);
        }
        if job.rehearsal {
            return Ok(0);
        }
        fail(lua, job, status, Kind::Error)
    }
}

pub(super) unsafe fn set_search_paths(lua: *mut lua_State, job: &Job) {
    // SAFETY: Lua's state; raw access, since modules that were preloaded may have done anything to the table.
    unsafe {
        push_library(lua, c"package");
        if lua_type(lua, -1) != LUA_TTABLE {
            lua_pop(lua, 1);
            return;
        }
        for (field, value) in [(c"path", &job.settings.path), (c"cpath", &job.settings.cpath)] {
            let Some(value) = value else { continue };
            push_field(lua, field.as_ptr());
            // Usually it is this already, and each page that is not written to is one less to copy.
            let same = bytes(lua, -1) == Some(value.as_slice());
            lua_pop(lua, 1);
            if !same {
                lua_pushstring(lua, field.as_ptr());
                push_bytes(lua, value);
                lua_rawset(lua, -3);
            }
        }
        lua_pop(lua, 1);
    }
}

/// Ends the job with the error that is on top of the stack.
unsafe fn fail(lua: *mut lua_State, job: &Job, status: c_int, kind: Kind) -> ! {
    // SAFETY: the job's state, with the handler at the bottom of the stack.
    unsafe {
        if is_memory_error(lua, status) {
            exhausted(lua, job);
        }
        lua_insert(lua, 2);
        lua_settop(lua, 2);
        explain::unfold(lua, 1);
        lua_remove(lua, 1);
        finish_failure(lua, 1, code(kind));
    }
}
