//! A worker of a pool: one job after the other in the same state, each as if the state were new.
//!
//! A job that returns or raises costs no process. One that ends by `res`, `rej` or `close`, or that ran out of memory, is
//! stopped in the middle of whatever it does, and the worker ends with it; so does one after which the state cannot be
//! made as good as new. The host starts another in its place.

mod fresh;
mod functions;
mod process;
mod watched;

use std::ffi::c_int;

use llib_core::observe::trace;
use llib_core::wire::kind::Kind;
use llib_core::wire::pooled::{HEAD, Head};
use llib_core::wire::settings::PoolPost;
use llib_lua::convert::{DecodeError, DecodeOptions, Roots, Source, decode, decode_keeping, forget_classes};
use llib_lua::ffi::*;
use llib_lua::types::Objects;
use llib_lua::version::prototypes::Prototypes;
use llib_lua::version::{self, collector, jit};

use self::fresh::Fresh;
use self::functions::Functions;
use super::memory;
use super::outcome::{Unsent, VALUES, code, exhausted, finish, is_memory_error, send, tell};
use crate::job::Job;
use crate::lua::explain;
use crate::lua::text::compile_at;
use crate::pool::{self, Post, Taken};
use llib_sandbox::limits::JobTime;
use llib_worker_sys as sys;

/// Where the function that handles errors stands.
const HANDLER: c_int = 1;
/// Where a job's function stands; its arguments follow.
const FUNCTION: c_int = 2;

/// Code of earlier jobs, for jobs that bring the same code.
#[derive(Default)]
struct Store {
    functions: Functions,
    prototypes: Prototypes,
}

/// Serves the pool until it is time to go. The process ends here.
///
/// # Safety
/// `lua` is the worker's state, below a protected call.
pub(super) unsafe fn serve(lua: *mut lua_State, job: &'static Job, place: &PoolPost) -> ! {
    let timers = job.settings.limits.cpu.map(JobTime::new).transpose();
    let timers = match timers {
        Ok(timers) => timers,
        Err(error) => {
            tell(job, format!("its CPU time cannot be limited: {error}").as_bytes(), code(Kind::Error))
        }
    };
    // SAFETY: the worker's state; between two jobs nothing is on its stack.
    unsafe {
        lua_settop(lua, 0);
        let mut fresh = Fresh::of(lua);
        let post = match pool::enter(job, place) {
            Ok(post) => post,
            Err(error) => {
                tell(job, format!("the pool cannot be joined: {error}").as_bytes(), code(Kind::Error))
            }
        };
        let mut store = Store::default();
        let mut kept = 0;
        let tidy = || {
            // What jobs left may hold shared objects, files, memory.
            collector::collect(lua);
        };
        while let Some(taken) = post.next(tidy) {
            make_room(lua, &mut kept);
            if let Some(timers) = timers {
                timers.start();
            }
            let reached = run(lua, job, post, taken, &mut store, &mut fresh);
            if let Some(timers) = timers {
                timers.stop();
            }
            lua_settop(lua, 0);
            forget_classes(lua);
            // The constants of kept functions may be different now.
            if reached && jit::was_looked_into(lua) {
                store.functions.forget(lua);
                store.prototypes.forget(lua);
            }
            let restored = !reached || fresh.restore(lua);
            if fresh.loaded_modules() {
                // Compiled code refers to their functions; the next job would load others.
                jit::flush(lua);
            }
            if !restored || is_worn(lua, post) {
                post.leave();
                break;
            }
        }
    }
    sys::flush_streams();
    sys::exit_now(0)
}

