//! `thread.async` in a sandboxed job: the job that it starts is in the same sandbox, or in a narrower one.

use std::ffi::c_int;

use super::options::Options;
use llib_core::shared::Object;
use llib_core::shm::{Joined, Mailbox, Payload};
use llib_core::wire::settings::Settings;
use llib_host::{Broker, BrokerError, Job, Launch};
use llib_lua::call::Raise;
use llib_lua::convert::EncodeOptions;
use llib_lua::ffi::*;
use llib_lua::hooks;
use llib_lua::types::Outgoing;
use llib_lua::version::collector;

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
    // SAFETY: the caller has these values.
    let values = unsafe { Outgoing::new(lua, first, count, choice) };
    let values = values.map_err(|error| Raise::Message(error.to_string()))?;
    // Hooks may run before it is sent.
    let payload = Joined([&settings, &values]).to_vec();
    let objects = values.into_objects();
    let objects: Vec<&Object> = objects.iter().map(|object| &**object).collect();
    let launch = Launch { timeout: options.timeout, limits: options.limits, ..Launch::default() };
    let dispatch = || {
        // SAFETY: the caller's state with free slots.
        unsafe { hooks::patiently(lua, |patience| broker.dispatch(&payload, &objects, &launch, patience)) }
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
