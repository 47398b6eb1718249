//! What ends a job: values or a failure, encoded and handed over.

use std::ffi::c_int;
use std::io::Write;

use llib_core::shm::Mailbox;
use llib_core::wire::kind::Kind;
use llib_lua::call::bytes;
use llib_lua::convert::{EncodeError, EncodeOptions, GlobalMode, Roots, write_text};
use llib_lua::ffi::*;
use llib_lua::types::Outgoing;

use super::memory::{self, Standing};
use crate::job::{self, Job};
use crate::reply;
use llib_worker_sys as sys;

/// Code of a reply with values; failures have `Kind::reply_code`.
pub(super) const VALUES: u32 = 1;

pub(super) fn code(kind: Kind) -> u32 {
    kind.reply_code().unwrap_or(VALUES)
}

/// Replies with message and traceback at 1 and 2, and `count` values after them; without the values, if they
/// cannot travel.
pub(super) unsafe fn finish_failure(lua: *mut lua_State, count: c_int, code: u32) -> ! {
    let Some(job) = job::current() else { sys::exit_now(1) };
    sys::flush_streams();
    // SAFETY: the job's state with at least two values.
    unsafe {
        if send(lua, job, 1, 2 + count, code).is_ok() {
            reply::stall(job);
        }
        finish(lua, 1, 2, code)
    }
}

/// Replies with `count` values from `first` on, and never returns.
pub(super) unsafe fn finish(lua: *mut lua_State, first: c_int, count: c_int, code: u32) -> ! {
    let Some(job) = job::current() else { sys::exit_now(1) };
    sys::flush_streams();
    // SAFETY: the job's state with these values.
    unsafe {
        match send(lua, job, first, count, code) {
            Ok(()) => reply::stall(job),
            Err(Unsent::Memory) => exhausted(lua, job),
            Err(Unsent::Reason(reason)) => tell(job, reason.as_bytes(), self::code(Kind::Encode)),
        }
    }
}

/// Replies with a failure that is just this text, and never returns. Takes no memory, neither Lua's nor other.
pub(super) fn tell(job: &Job, text: &[u8], code: u32) -> ! {
    let mut message = [0; Mailbox::READY];
    let len = write_text(text, &mut message);
    if reply::publish(job, code, &&message[..len], &[]).is_err() {
        sys::exit_now(1);
    }
    reply::stall(job)
}

/// Whether the error on top of the stack, which ended a call with this status, is that there was no memory.
pub(super) unsafe fn is_memory_error(lua: *mut lua_State, status: c_int) -> bool {
    /// What Lua raises then, a string that is always there, and what Lua 5.3's buffers do. It may have been caught and
    /// raised again, and before Lua 5.4 `coroutine.wrap` puts its position in front. A script can raise it too, and Lua
    /// takes that for its own, so it only counts once memory was refused.
    const TEXTS: [&[u8]; 2] = [b"not enough memory", b"not enough memory for buffer allocation"];
    // SAFETY: the caller's state with a value on top.
    unsafe {
        let raised = status == LUA_ERRMEM
            || bytes(lua, -1).is_some_and(|text| TEXTS.iter().any(|end| text.ends_with(end)));
        raised && memory::standing(lua).refused.is_some()
    }
}

/// Ends the job for want of memory, without taking any.
pub(super) unsafe fn exhausted(lua: *mut lua_State, job: &Job) -> ! {
    // SAFETY: the job's state.
    let Standing { used, limit, refused } = unsafe { memory::standing(lua) };
    let mut text = [0; 256];
    let room = text.len();
    let mut rest = text.as_mut_slice();
    // A text that is cut off is one all the same.
    let _ = rest.write_all(b"not enough memory");
    let _ = match limit {
        Some(limit) => write!(rest, ": {used} bytes of its limit of {limit} were in use"),
        None => write!(rest, ": the system gives no more, {used} bytes were in use"),
    };
    if let Some(refused) = refused {
        let _ = write!(rest, ", a block of {refused} was asked for");
    }
    let len = room - rest.len();
    sys::flush_streams();
    tell(job, &text[..len], code(Kind::Memory))
}

/// What Rust's allocator does in a job when it has nothing to give, see `sys::heap`.
pub(super) fn heap_exhausted() {
    let Some(job) = job::current().filter(|job| !job.rehearsal) else { return };
    sys::flush_streams();
    let mut text = [0; 256];
    let room = text.len();
    let mut rest = text.as_mut_slice();
    let _ = rest.write_all(b"not enough memory outside Lua");
    if let Some(limit) = job.settings.limits.private_memory() {
        let _ =
            write!(rest, ": the limit of private memory is {limit} bytes beyond what a worker starts with");
    }
    let len = room - rest.len();
    tell(job, &text[..len], code(Kind::Memory))
}

/// Why values could not be sent.
pub(super) enum Unsent {
    /// There was no memory for it.
    Memory,
    /// The reason in a sentence.
    Reason(String),
}

pub(super) unsafe fn send(
    lua: *mut lua_State,
    job: &Job,
    first: c_int,
    count: c_int,
    code: u32,
) -> Result<(), Unsent> {
    // SAFETY: the caller has these values on the stack.
    let values = unsafe { Outgoing::new(lua, first, count, &results(job)) };
    let published = match values {
        Ok(values) => reply::publish(job, code, &values, &values.objects()),
        Err(EncodeError::Memory) => return Err(Unsent::Memory),
        Err(error) => return Err(Unsent::Reason(error.to_string())),
    };
    // SAFETY: pops what the message needed.
    unsafe { lua_pop(lua, 1) };
    published.map_err(|error| Unsent::Reason(error.to_string()))
}

fn results(job: &Job) -> EncodeOptions<'static> {
    let limit =
        job.settings.limits.result.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    EncodeOptions {
        roots: Roots::Results,
        globals: GlobalMode::None,
        max_len: limit,
        ..EncodeOptions::default()
    }
}
