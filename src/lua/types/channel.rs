//! The channel object.

use crate::ffi::*;
use std::ffi::c_int;

use super::outgoing::Outgoing;
use super::value::{DISTRUSTED, decode_plain, decode_trusted, encode_one};
use super::{handle, outcome};
use crate::call::{Outcome, Raise, is_absent, milliseconds, push_text, set_functions, wrong_type};
use crate::convert::DecodeError;
use crate::hooks;
use crate::lua_function;
use llib_core::observe::trace;
use llib_core::shared::channel::{self, Popped, PushError, Pushed, Received, Waiting};
use llib_core::shared::{Guard, Kind, Object};
use llib_core::shm::{Awaited, Payload, waiting as published};
use llib_core::sys::clock;

lua_function!(close => close_body);
lua_function!(iter => iter_body);
lua_function!(len => len_body);
lua_function!(next => next_body);
lua_function!(pop => pop_body);
lua_function!(push => push_body);

/// Completes the metatable on top.
pub(super) unsafe fn add_methods(lua: *mut lua_State) {
    // SAFETY: called with the metatable on top and free slots, in a protected call.
    unsafe {
        lua_createtable(lua, 0, 4);
        set_functions(lua, &[(c"close", close), (c"iter", iter), (c"pop", pop), (c"push", push)]);
        lua_setfield(lua, -2, c"__index".as_ptr());
        set_functions(lua, &[(c"__len", len)]);
        outcome::add_identity(lua);
    }
}

/// `thread.channel([capacity])`
///
/// # Safety
/// Called by Lua.
pub unsafe fn new(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state. The userdata is there before the object is.
    unsafe {
        let capacity = if is_absent(lua, 1) { 0 } else { capacity(lua)? };
        let slot = handle::push_empty(lua, Kind::Channel);
        let object = handle::create(lua, Kind::Channel)?;
        channel::found(&object, capacity);
        handle::fill(slot, object);
    }
    Ok(1)
}

unsafe fn capacity(lua: *mut lua_State) -> Result<u64, Raise> {
    // SAFETY: Lua's state.
    unsafe {
        let mut is_integer = 0;
        let capacity = lua_tointegerx(lua, 1, &mut is_integer);
        if lua_type(lua, 1) != LUA_TNUMBER {
            return Err(wrong_type(lua, 1, "integer"));
        }
        if is_integer == 0 {
            return Err(Raise::Argument(1, "number has no integer representation".to_owned()));
        }
        u64::try_from(capacity)
            .ok()
            .filter(|capacity| *capacity > 0)
            .ok_or_else(|| Raise::Argument(1, format!("capacity of one or more expected, got {capacity}")))
    }
}

// Every body below is called by Lua with its state: that is the SAFETY argument of each.

fn damaged(error: &dyn std::fmt::Display) -> Raise {
    Raise::Message(format!("the channel cannot be used: {error}"))
}

fn cannot_push(error: &PushError) -> Raise {
    match error {
        PushError::Write(error) => Raise::Message(format!("the item was not pushed: {error}")),
        PushError::Unreadable(reason) => damaged(reason),
    }
}

/// What is told when that lock cannot be had: its owner is stopped, or means harm, or has not had a processor.
const MIDST: &str = "another process has been in the middle of a push or a pop all the time";

/// One try, with the lock held.
fn try_push<'a>(
    guard: &Guard<'a>,
    item: &Outgoing<impl Payload>,
) -> Result<Result<Pushed, Waiting<'a>>, Raise> {
    let pushed = channel::push(guard, item.parcel(), &item.objects(), || ());
    Ok(match pushed.map_err(|error| cannot_push(&error))? {
        Pushed::Full => Err(Waiting::for_pop(guard.object().header())),
        pushed => Ok(pushed),
    })
}

unsafe fn push_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let object = handle::object(lua, 1, Kind::Channel)?;
        if is_absent(lua, 2) {
            return Err(wrong_type(lua, 2, "value"));
        }
        let time = milliseconds(lua, 3)?;
        let end = handle::end_of(time);
        let item = encode_one(lua, 2)?;
        let first = object.try_lock().map(|guard| try_push(&guard, &item).map(Result::ok)).transpose()?;
        let pushed = match first.flatten() {
            Some(pushed) => Some(pushed),
            None => {
                let item = item.keep();
                let _span = trace::span("wait", || format!("room in {}", object.title()));
                loop {
                    let Some(guard) = handle::lock_brief(lua, &object, end)? else { break None };
                    match try_push(&guard, &item)? {
                        Ok(pushed) => break Some(pushed),
                        Err(waiting) => {
                            drop(guard);
                            if !wait(lua, waiting, Awaited::Push(object.id()), end)? {
                                break Some(Pushed::Full);
                            }
                        }
                    }
                }
            }
        };
        match pushed {
            Some(Pushed::Yes) => {
                channel::tell_popper(object.header());
                lua_pushboolean(lua, 1);
                Ok(1)
            }
            Some(Pushed::Closed) => {
                lua_pushnil(lua);
                push_text(lua, "closed");
                Ok(2)
            }
            Some(Pushed::Full) => Ok(outcome::push_timeout(lua, "the channel has had no room", time)),
            None => Ok(outcome::push_busy(lua, MIDST)),
        }
    }
}

