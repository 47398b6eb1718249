//! `thread.preload(names..., options)`

use std::time::Duration;

use llib_lua::ffi::*;

use super::deliver::LOST;
use super::option::{self, each, unknown};
use super::session::{directory, package_field, session};
use llib_core::wire::control::Preload;
use llib_host::{Preloaded, Session, preload};
use llib_lua::call::{Outcome, Raise, bytes, wrong_type};
use llib_lua::hooks;

/// How long a module may take to load where nothing else is said.
pub(super) const TIME: Duration = Duration::from_secs(30);

/// # Safety
/// Called by Lua.
pub(super) unsafe fn body(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state. All arguments are checked before the first module is loaded.
    unsafe {
        let mut count = lua_gettop(lua);
        let mut time = TIME;
        if count > 0 && lua_type(lua, count) == LUA_TTABLE {
            // A list of names, as the option of a pool takes one.
            if lua_rawlen(lua, count) > 0 {
                return Err(wrong_type(lua, count, "string"));
            }
            each(lua, count, |key| match key {
                "timeout" => {
                    time = option::time(lua, key)?;
                    Ok(())
                }
                _ => Err(unknown(key, &["timeout"])),
            })?;
            count -= 1;
        }
        for index in 1..=count {
            if bytes(lua, index).is_none() {
                return Err(wrong_type(lua, index, "string"));
            }
        }
        luaL_checkstack(lua, 20, std::ptr::null());
        if count == 0 {
            return Ok(0);
        }
        let session = session(lua)?;
        for index in 1..=count {
            load(lua, &session, bytes(lua, index).unwrap_or_default(), time)?;
        }
    }
    Ok(0)
}

/// Loads one module.
///
/// # Safety
/// `lua` is a valid state with ten free stack slots.
pub(super) unsafe fn load(
    lua: *mut lua_State,
    session: &Session,
    name: &[u8],
    time: Duration,
) -> Result<(), Raise> {
    // SAFETY: as demanded.
    let loaded = unsafe {
        let (path, cpath) = (package_field(lua, c"path"), package_field(lua, c"cpath"));
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let directory = directory();
        let wanted = Preload { number: 0, name: name.to_owned(), path, cpath, directory, time };
        hooks::patiently(lua, |patience| preload(session, wanted, patience))?
    };
    let name = String::from_utf8_lossy(name);
    let problem = match loaded {
        Preloaded::Yes => return Ok(()),
        Preloaded::Failed(reason) => reason,
        Preloaded::Lost => LOST.to_owned(),
        Preloaded::Stopped => "it was interrupted".to_owned(),
    };
    Err(Raise::Message(format!("failed to preload module '{name}': {problem}")))
}
