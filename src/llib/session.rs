//! The process's session, and what its workers learn of this interpreter.

use std::ffi::CStr;
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use llib_lua::ffi::*;

use super::options::Options;
use super::signature;
use llib_core::sys::{clock, directory};
use llib_core::wire::settings::Settings;
use llib_host::{Broker, Host, Session, find_worker};
use llib_lua::call::{Raise, bytes};

/// The process's session.
///
/// # Safety
/// `lua` is a valid state with free slots.
pub(super) unsafe fn session(lua: *mut lua_State) -> Result<Arc<Session>, Raise> {
    if Broker::current().is_some() {
        let reason =
            "a sandboxed job has no pools and preloads nothing: its walls stand around one process each";
        return Err(Raise::Message(reason.to_owned()));
    }
    let host = || Host {
        program: find_worker(),
        // SAFETY: the caller's state, with free slots.
        bytecode: unsafe { signature::bytecode(lua) },
    };
    Session::current(host).map_err(|error| Raise::Message(error.to_string()))
}

/// Whether it is time to look again what this process is, for jobs that are too many to look for each: a millisecond has gone
/// by. The answer is yes once then.
pub(super) fn is_due() -> bool {
    const ROUND: u64 = 1_000_000;
    static LAST: AtomicU64 = AtomicU64::new(0);
    let (now, last) = (clock::now(), LAST.load(Ordering::Relaxed));
    let due = now.saturating_sub(last) >= ROUND;
    if due {
        LAST.store(now, Ordering::Relaxed);
    }
    due
}

/// What a worker needs to know of a job with these options.
///
/// # Safety
/// `lua` is a valid state with free slots.
pub(super) unsafe fn settings(lua: *mut lua_State, options: &Options, name: String) -> Settings {
    // SAFETY: the caller's state, with free slots.
    let (path, cpath) = unsafe { (package_field(lua, c"path"), package_field(lua, c"cpath")) };
    Settings {
        name,
        path,
        cpath,
        directory: directory(),
        nice: options.nice,
        stdout: options.stdout,
        stderr: options.stderr,
        limits: options.limits,
        sandbox: options.sandbox.clone(),
        pool: None,
    }
}

/// The working directory.
pub(super) fn directory() -> Option<Vec<u8>> {
    Some(directory::current().into_os_string().into_vec())
}

/// A field of `package`, if it is a string.
///
/// # Safety
/// `lua` is a valid state with free slots.
pub(super) unsafe fn package_field(lua: *mut lua_State, field: &CStr) -> Option<Vec<u8>> {
    // SAFETY: the caller's state, with free slots; raw access raises nothing on tables, and the types are
    // checked on the way.
    unsafe {
        let top = lua_gettop(lua);
        lua_getfield(lua, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
        lua_pushstring(lua, c"package".as_ptr());
        lua_rawget(lua, -2);
        let mut found = None;
        if lua_type(lua, -1) == LUA_TTABLE {
            lua_pushstring(lua, field.as_ptr());
            lua_rawget(lua, -2);
            found = bytes(lua, -1).map(<[u8]>::to_vec);
        }
        lua_settop(lua, top);
        found
    }
}
