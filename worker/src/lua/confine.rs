//! Putting a worker into a sandbox, in the order that matters: what needs the outside comes first, then the walls,
//! and values that somebody sent only after that.

use llib_core::shm::{Room, Tree};
use llib_core::wire::charter::{Charter, Module};
use llib_core::wire::limits::IN_SANDBOX;
use llib_core::wire::sandbox::SandboxPolicy;
use llib_core::wire::settings::{Settings, Stdio};
use llib_host::{Broker, serve_in_sandbox};
use llib_lua::call::bytes;
use llib_lua::ffi::*;

use super::walls::{self, Plan};
use crate::job::{Desk, Job};
use llib_sandbox::{self as sandbox, Grants};
use llib_worker_sys as sys;

/// Puts this process into its job's sandbox, as far as it does not stand in it yet, and sets the job's limits.
pub(super) fn enter(lua: *mut lua_State, job: &'static Job, policy: &SandboxPolicy) -> Result<(), String> {
    if job.desk.walls.is_some() {
        sys::set_title("llib:", &job.settings.name);
    } else {
        let starter = job.desk.errand.as_ref().map(|errand| &errand.charter);
        let grants = Grants::open(policy, starter)?;
        // SAFETY: the worker's state, idle, and nothing of the job has run.
        let modules = unsafe { build(lua, policy, Some(job))? };
        job.open_segments(grants.pins(), modules)?;
        let inherits = |stdio| stdio == Stdio::Inherit;
        pass_on(&job.desk, inherits(job.settings.stdout), inherits(job.settings.stderr))?;
        sys::seccomp::note_denied_in(job.mailbox.denied());
        raise(policy, grants, &job.desk)?;
    }
    let limited = sandbox::limit(&job.settings.limits);
    sandbox::forget();
    let doorbell = job.desk.doorbell;
    serve_in_sandbox(Broker {
        nest: job.room().and_then(Room::nest),
        mailbox: job.desk.journal,
        ring: Box::new(move || sys::ring_doorbell(doorbell)),
        policy: policy.clone(),
        result: job.settings.limits.result,
        used: false.into(),
    });
    limited
}

/// Puts a spare into a sandbox without grants, to wait for its job there. It ends if that cannot be.
pub(crate) fn wall_in(lua: *mut lua_State, desk: &Desk) -> &'static Room {
    let policy = SandboxPolicy::default();
    let settings = Settings { limits: IN_SANDBOX, sandbox: Some(policy.clone()), ..Settings::default() };
    sys::seccomp::note_denied_in(desk.journal.denied());
    // SAFETY: the worker's state, idle, and nothing of a job has run.
    let room = unsafe { build(lua, &policy, None) }
        .and_then(|_| {
            let charter = Charter { settings, ..Charter::default() };
            desk.open_room(&charter).map_err(|error| error.to_string())
        })
        .and_then(|room| pass_on(desk, true, true).map(|()| room))
        .and_then(|room| raise(&policy, Grants::default(), desk).map(|()| room));
    sandbox::forget();
    room.unwrap_or_else(|_| sys::exit_now(1))
}

/// Takes the host's streams from this process, of those that it would print to.
fn pass_on(desk: &Desk, output: bool, error: bool) -> Result<(), String> {
    sys::pass_on(desk.doorbell, output, error)
        .map_err(|error| format!("what it prints cannot be passed on: {error}"))
}

/// Builds the walls of the language, with the search paths of a job that is there already; returns what modules it has.
unsafe fn build(
    lua: *mut lua_State,
    policy: &SandboxPolicy,
    job: Option<&Job>,
) -> Result<Vec<Module>, String> {
    let mut plan = Plan { policy, job, modules: Vec::new() };
    // SAFETY: the caller's state; the call is protected, and the plan is the call's alone meanwhile.
    unsafe {
        lua_settop(lua, 0);
        lua_pushcfunction(lua, walls::build);
        lua_pushlightuserdata(lua, (&raw mut plan).cast());
        if lua_pcall(lua, 1, 0, 0) != LUA_OK {
            let reason = bytes(lua, -1).unwrap_or_default();
            return Err(String::from_utf8_lossy(reason).into_owned());
        }
    }
    Ok(plan.modules)
}

fn raise(policy: &SandboxPolicy, grants: Grants, desk: &Desk) -> Result<(), String> {
    llib_core::observe::hush();
    if let Some(tree) = Tree::joined() {
        tree.confine();
    }
    sandbox::raise(policy, grants, desk.doorbell, &desk.kept)
}
