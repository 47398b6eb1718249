//! `pool:map(f, list [, opts])`: many calls of one function, in few jobs.
//!
//! Items go in chunks: the first ones are small, and the time that they took says how large the next ones can be.
//! A few chunks for each worker are under way at once, so that only those are in memory twice.

use std::collections::VecDeque;
use std::ffi::c_int;
use std::rc::Rc;

use llib_lua::ffi::*;

use super::functions::{self, Known};
use super::handle::{Handle, check};
use super::submit::send;
use crate::deliver::{decode_reply, deliver, report as report_failure};
use crate::option::{each, expected, integer, unknown};
use crate::source::{check_function, source_of};
use crate::task::Facts;
use llib_core::observe::trace;
use llib_core::wire::cause::Cause;
use llib_core::wire::kind::Kind;
use llib_host::pool::Pooled;
use llib_host::{Dispatched, Settled};
use llib_lua::call::{Outcome, Raise, bytes, is_absent, wrong_type};
use llib_lua::hooks;
use llib_lua::lua_function;
use llib_lua::types::failure;

/// What a chunk should take, in nanoseconds: dispatching one costs a few thousandth of that.
const AIM: u64 = 1_000_000;
/// The most items of a chunk, which all go onto a stack.
const MOST: usize = 10_000;
/// Bytes of strings after which a chunk is full.
const MOST_BYTES: usize = 1 << 20;

const RESULTS: c_int = 5;
const KNOWN: c_int = 6;
const FAILURE: c_int = 7;

/// Part of the list that is under way.
struct Chunk {
    job: Pooled,
    first: usize,
    count: usize,
}

/// All that are. Dropping gives them up.
#[derive(Default)]
struct UnderWay(VecDeque<Chunk>);

impl UnderWay {
    /// Gives up the chunks that begin after `index`.
    fn give_up_after(&mut self, index: usize) {
        self.0.retain(|chunk| {
            let stays = chunk.first <= index;
            if !stays {
                chunk.job.cancel(Cause::Killed);
            }
            stays
        });
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.give_up_after(0);
    }
}

struct Choice {
    chunk: Option<usize>,
    /// Whether a function to be called stands at index 4.
    reports: bool,
}

/// Reads the options at index 4 and puts `on_progress` there.
unsafe fn choice(lua: *mut lua_State) -> Result<Choice, Raise> {
    let mut choice = Choice { chunk: None, reports: false };
    // SAFETY: the caller's state with free slots; keys are left as they are while they are visited.
    unsafe {
        if is_absent(lua, 4) {
            return Ok(choice);
        }
        if lua_type(lua, 4) != LUA_TTABLE {
            return Err(wrong_type(lua, 4, "table"));
        }
        lua_pushnil(lua);
        each(lua, 4, |key| {
            match key {
                "chunk" => {
                    let items = integer(lua).filter(|items| (1..=MOST as i64).contains(items));
                    let wanted = format!("an integer from 1 to {MOST}");
                    choice.chunk = Some(items.ok_or_else(|| expected(lua, key, &wanted))? as usize);
                }
                "on_progress" => {
                    if lua_type(lua, -1) != LUA_TFUNCTION {
                        return Err(expected(lua, key, "a function"));
                    }
                    choice.reports = true;
                    lua_pushvalue(lua, -1);
                    lua_replace(lua, 5);
                }
                _ => return Err(unknown(key, &["chunk", "on_progress"])),
            }
            Ok(())
        })?;
        lua_replace(lua, 4);
        lua_settop(lua, 4);
    }
    Ok(choice)
}

/// Replaces a list at index 3 whose length or items are its metatable's to tell by a plain copy. Returns the length.
unsafe fn flatten(lua: *mut lua_State) -> Result<usize, Raise> {
    // SAFETY: the caller's state with free slots and a table at index 3; what metamethods raise ends at the protected call.
    unsafe {
        let has = |event: &std::ffi::CStr| {
            let found = luaL_getmetafield(lua, 3, event.as_ptr()) != LUA_TNIL;
            lua_settop(lua, 4);
            found
        };
        if !has(c"__len") && !has(c"__index") {
            return Ok(lua_rawlen(lua, 3) as usize);
        }
        lua_pushcfunction(lua, copy_list);
        lua_pushvalue(lua, 3);
        if lua_pcall(lua, 1, 2, 0) != LUA_OK {
            return Err(Raise::Object);
        }
        // Not that of the copy: its last items may be nil.
        let length = lua_tointeger(lua, -1);
        lua_settop(lua, -2);
        lua_replace(lua, 3);
        Ok(usize::try_from(length).unwrap_or(0))
    }
}

