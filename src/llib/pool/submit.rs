//! `pool:submit(f, ...)`, and what `map` shares with it.

use std::ffi::c_int;
use std::rc::Rc;

use llib_lua::ffi::*;

use super::functions::{self, Known};
use super::handle::{Handle, check};
use crate::source::{check_function, source_of};
use crate::task;
use llib_core::shm::Joined;
use llib_core::wire::pooled::Head;
use llib_host::DispatchError;
use llib_host::pool::Pooled;
use llib_lua::call::{Outcome, Raise};
use llib_lua::convert::{EncodeOptions, Roots};
use llib_lua::types::Outgoing;

/// # Safety
/// Called by Lua.
pub(super) unsafe fn body(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state. The stack is arranged as 1 the pool, 2 the functions that are known, 3 the function, 4… the
    // arguments, and last the task.
    unsafe {
        let handle = check(lua)?;
        handle.serving(lua)?;
        check_function(lua, 2)?;
        lua_getiuservalue(lua, 1, 1);
        lua_insert(lua, 2);
        let arguments = lua_gettop(lua) - 3;
        luaL_checkstack(lua, 20, std::ptr::null());
        let known = functions::find(lua, 2, 3, &handle.encoding());
        let name = match (&handle.name, known) {
            (Some(name), _) => Rc::clone(name),
            (None, Some(known)) => Rc::clone(&known.name),
            (None, None) => Rc::from(source_of(lua, 3)?),
        };
        let same = (4..4 + arguments).any(|index| lua_rawequal(lua, index, 3) != 0);
        // Before the job exists, so that running out of memory here loses nothing.
        let task = task::push_empty(lua, handle.facts(name));
        let place = lua_gettop(lua);
        task::fill(task, send(lua, handle, known.filter(|_| !same), 3, arguments, false)?);
        lua_settop(lua, place);
    }
    Ok(1)
}

/// Sends the function at `function` and the `count` values after it. Leaves something on the stack.
///
/// # Safety
/// `lua` is a valid state, in a protected call, with these values; `function` is absolute.
pub(super) unsafe fn send(
    lua: *mut lua_State,
    handle: &Handle,
    known: Option<&Known>,
    function: c_int,
    count: c_int,
    map: bool,
) -> Result<Pooled, Raise> {
    let message = known.and_then(|known| known.bytes.as_deref()).unwrap_or_default();
    let pool = handle.pool();
    let directory = pool.borrow_mut().keep_in_step();
    let directory =
        directory.map_err(|error| Raise::Message(DispatchError::Attributes(error).to_string()))?;
    let directory = directory.as_deref().unwrap_or_default();
    // The kernel's paths are shorter than a page.
    let length = u16::try_from(directory.len()).unwrap_or(0);
    let head = Head { map, directory: length, function: message.len() as u32 }.to_bytes();
    let (first, count, roots) = if message.is_empty() {
        (function, count + 1, Roots::Job)
    } else {
        (function + 1, count, Roots::Arguments)
    };
    let options = EncodeOptions { roots, ..handle.encoding() };
    // SAFETY: as demanded.
    let values = unsafe { Outgoing::new(lua, first, count, &options) };
    let values = values.map_err(|error| Raise::Message(error.to_string()))?;
    let payload = Joined([&&head[..], &&directory[..length.into()], &message, &values]);
    let submitted = Pooled::submit(&pool, &payload, &values.objects(), map);
    submitted.map_err(|error| Raise::Message(error.to_string()))
}
