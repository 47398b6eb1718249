//! `thread.sleep(ms)`.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

use llib_lua::ffi::lua_State;

use llib_core::sys::{clock, futex};
use llib_lua::call::{Outcome, Raise, milliseconds};
use llib_lua::hooks;

/// # Safety
/// Called by Lua.
pub(super) unsafe fn body(lua: *mut lua_State) -> Outcome {
    /// So that a signal which came just before the sleep began is answered soon.
    const SLICE: Duration = Duration::from_millis(50);
    // SAFETY: Lua's state.
    let time = unsafe { milliseconds(lua, 1)? };
    let time =
        time.ok_or_else(|| Raise::Argument(1, "number of milliseconds expected, got no value".to_owned()))?;
    let end = clock::after(time);
    let nobody_wakes = AtomicU32::new(0);
    loop {
        let left = clock::until(end);
        if left.is_zero() {
            return Ok(0);
        }
        futex::wait(&nobody_wakes, 0, left.min(SLICE));
        // SAFETY: Lua's state.
        unsafe { hooks::run(lua)? };
    }
}
