//! Whether anything that was received can set finalizers: functions run later that nobody calls, in the time of another job.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::ffi::*;

use super::names::push;

static SEEN: AtomicBool = AtomicBool::new(false);

/// Whether this process has received code that names `__gc`, or a metatable that has it.
pub fn may_have_finalizers() -> bool {
    SEEN.load(Ordering::Relaxed)
}

/// Looks at the code of a function, or its text.
pub fn note_code(code: &[u8]) {
    if !may_have_finalizers() && memchr::memmem::find(code, b"__gc").is_some() {
        SEEN.store(true, Ordering::Relaxed);
    }
}

/// Looks at the metatable on top.
///
/// # Safety
/// Below `lua_pcall`, a value on top and a free slot.
pub(super) unsafe fn note_metatable(lua: *mut lua_State) {
    // SAFETY: as demanded; raw access; balanced.
    unsafe {
        if may_have_finalizers() || lua_type(lua, -1) != LUA_TTABLE {
            return;
        }
        push(lua, "__gc");
        if lua_rawget(lua, -2) != LUA_TNIL {
            SEEN.store(true, Ordering::Relaxed);
        }
        lua_settop(lua, -2);
    }
}
