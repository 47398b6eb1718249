//! The value as a whole: getting a copy, replacing it.

use std::ffi::c_int;

use crate::ffi::*;

use crate::call::Raise;
use crate::convert::{DecodeError, DecodeOptions, Field, MEMORY_FACTOR, Source, decode_field};
use crate::types::handle::{self, Objects};
use crate::types::outgoing::Outgoing;
use crate::types::value::{DISTRUSTED, decode_plain, decode_trusted, encode_one, memory_for};
use crate::version::collector::Pause;
use llib_core::shared::buffer;
use llib_core::shared::{Change, Guard, Object, attach};
use llib_core::shm::Payload;

/// Takes a buffer's lock; none is given up on.
///
/// # Safety
/// `lua` is a valid state with four free stack slots.
pub(super) unsafe fn lock<'a>(lua: *mut lua_State, object: &'a Object) -> Result<Guard<'a>, Raise> {
    // SAFETY: as demanded.
    let guard = unsafe { handle::lock(lua, object, None)? };
    guard.ok_or_else(|| Raise::Message("the buffer's lock could not be had".to_owned()))
}

/// The same for whoever is about to change the value. A change inside a change would be lost: the outer one
/// writes what it made of the value before.
///
/// # Safety
/// As [`lock`].
pub(super) unsafe fn lock_to_change<'a>(
    lua: *mut lua_State,
    object: &'a Object,
) -> Result<Change<'a>, Raise> {
    if object.is_changing_here() {
        return Err(inside());
    }
    // SAFETY: as demanded.
    unsafe { lock(lua, object).map(Guard::begin_change) }
}

fn inside() -> Raise {
    Raise::Message(
        "this buffer is being changed by a call that has not returned yet (mod, or a method)".to_owned(),
    )
}

/// Pushes a copy of the value.
///
/// # Safety
/// `lua` is a valid state with eight free stack slots, in a protected call.
pub(super) unsafe fn push_copy(lua: *mut lua_State, object: &Object) -> Result<(), Raise> {
    // SAFETY: as demanded.
    let guard = unsafe { lock(lua, object)? };
    let damaged =
        |error: &dyn std::fmt::Display| Raise::Message(format!("the buffer cannot be read: {error}"));
    // SAFETY: it is used no more after the guard is dropped, and nobody writes the buffer before.
    let view = unsafe { buffer::view(&guard) }.map_err(|error| damaged(&error))?;
    // Plain data is decoded where it is: nothing can run meanwhile, the collector is held back.
    // SAFETY: the state is valid.
    let decoded = unsafe {
        let pause = Pause::new(lua, view.bytes.len().saturating_mul(MEMORY_FACTOR));
        let decoded = decode_plain(lua, object, view.bytes);
        if decoded.is_ok() {
            // Finalizers may run from here on, and may want the buffer.
            drop(guard);
            pause.end();
            return Ok(());
        }
        pause.end();
        decoded
    };
    let bytes = match decoded {
        Ok(()) => return Ok(()),
        Err(DecodeError::Refused(_)) => {
            // Functions and the like: decoding those may run code, which must not happen under the lock.
            if object.is_distrusted() {
                return Err(Raise::Message(DISTRUSTED.to_owned()));
            }
            view.bytes.copy()
        }
        Err(error) => return Err(damaged(&error)),
    };
    // Held until its handles were taken, since somebody may replace the value then.
    let objects: Vec<_> = view.ids.iter().filter_map(|id| attach(*id).ok()).collect();
    drop(guard);
    // SAFETY: as demanded.
    let decoded = unsafe { decode_trusted(lua, &bytes) };
    drop(objects);
    decoded
}

/// Pushes the field of the key at `key`, if it can be had without the rest of the value: `false` where it cannot.
///
/// # Safety
/// As [`push_copy`]; `key` is absolute.
pub(super) unsafe fn push_field(lua: *mut lua_State, object: &Object, key: c_int) -> Result<bool, Raise> {
    // SAFETY: as demanded.
    let guard = unsafe { lock(lua, object)? };
    // SAFETY: as in `push_copy`.
    let Ok(view) = (unsafe { buffer::view(&guard) }) else { return Ok(false) };
    // SAFETY: the view is valid as long as the guard is held; for the collector see `push_copy`.
    unsafe {
        let pause = Pause::new(lua, view.bytes.len().saturating_mul(MEMORY_FACTOR));
        let source = Source::new(view.bytes.as_ptr(), view.bytes.len());
        // What needs more is left to the whole value.
        let options = DecodeOptions { max_memory: memory_for(view.bytes.len()), ..DecodeOptions::PLAIN };
        let found = decode_field(lua, source, key, &options, &mut Objects::default());
        drop(guard);
        pause.end();
        match found {
            Ok(Field::Pushed) => Ok(true),
            Ok(Field::Absent) => {
                lua_pushnil(lua);
                Ok(true)
            }
            // What is wrong the whole value will tell.
            Ok(Field::Whole) | Err(_) => Ok(false),
        }
    }
}

/// Replaces the value by that at `index`.
///
/// # Safety
/// `lua` is a valid state with eight free stack slots, in a protected call; `index` is absolute.
pub(super) unsafe fn replace(lua: *mut lua_State, object: &Object, index: c_int) -> Result<(), Raise> {
    if object.is_changing_here() {
        return Err(inside());
    }
    // SAFETY: as demanded.
    unsafe {
        let value = encode_one(lua, index)?;
        let written = match object.try_lock() {
            Some(guard) => write(&guard, &value),
            None => {
                let value = value.keep();
                write(&lock(lua, object)?, &value)
            }
        };
        lua_pop(lua, 1);
        written
    }
}

/// The same with the lock held.
///
/// # Safety
/// As [`replace`].
pub(super) unsafe fn replace_locked(
    lua: *mut lua_State,
    guard: &Guard<'_>,
    index: c_int,
) -> Result<(), Raise> {
    if !guard.object().is_locked_here() {
        let problem =
            "this process was forked in the middle of a change of the buffer, which is its parent's to make";
        return Err(Raise::Message(problem.to_owned()));
    }
    // SAFETY: as demanded.
    unsafe {
        let written = write(guard, &encode_one(lua, index)?);
        lua_pop(lua, 1);
        written
    }
}

fn write(guard: &Guard<'_>, value: &Outgoing<impl Payload>) -> Result<(), Raise> {
    let written = buffer::write(guard, value.parcel(), &value.objects(), || ());
    written.map_err(|error| Raise::Message(format!("the buffer keeps its old value: {error}")))
}
