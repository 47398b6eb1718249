//! Holding back the garbage collector.

use std::ffi::c_int;

use mlua::ffi::*;

/// Keeps the collector from running (and with it finalizers) while some memory is allocated.
///
/// The obvious way, `LUA_GCSTOP` and `LUA_GCRESTART`, forgets how much was allocated since the last cycle:
/// after each restart the very next allocation does a collection step, which would cost more than decoding a
/// small message. So the collector is given a credit of some kilobytes instead and the credit is taken back
/// at the end, which leaves its pace exactly as it was. A collector that the script stopped is left alone.
#[must_use = "the credit has to be taken back"]
pub struct Pause {
    lua: *mut lua_State,
    kilobytes: c_int,
}

impl Pause {
    /// Holds the collector back until about `bytes` bytes are allocated or [`end`](Pause::end) is called.
    ///
    /// # Safety
    /// `lua` is a valid state and outlives the pause.
    pub unsafe fn new(lua: *mut lua_State, bytes: usize) -> Self {
        // SAFETY: the state is valid. A negative step only lowers the debt and runs nothing.
        unsafe {
            if lua_gc(lua, LUA_GCISRUNNING) != 1 {
                return Self { lua, kilobytes: 0 };
            }
            let kilobytes = (bytes / 1024).clamp(64, 1 << 30) as c_int;
            lua_gc(lua, LUA_GCSTEP, -kilobytes);
            Self { lua, kilobytes }
        }
    }

    /// Takes back what of the credit goes beyond `kilobytes`, counted from the pause's beginning: the collector
    /// starts once so much was allocated.
    ///
    /// # Safety
    /// As for [`end`](Pause::end).
    pub unsafe fn end_keeping(mut self, kilobytes: c_int) {
        self.kilobytes = (self.kilobytes - kilobytes).max(0);
        // SAFETY: as demanded.
        unsafe { self.end() }
    }

    /// Takes the credit back. The collector does a step at once if one is due.
    ///
    /// # Safety
    /// The state is still valid; finalizers may run.
    pub unsafe fn end(self) {
        // SAFETY: as demanded.
        unsafe {
            if self.kilobytes != 0 && lua_gc(self.lua, LUA_GCISRUNNING) == 1 {
                lua_gc(self.lua, LUA_GCSTEP, self.kilobytes);
            }
        }
    }
}
