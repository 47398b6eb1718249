//! Putting a worker into a sandbox, in the order that matters: what needs the outside comes first, then the walls,
//! and values that somebody sent only after that.

use llib::lua::api;
use llib::lua::call::bytes;
use llib::lua::ffi::*;
use llib::shm::{Mailbox, Tree};
use llib::wire::sandbox::SandboxPolicy;

use super::walls;
use crate::job::{Desk, Job, Walls};
use crate::{child, sandbox, sys};

/// Puts this process into its job's sandbox, as far as it does not stand in it yet, and sets the job's limits.
pub(super) fn enter(lua: *mut lua_State, job: &'static Job, policy: &SandboxPolicy) -> Result<(), String> {
    if job.desk.walls.is_some() {
        child::set_title("llib:", &job.settings.name);
        let limited = sandbox::limit(&job.settings.limits);
        sandbox::forget();
        return limited;
    }
    // SAFETY: the worker's state, idle, and nothing of the job has run.
    unsafe {
        build(lua, policy, Some(job))?;
    }
    job.open_segments().map_err(|error| error.to_string())?;
    job.attach_objects().map_err(|error| error.to_string())?;
    raise(policy, job.mailbox, &job.desk)?;
    let limited = sandbox::limit(&job.settings.limits);
    sandbox::forget();
    limited
}

/// Puts a spare into a sandbox without grants, to wait for its job there. It ends if that cannot be.
pub(crate) fn wall_in(lua: *mut lua_State, mailbox: Mailbox<'static>, desk: &Desk) -> Walls {
    let policy = SandboxPolicy::default();
    let longest = llib::wire::limits::IN_SANDBOX.result.unwrap_or(0);
    // SAFETY: the worker's state, idle, and nothing of a job has run.
    let walls = unsafe { build(lua, &policy, None) }
        .and_then(|()| desk.open_room(longest).map_err(|error| error.to_string()))
        .and_then(|walls| raise(&policy, mailbox, desk).map(|()| walls));
    sandbox::forget();
    walls.unwrap_or_else(|_| sys::exit_now(1))
}

/// Builds the walls of the language, with the search paths of a job that is there already.
unsafe fn build(lua: *mut lua_State, policy: &SandboxPolicy, job: Option<&Job>) -> Result<(), String> {
    // SAFETY: the caller's state; the call is protected, and policy and job live meanwhile.
    unsafe {
        lua_settop(lua, 0);
        lua_pushcfunction(lua, walls::build);
        lua_pushlightuserdata(lua, std::ptr::from_ref(policy).cast_mut().cast());
        let job = job.map_or(std::ptr::null(), std::ptr::from_ref);
        lua_pushlightuserdata(lua, job.cast_mut().cast());
        if lua_pcall(lua, 2, 0, 0) != LUA_OK {
            let reason = bytes(lua, -1).unwrap_or_default();
            return Err(String::from_utf8_lossy(reason).into_owned());
        }
    }
    Ok(())
}

fn raise(policy: &SandboxPolicy, mailbox: Mailbox<'static>, desk: &Desk) -> Result<(), String> {
    sys::seccomp::note_denied_in(mailbox.denied());
    api::forbid_async();
    llib::observe::hush();
    if let Some(tree) = Tree::joined() {
        tree.confine();
    }
    sandbox::raise(policy, desk.doorbell)
}
