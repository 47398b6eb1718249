//! `thread.async` in a sandboxed job: the job that it starts is in the same sandbox, or in a narrower one.

use std::ffi::c_int;

use super::options::Options;
use llib_host::{Broker, BrokerError, Job, Launch};
use llib_lua::call::Raise;
use llib_lua::convert::{EncodeOptions, encode};
use llib_lua::ffi::*;
use llib_lua::hooks;
use llib_lua::types::{Objects, Sent};
use llib_lua::version::collector;
use llib_core::shared::Object;
use llib_core::shm::{Joined, Mailbox};
use llib_core::wire::sandbox::{JOBS, SandboxPolicy};
use llib_core::wire::settings::{Settings, Stdio};

/// What `sandbox = {}` grants where the job's own sandbox is the outer one.
pub(super) fn without_grants() -> SandboxPolicy {
    let jobs = Broker::current().map_or(JOBS, |broker| broker.policy.jobs.min(JOBS));
    SandboxPolicy { jobs, ..SandboxPolicy::default() }
}

/// Turns options as they were given into those of a job inside `broker`'s sandbox. The error says what it cannot have.
pub(super) fn inherit(options: &mut Options, broker: &Broker) -> Result<(), String> {
    for (key, stdio) in [("stdout", options.stdout), ("stderr", options.stderr)] {
        if stdio == Stdio::Capture {
            return Err(format!("option '{key}': a sandboxed job cannot capture what its own jobs print"));
        }
    }
    if options.functions {
        return Err("option 'functions': a sandboxed job takes no functions from its own jobs".to_owned());
    }
    let policy = match options.sandbox.take() {
        Some(policy) => policy.within(&broker.policy)?,
        None => broker.policy.clone(),
    };
    options.sandbox = Some(policy);
    options.limits.result = options.limits.result.into_iter().chain(broker.longest()).min();
    Ok(())
}

/// Hands over a job of `count` values from `first` on.
///
/// # Safety
/// `lua` is a valid state with these values and free slots.
pub(super) unsafe fn send(
    lua: *mut lua_State,
    broker: &'static Broker,
    first: c_int,
    count: c_int,
    options: &Options,
    choice: &EncodeOptions<'_>,
    name: String,
) -> Result<Job, Raise> {
    if llib_core::sys::fork::happened() {
        return Err(Raise::Message("a process that a sandboxed job forked can start no jobs".to_owned()));
    }
    // All else is its starter's.
    let settings = Settings {
        name,
        nice: options.nice,
        stdout: options.stdout,
        stderr: options.stderr,
        limits: options.limits,
        sandbox: options.sandbox.clone(),
        ..Settings::default()
    }
    .to_bytes();
    if settings.len() > Mailbox::READY {
        let (len, most) = (settings.len(), Mailbox::READY);
        let problem = format!("a job's name and grants take up {len} bytes, in a sandbox {most} at most");
        return Err(Raise::Message(problem));
    }
    let sent = Sent::default();
    // SAFETY: the caller has these values.
    let encoded = unsafe {
        encode(lua, first, count, choice, &mut Objects(&sent), |values| {
            sent.with(|_, tail| llib_core::shm::Payload::to_vec(&Joined([&&settings[..], values, &tail])))
        })
    };
    let payload = encoded.map_err(|error| Raise::Message(error.to_string()))?;
    let objects = sent.objects();
    let objects: Vec<&Object> = objects.iter().map(|object| &**object).collect();
    let launch = Launch { timeout: options.timeout, limits: options.limits, ..Launch::default() };
    let dispatch = || {
        // SAFETY: the caller's state with free slots.
        unsafe {
            hooks::patiently(lua, |patience| broker.dispatch(&&payload[..], &objects, &launch, patience))
        }
    };
    let mut dispatched = dispatch()?;
    if matches!(dispatched, Err(BrokerError::Full { .. })) {
        // Tasks that nobody uses may have the slots.
        // SAFETY: as above.
        unsafe { collector::collect(lua) };
        dispatched = dispatch()?;
    }
    dispatched.map_err(|error| Raise::Message(error.to_string()))
}