/// Waits until the channel changed or some time has passed; false when the time `end` has come.
unsafe fn wait(
    lua: *mut lua_State,
    waiting: Waiting<'_>,
    what: Awaited,
    end: Option<u64>,
) -> Result<bool, Raise> {
    let left = end.map_or(channel::SLICE, clock::until);
    if left.is_zero() {
        return Ok(false);
    }
    let woken = published(what, || waiting.wait(left));
    if !woken {
        // SAFETY: see above.
        unsafe { hooks::run(lua)? };
    }
    Ok(true)
}

/// What came of waiting for an item.
enum Taken {
    Item(Received),
    Closed,
    TimedOut,
    /// The channel could not be looked at.
    Busy,
}

unsafe fn take(lua: *mut lua_State, object: &Object, end: Option<u64>) -> Result<Taken, Raise> {
    let mut span = None;
    loop {
        // SAFETY: see above.
        let Some(guard) = (unsafe { handle::lock_brief(lua, object, end)? }) else { return Ok(Taken::Busy) };
        match channel::pop(&guard, || ()).map_err(|error| damaged(&error))? {
            Popped::Item(received) => {
                drop(guard);
                channel::tell_pusher(object.header());
                return Ok(Taken::Item(received));
            }
            Popped::Closed => return Ok(Taken::Closed),
            Popped::Empty => {
                let waiting = Waiting::for_push(object.header());
                drop(guard);
                span.get_or_insert_with(|| trace::span("wait", || format!("item of {}", object.title())));
                // SAFETY: see above.
                if !unsafe { wait(lua, waiting, Awaited::Pop(object.id()), end)? } {
                    return Ok(Taken::TimedOut);
                }
            }
        }
    }
}

/// Pushes an item's value.
unsafe fn deliver(lua: *mut lua_State, object: &Object, received: Received) -> Result<(), Raise> {
    let Received { bytes, held } = received;
    // SAFETY: see above; the bytes are private.
    let decoded = unsafe {
        match decode_plain(lua, object, bytes[..].into()) {
            Err(DecodeError::Refused(_)) if object.is_distrusted() => {
                Err(Raise::Message(DISTRUSTED.to_owned()))
            }
            Err(DecodeError::Refused(_)) => decode_trusted(lua, &bytes),
            Err(error) => Err(damaged(&error)),
            Ok(()) => Ok(()),
        }
    };
    drop(held);
    decoded
}

unsafe fn pop_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let object = handle::object(lua, 1, Kind::Channel)?;
        let time = milliseconds(lua, 2)?;
        match take(lua, &object, handle::end_of(time))? {
            Taken::Item(received) => {
                deliver(lua, &object, received)?;
                Ok(1)
            }
            Taken::Closed => {
                lua_pushnil(lua);
                push_text(lua, "closed");
                Ok(2)
            }
            Taken::TimedOut => Ok(outcome::push_timeout(lua, "the channel has had no item", time)),
            Taken::Busy => Ok(outcome::push_busy(lua, MIDST)),
        }
    }
}

/// `ch:iter()`
unsafe fn iter_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        handle::object(lua, 1, Kind::Channel)?;
        lua_pushcfunction(lua, next);
        lua_pushvalue(lua, 1);
        Ok(2 as c_int)
    }
}

/// The next item; nil once the channel is closed and drained.
unsafe fn next_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let object = handle::object(lua, 1, Kind::Channel)?;
        match take(lua, &object, None)? {
            Taken::Item(received) => deliver(lua, &object, received)?,
            Taken::Closed | Taken::TimedOut | Taken::Busy => lua_pushnil(lua),
        }
    }
    Ok(1)
}

unsafe fn close_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let object = handle::object(lua, 1, Kind::Channel)?;
        if let Some(guard) = handle::lock(lua, &object, None)? {
            channel::close(&guard, || ()).map_err(|error| damaged(&error))?;
        }
    }
    Ok(0)
}

unsafe fn len_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let object = handle::object(lua, 1, Kind::Channel)?;
        let guard = handle::lock(lua, &object, None)?;
        let count = guard.map_or(Ok(0), |guard| channel::len(&guard)).map_err(|error| damaged(&error))?;
        lua_pushinteger(lua, count.cast_signed());
    }
    Ok(1)
}