lua_function!(copy_list => copy_list_body);

unsafe fn copy_list_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state with the list at index 1. Whatever is raised here crosses no value of this frame.
    unsafe {
        let mut exact = 1;
        let length = if luaL_getmetafield(lua, 1, c"__len".as_ptr()) == LUA_TNIL {
            lua_rawlen(lua, 1) as lua_Integer
        } else {
            lua_pushvalue(lua, 1);
            lua_call(lua, 1, 1);
            lua_tointegerx(lua, -1, &mut exact)
        };
        if exact == 0 {
            return Err(Raise::Message("object length is not an integer".to_owned()));
        }
        lua_settop(lua, 1);
        lua_createtable(lua, 0, 0);
        for index in 1..=length {
            lua_pushinteger(lua, index);
            lua_gettable(lua, 1);
            lua_rawseti(lua, 2, index);
        }
        lua_pushinteger(lua, length);
    }
    Ok(2)
}

/// # Safety
/// Called by Lua.
pub(super) unsafe fn body(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state. The stack is arranged as 1 the pool, 2 the function, 3 the list, 4 what is told of the
    // progress, 5 the results, 6 the functions that are known, 7 the failure.
    unsafe {
        let handle = check(lua)?;
        handle.serving(lua)?;
        lua_settop(lua, 4);
        check_function(lua, 2)?;
        if lua_type(lua, 3) != LUA_TTABLE {
            return Err(wrong_type(lua, 3, "table"));
        }
        let choice = choice(lua)?;
        let total = flatten(lua)?;
        lua_createtable(lua, c_int::try_from(total).unwrap_or(c_int::MAX).min(1 << 20), 0);
        lua_getiuservalue(lua, 1, 1);
        lua_pushnil(lua);
        luaL_checkstack(lua, 40, std::ptr::null());
        // Twice, since a function is kept when it is seen for the second time.
        let _ = functions::find(lua, KNOWN, 2, &handle.encoding());
        let known = functions::find(lua, KNOWN, 2, &handle.encoding());
        let facts = handle.facts(Rc::from(source_of(lua, 2)?));
        run(lua, handle, known, &choice, total, &facts)
    }
}

unsafe fn run(
    lua: *mut lua_State,
    handle: &Handle,
    known: Option<&Known>,
    choice: &Choice,
    total: usize,
    facts: &Facts,
) -> Outcome {
    let _span = trace::span("pool", || format!("map of {total} items, {}", facts.name));
    let workers = handle.pool().borrow().size();
    let mut way = UnderWay::default();
    let (mut next, mut done, mut failed_at) = (1, 0, None);
    let mut chunk = choice.chunk.unwrap_or_else(|| (total / (workers * 16)).clamp(1, 16));
    loop {
        while failed_at.is_none() && next <= total && way.0.len() < workers * 2 + 2 {
            let left = total - next + 1;
            // The last ones are small, so that all workers are busy until the end.
            let fair = if choice.chunk.is_some() { left } else { left.div_ceil(workers * 2) };
            let (first, most) = (next, chunk.min(fair).min(left));
            // SAFETY: the caller's state, arranged as it says.
            let (job, count) = unsafe { send_chunk(lua, handle, known, first, most)? };
            way.0.push_back(Chunk { job, first, count });
            next += count;
        }
        if way.0.is_empty() {
            break;
        }
        let waited = Pooled::wait_for_any(way.0.iter().map(|chunk| &chunk.job));
        if waited.is_err() {
            // SAFETY: the caller's state with free slots.
            unsafe { hooks::run(lua)? };
            continue;
        }
        let mut at = 0;
        while at < way.0.len() {
            let Some(settled) = way.0[at].job.settled() else {
                at += 1;
                continue;
            };
            let Some(mut over) = way.0.remove(at) else { break };
            let took = over.job.took();
            // SAFETY: as above.
            let failed = unsafe { receive(lua, handle, &over, settled, facts) };
            over.job.release();
            if let Some(index) = failed? {
                if failed_at.is_none_or(|earlier| index < earlier) {
                    failed_at = Some(index);
                    // SAFETY: the failure is on top.
                    unsafe { lua_replace(lua, FAILURE) };
                }
                way.give_up_after(index);
                at = 0;
            } else {
                done += over.count;
                if choice.chunk.is_none() {
                    let each = (took / over.count as u64).max(1);
                    chunk = usize::try_from(AIM / each).unwrap_or(MOST).clamp(1, (chunk * 4).min(MOST));
                }
                if choice.reports {
                    // SAFETY: as above.
                    unsafe { report(lua, done, total)? };
                }
            }
            // SAFETY: drops what is above the arranged slots.
            unsafe { lua_settop(lua, FAILURE) };
        }
    }
    // SAFETY: the caller's state, arranged as it says.
    unsafe {
        if failed_at.is_some() {
            lua_pushnil(lua);
            lua_pushvalue(lua, FAILURE);
            return Ok(2);
        }
        lua_pushvalue(lua, RESULTS);
    }
    Ok(1)
}

