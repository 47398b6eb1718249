//! The garbage collector: the calls to it, and holding it back for a while.
//!
//! A message is decoded without collecting in between. That saves time, nothing depends on it: finalizers may
//! run at any allocation, and everything that is being built is reachable.

use std::ffi::c_int;

use super::ffi::*;

/// Whether the collector runs by itself; `None` where Lua does not tell (5.1).
///
/// # Safety
/// `lua` is a valid state.
pub unsafe fn is_running(lua: *mut lua_State) -> Option<bool> {
    /// LuaJIT 2.1 has the call of Lua 5.2.
    #[cfg(feature = "luajit")]
    const LUA_GCISRUNNING: c_int = 9;
    #[cfg(feature = "lua51")]
    {
        let _ = lua;
        None
    }
    // SAFETY: as demanded; the call only looks.
    #[cfg(not(feature = "lua51"))]
    Some(unsafe { lua_gc(lua, LUA_GCISRUNNING, 0) } == 1)
}

/// # Safety
/// `lua` is a valid state.
pub unsafe fn stop(lua: *mut lua_State) {
    // SAFETY: as demanded; the call runs nothing.
    unsafe { lua_gc(lua, LUA_GCSTOP, 0) };
}

/// # Safety
/// `lua` is a valid state.
pub unsafe fn restart(lua: *mut lua_State) {
    // SAFETY: as demanded; the call runs nothing.
    unsafe { lua_gc(lua, LUA_GCRESTART, 0) };
}

/// A full collection. What finalizers raise is lost: before Lua 5.4 it would be raised here.
///
/// # Safety
/// `lua` is a valid state with two free stack slots, where finalizers may run.
pub unsafe fn collect(lua: *mut lua_State) {
    unsafe extern "C-unwind" fn full(lua: *mut lua_State) -> c_int {
        // SAFETY: called in protected mode.
        unsafe { lua_gc(lua, LUA_GCCOLLECT, 0) };
        0
    }
    // SAFETY: as demanded; an error, also that of the push, is popped.
    unsafe {
        if super::state::push_function(lua, full) != LUA_OK || lua_pcall(lua, 0, 0, 0) != LUA_OK {
            lua_pop(lua, 1);
        }
    }
}

/// Bytes in use.
///
/// # Safety
/// `lua` is a valid state.
pub unsafe fn bytes(lua: *mut lua_State) -> usize {
    // SAFETY: as demanded; the calls only look.
    let (kilobytes, rest) = unsafe { (lua_gc(lua, LUA_GCCOUNT, 0), lua_gc(lua, LUA_GCCOUNTB, 0)) };
    kilobytes.unsigned_abs() as usize * 1024 + rest.unsigned_abs() as usize
}

/// Kilobytes in use.
///
/// # Safety
/// `lua` is a valid state.
pub unsafe fn count(lua: *mut lua_State) -> c_int {
    // SAFETY: as demanded; the call only looks.
    unsafe { lua_gc(lua, LUA_GCCOUNT, 0) }
}

/// The mode in which this version's stock interpreter runs.
///
/// # Safety
/// `lua` is a valid state where finalizers may run.
pub unsafe fn usual_mode(lua: *mut lua_State) {
    // SAFETY: as demanded; the call takes at most two more numbers.
    #[cfg(any(feature = "lua54", feature = "lua55"))]
    unsafe {
        lua_gc(lua, LUA_GCGEN, 0 as c_int, 0 as c_int);
    }
    let _ = lua;
}

/// How the collector works, as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace([c_int; PARAMETERS]);

#[cfg(feature = "lua55")]
const PARAMETERS: usize = LUA_GCPNUM as usize;
/// Pause and speed.
#[cfg(not(feature = "lua55"))]
const PARAMETERS: usize = 2;

impl Pace {
    /// What is set now.
    ///
    /// # Safety
    /// `lua` is a valid state.
    pub unsafe fn of(lua: *mut lua_State) -> Pace {
        // SAFETY: as demanded. Before Lua 5.5 to ask is to set, so the answers are set again; nothing runs.
        unsafe {
            #[cfg(feature = "lua55")]
            let pace = Pace(std::array::from_fn(|parameter| {
                lua_gc(lua, LUA_GCPARAM, parameter as c_int, -1 as c_int)
            }));
            #[cfg(not(feature = "lua55"))]
            let pace = {
                let pace = Pace([lua_gc(lua, LUA_GCSETPAUSE, 200), lua_gc(lua, LUA_GCSETSTEPMUL, 100)]);
                pace.set(lua);
                pace
            };
            pace
        }
    }