/// Leaves the next job no more garbage of the last ones than it can bear with its memory limit, where Lua would not collect it
/// in need, and not much that LuaJIT's compiled code refers to. `kept` is what the last collection left.
unsafe fn make_room(lua: *mut lua_State, kept: &mut usize) {
    /// The part of the limit that garbage may take.
    const SHARE: usize = 8;
    /// The same for LuaJIT in workers without a limit.
    const UNLIMITED: usize = 64 << 20;
    if version::COLLECTS_IN_NEED {
        return;
    }
    // SAFETY: the worker's state, idle.
    unsafe {
        let standing = memory::standing(lua);
        let most = match standing.limit {
            Some(limit) => *kept + limit / SHARE,
            None if version::IS_JIT => *kept + UNLIMITED,
            None => return,
        };
        if standing.used > most {
            collector::collect(lua);
            if memory::standing(lua).used > most {
                // Compiled code may hold values of earlier jobs.
                jit::flush(lua);
                collector::collect(lua);
            }
            *kept = memory::standing(lua).used;
        }
    }
}

unsafe fn is_worn(lua: *mut lua_State, post: &Post) -> bool {
    // SAFETY: the worker's state, idle.
    unsafe {
        if !post.is_worn(memory::standing(lua).used as u64) {
            return false;
        }
        // Garbage is no reason.
        collector::collect(lua);
        post.is_worn(memory::standing(lua).used as u64)
    }
}

/// Runs a job up to its published result; whether it could reach anything that the next one sees.
unsafe fn run(
    lua: *mut lua_State,
    job: &Job,
    post: &Post,
    taken: Taken,
    store: &mut Store,
    fresh: &mut Fresh,
) -> bool {
    // SAFETY: the worker's state with an empty stack, below a protected call.
    unsafe {
        let taken = Taken::timed(post, taken);
        let _span = trace::span("pool", || format!("job {} of its pool", taken.number));
        let (head, reaches) = match receive(lua, post, taken, store, fresh) {
            Ok(received) => received,
            Err(DecodeError::Memory) => exhausted(lua, job),
            Err(error) => {
                lua_settop(lua, 0);
                let text = format!("the job could not be received: {error}");
                conclude_text(lua, job, &text);
                return true;
            }
        };
        let status = compile_at(lua, FUNCTION, &job.settings.name);
        if status != LUA_OK {
            let error = unfold_error(lua, job, status);
            if head.map {
                // For the first item of the chunk.
                lua_pushvalue(lua, FUNCTION + 1);
                lua_insert(lua, error);
            }
            conclude(lua, job, error, true, code(Kind::Syntax));
            return reaches;
        }
        if head.map {
            map(lua, job);
            return reaches;
        }
        let arguments = lua_gettop(lua) - FUNCTION;
        let status = lua_pcall(lua, arguments, LUA_MULTRET, HANDLER);
        if reaches {
            sys::flush_streams();
        }
        if status == LUA_OK {
            conclude(lua, job, FUNCTION, false, VALUES);
        } else {
            let first = unfold_error(lua, job, status);
            conclude(lua, job, first, true, code(Kind::Error));
        }
        reaches
    }
}

/// Puts handler, function and arguments on the empty stack.
unsafe fn receive(
    lua: *mut lua_State,
    post: &Post,
    taken: Taken,
    store: &mut Store,
    fresh: &mut Fresh,
) -> Result<(Head, bool), DecodeError> {
    let load = post.load(taken).map_err(|error| DecodeError::Handle(error.to_string()))?;
    let (payload, ids) = load.open();
    // SAFETY: `load` keeps its bytes mapped until the end of this function.
    unsafe {
        explain::push(lua);
        let head = payload.first(HEAD).copy();
        let head = head.first_chunk::<HEAD>().map(|bytes| Head::from_bytes(*bytes)).unwrap_or_default();
        let directory = usize::from(head.directory).min(payload.after(HEAD).len());
        fresh.enter(payload.after(HEAD).first(directory));
        let payload = payload.after(HEAD + directory);
        let function = (head.function as usize).min(payload.len());
        let mut reaches = true;
        if function > 0 {
            reaches = store.functions.push(lua, payload.first(function), &mut store.prototypes)?;
        }
        let values = payload.after(function);
        let source = Source::new(values.as_ptr(), values.len());
        // Plain data leads to no global, so that a function which has none cannot get at one.
        let plain = !reaches && !load.carries;
        let decoded = if plain {
            match decode(lua, source, &DecodeOptions::PLAIN, &mut Objects::default()) {
                Err(DecodeError::Refused(_)) => None,
                decoded => Some(decoded),
            }
        } else {
            None
        };
        match decoded {
            Some(decoded) => decoded?,
            None => {
                reaches = true;
                let mut objects = Objects::default();
                decode_keeping(lua, source, &DecodeOptions::TRUSTED, &mut objects, &mut store.prototypes)?
            }
        };
        if load.carries {
            post.took_handles(ids);
        }
        Ok((head, reaches))
    }
}

