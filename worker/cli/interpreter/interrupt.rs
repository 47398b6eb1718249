//! SIGINT while Lua runs: the script is stopped by the error "interrupted!" at its next instruction.
//!
//! As in stock Lua the handler stands only during a call, and the signal's default action is back as soon
//! as it came once: a script that does not stop (a long C function, an endless `__gc`) dies of the second.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use llib_lua::ffi::{self, lua_Debug, lua_State};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// The state to stop. Not null while [`on_signal`] can run.
static RUNNING: AtomicPtr<lua_State> = AtomicPtr::new(ptr::null_mut());

/// From here on SIGINT stops `state`.
///
/// # Safety
///
/// `state` stays open until [`disarm`] is called.
pub(super) unsafe fn arm(state: *mut lua_State) {
    RUNNING.store(state, Ordering::SeqCst);
    set(SigHandler::Handler(on_signal));
}

/// SIGINT ends the process again.
pub(super) fn disarm() {
    set(SigHandler::SigDfl);
}

fn set(handler: SigHandler) {
    // No SA_RESTART: a blocking system call returns, so that Lua gets to its next instruction.
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: the only handler set here is `on_signal`, which does nothing but what a handler may. Fails
    // only for a wrong signal number.
    let _ = unsafe { sigaction(Signal::SIGINT, &action) };
}

/// Runs in a signal handler: it may touch the state only by setting a hook.
extern "C" fn on_signal(_signal: libc::c_int) {
    disarm();
    let state = RUNNING.load(Ordering::SeqCst);
    let every = ffi::LUA_MASKCALL | ffi::LUA_MASKRET | ffi::LUA_MASKLINE | ffi::LUA_MASKCOUNT;
    // SAFETY: `arm` stored a state that is open while this handler is set, and `lua_sethook` is the
    // function of Lua's API that is made to be called asynchronously.
    unsafe { ffi::lua_sethook(state, Some(stop), every, 1) };
}

/// The hook: runs in Lua's own time, so it may raise.
unsafe extern "C-unwind" fn stop(state: *mut lua_State, _activation: *mut lua_Debug) {
    // SAFETY: Lua calls hooks with the running state and room on its stack. The error leaves this frame
    // by longjmp; it owns nothing.
    unsafe {
        ffi::lua_sethook(state, None, 0, 0);
        ffi::luaL_error(state, c"interrupted!".as_ptr());
    }
}
