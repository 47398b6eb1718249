//! `thread.refresh()`

use llib_lua::ffi::*;

use llib_host::{Broker, Session};
use llib_lua::call::{Outcome, Raise};

/// # Safety
/// Called by Lua.
pub(super) unsafe fn body(_: *mut lua_State) -> Outcome {
    // A sandboxed job may not look, and has no supervisors that could follow it.
    if Broker::current().is_none() {
        Session::look_closely();
    }
    // Supervisors that are started later have everything as it is then; those of a sandboxed job are its host's.
    if let Some(session) = Session::running() {
        session.refresh().map_err(|error| {
            Raise::Message(format!("jobs cannot be given the attributes of this process: {error}"))
        })?;
    }
    Ok(0)
}