/// Calls the function for each item. Stack: handler, function, index of the first item, items.
unsafe fn map(lua: *mut lua_State, job: &Job) {
    const FIRST: c_int = FUNCTION + 1;
    // SAFETY: the worker's state, below a protected call; the codec left room for the values alone.
    unsafe {
        lua_checkstack(lua, 8);
        let first = lua_tointeger(lua, FIRST);
        let last = lua_gettop(lua);
        for place in FIRST + 1..=last {
            let index = first + lua_Integer::from(place - FIRST - 1);
            lua_pushvalue(lua, FUNCTION);
            lua_pushvalue(lua, place);
            lua_pushinteger(lua, index);
            let status = lua_pcall(lua, 2, 1, HANDLER);
            if status == LUA_OK {
                lua_replace(lua, place);
                continue;
            }
            let error = unfold_error(lua, job, status);
            lua_pushinteger(lua, index);
            lua_insert(lua, error);
            sys::flush_streams();
            return conclude(lua, job, error, true, code(Kind::Error));
        }
        sys::flush_streams();
        lua_settop(lua, last);
        conclude(lua, job, FIRST + 1, false, VALUES);
    }
}

/// Replaces the error on top by text, traceback, a place for the reason why it is not there, and itself; returns the
/// text's place.
unsafe fn unfold_error(lua: *mut lua_State, job: &Job, status: c_int) -> c_int {
    // SAFETY: the worker's state with an error on top, below a protected call.
    unsafe {
        if is_memory_error(lua, status) {
            exhausted(lua, job);
        }
        let place = lua_gettop(lua);
        explain::unfold(lua, HANDLER);
        lua_pushnil(lua);
        lua_insert(lua, -2);
        place
    }
}

/// Hands over the values from `first` on. `raised`: the last one is what was raised; if that cannot travel it stays
/// behind, and the place before it says why. A result that cannot travel makes the job fail.
unsafe fn conclude(lua: *mut lua_State, job: &Job, first: c_int, raised: bool, reply: u32) {
    // SAFETY: the worker's state with these values.
    unsafe {
        let count = lua_gettop(lua) - first + 1;
        let roots = if raised { Roots::Failure(count as usize - 1) } else { Roots::Results };
        match send(lua, job, first, count, reply, roots) {
            Ok(()) => {}
            Err(unsent) if raised => {
                lua_settop(lua, first + count - 3);
                llib_lua::call::push_text(lua, &unsent.to_string());
                conclude(lua, job, first, false, reply);
            }
            Err(Unsent::Memory) => exhausted(lua, job),
            Err(Unsent::Reason(reason)) => {
                llib_lua::call::push_text(lua, &reason);
                if send(lua, job, lua_gettop(lua), 1, code(Kind::Encode), Roots::Results).is_err() {
                    finish(lua, lua_gettop(lua), 0, code(Kind::Encode));
                }
            }
        }
    }
}

unsafe fn conclude_text(lua: *mut lua_State, job: &Job, text: &str) {
    // SAFETY: the worker's state with free slots.
    unsafe {
        llib_lua::call::push_text(lua, text);
        conclude(lua, job, lua_gettop(lua), false, code(Kind::Error));
    }
}