    unsafe fn set(self, lua: *mut lua_State) {
        // SAFETY: the callers' state; the calls set numbers.
        unsafe {
            #[cfg(feature = "lua55")]
            for (parameter, value) in self.0.into_iter().enumerate() {
                lua_gc(lua, LUA_GCPARAM, parameter as c_int, value);
            }
            #[cfg(not(feature = "lua55"))]
            {
                lua_gc(lua, LUA_GCSETPAUSE, self.0[0]);
                lua_gc(lua, LUA_GCSETSTEPMUL, self.0[1]);
            }
        }
    }

    /// Has the collector run at this pace, in the [usual mode](usual_mode).
    ///
    /// # Safety
    /// `lua` is a valid state where finalizers may run: it collects if the mode was another.
    pub unsafe fn restore(self, lua: *mut lua_State) {
        // SAFETY: as demanded.
        unsafe {
            if is_running(lua) != Some(true) {
                restart(lua);
            }
            #[cfg(feature = "lua54")]
            {
                /// Of Lua's own: `LUAI_GENMINORMUL` and `LUAI_GENMAJORMUL`, and the size of a step, `LUAI_GCSTEPSIZE`.
                const GENERATIONS: (c_int, c_int) = (20, 100);
                const STEP_SIZE: c_int = 13;
                if lua_gc(lua, LUA_GCGEN, GENERATIONS.0, GENERATIONS.1) != LUA_GCGEN {
                    lua_gc(lua, LUA_GCINC, self.0[0], self.0[1], STEP_SIZE);
                    lua_gc(lua, LUA_GCGEN, GENERATIONS.0, GENERATIONS.1);
                }
            }
            #[cfg(feature = "lua55")]
            lua_gc(lua, LUA_GCGEN);
            #[cfg(feature = "lua52")]
            lua_gc(lua, LUA_GCINC, 0);
            self.set(lua);
        }
    }
}

/// Keeps the collector from running (and with it finalizers) while some memory is allocated.
///
/// The obvious way, stop and restart, forgets how much was allocated since the last cycle: after each restart
/// the very next allocation does a collection step, which would cost more than decoding a small message. In
/// Lua 5.3 and 5.4 the collector is given a credit of some kilobytes instead and the credit is taken back at
/// the end, which leaves its pace exactly as it was. Elsewhere it is stopped, and for large messages alone; Lua 5.1
/// does not tell whether a script has stopped it, so there nothing is done. A collector that the script stopped
/// is left alone.
#[must_use = "the credit has to be taken back"]
pub struct Pause {
    lua: *mut lua_State,
    kilobytes: c_int,
}

/// Whether a step of a negative size is a credit.
const HAS_CREDIT: bool = cfg!(any(feature = "lua53", feature = "lua54"));
/// From this size on stopping is worth the step that comes with the restart.
const WORTH_STOPPING: c_int = 1024;

impl Pause {
    /// Holds the collector back until about `bytes` bytes are allocated or [`end`](Pause::end) is called.
    ///
    /// # Safety
    /// `lua` is a valid state and outlives the pause.
    pub unsafe fn new(lua: *mut lua_State, bytes: usize) -> Self {
        let kilobytes = (bytes / 1024).clamp(64, 1 << 30) as c_int;
        // SAFETY: the state is valid. A negative step only lowers the debt and runs nothing.
        unsafe {
            if is_running(lua) != Some(true) || (!HAS_CREDIT && kilobytes < WORTH_STOPPING) {
                return Self { lua, kilobytes: 0 };
            }
            if HAS_CREDIT {
                lua_gc(lua, LUA_GCSTEP, -kilobytes);
            } else {
                stop(lua);
            }
            Self { lua, kilobytes }
        }
    }

    /// Takes back what of the credit goes beyond `kilobytes`, counted from the pause's beginning: the collector
    /// starts once so much was allocated. Where there is no credit, it starts at once.
    ///
    /// # Safety
    /// As for [`end`](Pause::end).
    pub unsafe fn end_keeping(mut self, kilobytes: c_int) {
        if HAS_CREDIT {
            self.kilobytes = (self.kilobytes - kilobytes).max(0);
        }
        // SAFETY: as demanded.
        unsafe { self.end() }
    }

    /// Takes the credit back. The collector does a step at once if one is due.
    ///
    /// # Safety
    /// The state is still valid; finalizers may run.
    pub unsafe fn end(self) {
        if self.kilobytes == 0 {
            return;
        }
        // SAFETY: as demanded.
        unsafe {
            if !HAS_CREDIT {
                restart(self.lua);
            } else if is_running(self.lua) == Some(true) {
                lua_gc(self.lua, LUA_GCSTEP, self.kilobytes);
            }
        }
    }
}