/// Sends items from `first` on, at most `most` of them; returns how many it were.
unsafe fn send_chunk(
    lua: *mut lua_State,
    handle: &Handle,
    known: Option<&Known>,
    first: usize,
    most: usize,
) -> Result<(Pooled, usize), Raise> {
    // SAFETY: the caller's state, arranged as `body` says; the stack is checked for the items.
    unsafe {
        let base = lua_gettop(lua) + 1;
        if lua_checkstack(lua, most as c_int + 30) == 0 {
            return Err(Raise::Message("not enough memory".to_owned()));
        }
        lua_pushvalue(lua, 2);
        lua_pushinteger(lua, first as lua_Integer);
        let (mut count, mut len) = (0, 0);
        while count < most && len < MOST_BYTES {
            lua_rawgeti(lua, 3, (first + count) as lua_Integer);
            len += bytes(lua, -1).map_or(0, <[u8]>::len);
            count += 1;
        }
        let same = (base + 2..base + 2 + count as c_int).any(|index| lua_rawequal(lua, index, base) != 0);
        let job = send(lua, handle, known.filter(|_| !same), base, 1 + count as c_int, true)?;
        lua_settop(lua, base - 1);
        Ok((job, count))
    }
}

/// Takes in a chunk's results; or pushes its failure and returns the index of the item.
unsafe fn receive(
    lua: *mut lua_State,
    handle: &Handle,
    chunk: &Chunk,
    settled: Settled,
    facts: &Facts,
) -> Result<Option<usize>, Raise> {
    // SAFETY: the caller's state, arranged as `body` says.
    unsafe {
        let base = lua_gettop(lua) + 1;
        let mut index = chunk.first;
        let problem = match settled {
            Settled::Reply(Settled::VALUES) => match decode_reply(lua, facts, &chunk.job) {
                Ok(count) if count as usize == chunk.count => {
                    for at in (0..chunk.count).rev() {
                        lua_rawseti(lua, RESULTS, (chunk.first + at) as lua_Integer);
                    }
                    return Ok(None);
                }
                Ok(count) => Some(format!("there are {count} of {}", chunk.count)),
                Err(problem) => Some(problem),
            },
            Settled::Reply(code) => {
                let mut decoded = decode_reply(lua, facts, &chunk.job);
                // What was raised for an item begins with its index.
                if let Ok(count) = &mut decoded
                    && *count > 1
                    && lua_isinteger(lua, base) != 0
                {
                    index = usize::try_from(lua_tointeger(lua, base)).unwrap_or(index);
                    lua_remove(lua, base);
                    *count -= 1;
                }
                report_failure(lua, base, &facts.limits, code, decoded).err()
            }
            Settled::Stopped => {
                handle.serving(lua)?;
                None
            }
            _ => {
                deliver(lua, facts, &chunk.job, settled)?;
                None
            }
        };
        if let Some(problem) = problem {
            lua_settop(lua, base - 1);
            failure::push(lua, Kind::Encode, &format!("the results could not be received: {problem}"));
        }
        if matches!(settled, Settled::Reply(_)) {
            failure::set_text(lua, c"name", &facts.name);
        }
        failure::set_integer(lua, c"index", index as i64);
        Ok(Some(index))
    }
}

/// Calls `on_progress`.
unsafe fn report(lua: *mut lua_State, done: usize, total: usize) -> Result<(), Raise> {
    // SAFETY: the caller's state with free slots.
    unsafe {
        lua_pushvalue(lua, 4);
        lua_pushinteger(lua, done as lua_Integer);
        lua_pushinteger(lua, total as lua_Integer);
        if lua_pcall(lua, 2, 0, 0) != LUA_OK { Err(Raise::Object) } else { Ok(()) }
    }
}
