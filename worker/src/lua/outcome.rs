//! What ends a job: values or a failure, encoded and handed over.

use std::ffi::c_int;

use llib::dispatch::Payload;
use llib::lua::call::push_text;
use llib::lua::convert::{EncodeOptions, GlobalMode, Message, Roots, encode};
use llib::lua::types::{Objects, Sent};
use llib::wire::kind::Kind;
use mlua::ffi::*;

use crate::job::{self, Job};
use crate::{reply, sys};

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
        if let Err(reason) = send(lua, job, first, count, code) {
            lua_settop(lua, 0);
            push_text(lua, &reason);
            let failed = self::code(Kind::Encode);
            if send(lua, job, 1, 1, failed).is_err() {
                sys::exit_now(1);
            }
        }
    }
    reply::stall(job)
}

pub(super) unsafe fn send(
    lua: *mut lua_State,
    job: &Job,
    first: c_int,
    count: c_int,
    code: u32,
) -> Result<(), String> {
    let sent = Sent::default();
    // SAFETY: the caller has these values on the stack.
    let published = unsafe {
        encode(lua, first, count, &results(), &mut Objects(&sent), |values| {
            sent.with(|objects, tail| reply::publish(job, code, &Reply { values, tail }, objects))
        })
    };
    match published {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// Values and the ids of the objects in them.
struct Reply<'a> {
    values: &'a Message<'a>,
    tail: &'a [u8],
}

impl Payload for Reply<'_> {
    fn len(&self) -> usize {
        self.values.len() + self.tail.len()
    }

    fn write_to(&self, to: &mut [u8]) {
        let (values, tail) = to.split_at_mut(self.values.len());
        Payload::write_to(self.values, values);
        tail.copy_from_slice(self.tail);
    }

    fn parts(&self) -> Vec<&[u8]> {
        let mut parts = self.values.parts();
        parts.push(self.tail);
        parts
    }
}

fn results() -> EncodeOptions<'static> {
    EncodeOptions { roots: Roots::Results, globals: GlobalMode::None, ..EncodeOptions::default() }
}
