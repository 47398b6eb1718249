//! `pool:submit(f, ...)`, and what `map` shares with it.

use std::ffi::c_int;
use std::rc::Rc;

use llib_lua::ffi::*;

use super::functions::{self, Known};
use super::task;
use super::{Shared, check};
use llib_host::pool::Ticket;
use crate::async_call::{compile, source_of};
use llib_lua::call::{Outcome, Raise, bytes, wrong_type};
use llib_lua::convert::{EncodeOptions, Roots, encode};
use llib_lua::types::{Objects, Sent};
use llib_core::shm::Joined;
use llib_core::wire::pooled::Head;

/// # Safety
/// Called by Lua.
pub(super) unsafe fn body(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state. The stack is arranged as 1 the pool, 2 the function, 3… the arguments; then a task is put at 2,
    // and the functions that are known at 3.
    unsafe {
        let shared = check(lua)?.serving(lua)?;
        function_at(lua, 2, &shared)?;
        // Before the job exists, so that running out of memory here loses nothing.
        let place = task::push_empty(lua, &shared);
        lua_insert(lua, 2);
        lua_getiuservalue(lua, 1, 1);
        lua_insert(lua, 3);
        let arguments = lua_gettop(lua) - 4;
        luaL_checkstack(lua, 20, std::ptr::null());
        let known = functions::find(lua, 3, 4, &shared.encoding());
        let name = match (&shared.options.name, known) {
            (Some(name), _) => Rc::clone(name),
            (None, Some(known)) => Rc::clone(&known.name),
            (None, None) => Rc::from(source_of(lua, 4)),
        };
        let same = (5..5 + arguments).any(|index| lua_rawequal(lua, index, 4) != 0);
        let ticket = send(lua, &shared, known.filter(|_| !same), 4, arguments, false)?;
        task::fill(place, ticket, name);
        lua_settop(lua, 2);
    }
    Ok(1)
}

/// Makes sure that there is a Lua function at `index`, compiling source text.
///
/// # Safety
/// `lua` is a valid state with free slots; `index` is absolute.
pub(super) unsafe fn function_at(lua: *mut lua_State, index: c_int, shared: &Shared) -> Result<(), Raise> {
    // SAFETY: as demanded.
    unsafe {
        if bytes(lua, index).is_some() {
            return compile(lua, index, shared.options.name.as_deref());
        }
        if lua_type(lua, index) != LUA_TFUNCTION {
            return Err(wrong_type(lua, index, "function or string"));
        }
        if lua_iscfunction(lua, index) != 0 {
            return Err(Raise::Argument(index, "Lua function expected, got a C function".to_owned()));
        }
        Ok(())
    }
}

/// Sends the function at `function` and the `count` values after it.
///
/// # Safety
/// `lua` is a valid state, in a protected call, with these values; `function` is absolute.
pub(super) unsafe fn send(
    lua: *mut lua_State,
    shared: &Shared,
    known: Option<&Known>,
    function: c_int,
    count: c_int,
    map: bool,
) -> Result<Ticket, Raise> {
    let message = known.and_then(|known| known.bytes.as_deref()).unwrap_or_default();
    let head = Head { map, function: message.len() as u32 }.to_bytes();
    let (first, count, roots) = if message.is_empty() {
        (function, count + 1, Roots::Job)
    } else {
        (function + 1, count, Roots::Arguments)
    };
    let options = EncodeOptions { roots, ..shared.encoding() };
    let sent = Sent::default();
    // SAFETY: as demanded. What runs inside is none of Lua's code.
    let submitted = unsafe {
        encode(lua, first, count, &options, &mut Objects(&sent), |values| {
            sent.with(|objects, tail| {
                let job = Joined([&&head[..], &message, values, &tail]);
                shared.pool.borrow_mut().submit(&job, objects, map)
            })
        })
    };
    match submitted {
        Ok(Ok(ticket)) => Ok(ticket),
        Ok(Err(error)) => Err(Raise::Message(error.to_string())),
        Err(error) => Err(Raise::Message(error.to_string())),
    }
}
