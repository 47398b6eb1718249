//! Letting the interpreter's own hooks run while llib blocks.
//!
//! A stock interpreter answers Ctrl-C with a signal handler that sets a debug hook; the hook raises
//! `interrupted!` at the next instruction. While a C function blocks there is no next instruction, so
//! blocking calls come here whenever a signal handler may have run, and execute one.

use std::sync::OnceLock;

use crate::ffi::*;

use super::call::Raise;
use super::version::state;

/// What else has to happen then; set once by a process that runs jobs.
static IN_WORKER: OnceLock<unsafe fn(*mut lua_State)> = OnceLock::new();

/// Sets what a worker does whenever a blocking call pauses.
pub fn on_pause(action: unsafe fn(*mut lua_State)) {
    // A second call would be a second start of the same worker program: the same action.
    let _ = IN_WORKER.set(action);
}

/// Makes a call that may take long, with hooks in between. What one of them raises ends the call early.
///
/// # Safety
/// `lua` is a valid state with four free stack slots. The call itself leaves the stack alone.
pub unsafe fn patiently<T>(
    lua: *mut lua_State,
    call: impl FnOnce(&mut dyn FnMut() -> bool) -> T,
) -> Result<T, Raise> {
    let mut raised = None;
    let result = call(&mut || {
        if raised.is_none() {
            // SAFETY: as demanded.
            raised = unsafe { run(lua) }.err();
        }
        raised.is_none()
    });
    match raised {
        Some(raised) => Err(raised),
        None => Ok(result),
    }
}

/// Gives hooks their chance. What they raise is on top of the stack then.
///
/// # Safety
/// `lua` is a valid state with three free stack slots.
pub unsafe fn run(lua: *mut lua_State) -> Result<(), Raise> {
    // SAFETY: as demanded. The function that is called is empty; what can happen in it is a hook.
    unsafe {
        if let Some(action) = IN_WORKER.get() {
            action(lua);
        }
        let main = state::main_thread(lua);
        let borrowed = lua_gethookmask(lua) == 0 && lua_gethookmask(main) != 0;
        if lua_gethookmask(lua) == 0 && !borrowed {
            return Ok(());
        }
        // The handler of a stock interpreter knows the main thread alone. In a coroutine its hook would
        // wait until the coroutine is done, so it is tried here.
        if borrowed {
            lua_sethook(lua, lua_gethook(main), lua_gethookmask(main), lua_gethookcount(main));
        }
        let status = match luaL_loadstring(lua, c"return".as_ptr()) {
            LUA_OK => lua_pcall(lua, 0, 0, 0),
            failed => failed,
        };
        if borrowed {
            lua_sethook(lua, None, 0, 0);
            if status != LUA_OK {
                lua_sethook(main, None, 0, 0);
            }
        }
        if status == LUA_OK { Ok(()) } else { Err(Raise::Object) }
    }
}
