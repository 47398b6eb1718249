//! `res:autoclose()`: from then on `task:close` ends the job at any instruction.
//!
//! It is a hook that looks now and then whether the job was asked to end. A job may have a hook of its own, as profilers and
//! tools for coverage do: that goes on, called from ours with the events that it wants.

use std::cell::RefCell;
use std::ffi::c_int;
use std::sync::atomic::Ordering;

use llib_lua::call::Outcome;
use llib_lua::ffi::*;
use llib_lua::version::{jit, state};

use super::res::close_if_asked;
use crate::job;
use crate::pool;

/// Instructions between two looks: fine enough for any patience, cheap enough to leave on.
const STRIDE: c_int = 1000;

type Hook = unsafe extern "C-unwind" fn(*mut lua_State, *mut lua_Debug);

/// The hook that a thread of Lua had before.
#[derive(Clone, Copy)]
struct Kept {
    thread: *mut lua_State,
    hook: Option<Hook>,
    /// Instructions between two calls that it wants; 0 is none.
    wanted: c_int,
    /// Instructions between two calls of ours, and those since its last call.
    period: c_int,
    passed: c_int,
}

thread_local! {
    /// That of the thread that called first comes first: others inherit it.
    static KEPT: RefCell<Vec<Kept>> = const { RefCell::new(Vec::new()) };
}

pub(super) unsafe fn body(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state; the hook lives as long as the program.
    unsafe {
        if let Some(post) = pool::current() {
            post.allow_autoclose();
        } else if let Some(job) = job::current() {
            job.mailbox.autoclose().store(1, Ordering::SeqCst);
        }
        close_if_asked(lua);
        // Hooks belong to a coroutine; later ones inherit them. For what these two miss the host has the job
        // killed.
        jit::make_hooks_reliable(lua);
        let threads = [lua, state::main_thread(lua)];
        if !threads.iter().any(|thread| is_set(*thread)) {
            // Those of a pool's earlier job.
            KEPT.with_borrow_mut(Vec::clear);
        }
        for thread in threads.into_iter().filter(|thread| !is_set(*thread)) {
            set(thread);
        }
    }
    Ok(0)
}

/// Whether a thread has our hook. LuaJIT has one hook for all threads.
unsafe fn is_set(thread: *mut lua_State) -> bool {
    // SAFETY: the caller's state.
    unsafe { lua_gethook(thread) }.is_some_and(|hook| std::ptr::fn_addr_eq(hook, on_event as Hook))
}

unsafe fn set(thread: *mut lua_State) {
    // SAFETY: the caller's state.
    unsafe {
        let (hook, mask) = (lua_gethook(thread), lua_gethookmask(thread));
        let wanted = if mask & LUA_MASKCOUNT != 0 { lua_gethookcount(thread).max(1) } else { 0 };
        let period = if wanted == 0 { STRIDE } else { wanted.min(STRIDE) };
        let hook = hook.filter(|_| mask != 0);
        KEPT.with_borrow_mut(|kept| {
            kept.retain(|kept| kept.thread != thread);
            kept.push(Kept { thread, hook, wanted, period, passed: 0 });
        });
        lua_sethook(thread, Some(on_event), mask | LUA_MASKCOUNT, period);
    }
}

unsafe extern "C-unwind" fn on_event(lua: *mut lua_State, about: *mut lua_Debug) {
    // SAFETY: Lua's state and record; a hook may use the stack like a C function. What the job's hook raises leaves this
    // frame, which owns nothing then.
    unsafe {
        let counts = (*about).event == LUA_HOOKCOUNT;
        if counts {
            close_if_asked(lua);
        }
        if let Some(hook) = due(lua, counts) {
            hook(lua, about);
        }
    }
}

/// The hook that is to be called of an event, if one is.
fn due(thread: *mut lua_State, counts: bool) -> Option<Hook> {
    KEPT.with_borrow_mut(|kept| {
        let place = kept.iter().position(|kept| kept.thread == thread).unwrap_or(0);
        let kept = kept.get_mut(place)?;
        if counts {
            kept.passed = kept.passed.saturating_add(kept.period);
            if kept.wanted == 0 || kept.passed < kept.wanted {
                return None;
            }
            kept.passed -= kept.wanted;
        }
        kept.hook
    })
}
