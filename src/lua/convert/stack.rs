//! A Lua stack for any depth.
//!
//! Each nesting level needs a few slots of the Lua stack (the table, the key that `lua_next` continues
//! from), and Lua allows a million at most, some versions only some thousands. So the stack holds the upper
//! part of the nesting; when that gets high, its lower half moves into a Lua table, and comes back when the
//! upper levels are done. Both directions move [`STEP`] slots at a time, and after each there is room for as
//! many in either direction: a nesting that goes up and down around the limit does not move slots each time.

use std::ffi::c_int;

use crate::ffi::*;

/// Slots moved at a time. The room for them is part of what every small message costs, so few.
const STEP: c_int = 32;
/// Height at which the lower slots move away.
const HIGH: c_int = 2 * STEP;
/// Height below which they come back: more than one frame uses.
const LOW: c_int = 8;
/// Slots that must be free above the base.
pub(super) const ROOM: c_int = HIGH + STEP + 40;

/// The part of the Lua stack above `base`, and what was moved away from its lower end.
#[derive(Clone, Copy)]
pub(super) struct Stack {
    lua: *mut lua_State,
    /// Slot of the table that takes what is moved away; nil until the first time.
    table: c_int,
    pub(super) base: c_int,
    away: usize,
}

impl Stack {
    /// Everything below `base` is not touched. Slot `table` holds nil.
    pub(super) fn new(lua: *mut lua_State, table: c_int, base: c_int) -> Self {
        Self { lua, table, base, away: 0 }
    }

    /// Number of slots above the base, those moved away included.
    ///
    /// # Safety
    /// The state is valid.
    pub(super) unsafe fn height(&self) -> usize {
        // SAFETY: as demanded.
        self.away + unsafe { lua_gettop(self.lua) - self.base } as usize
    }

    /// To be called when a frame starts.
    ///
    /// # Safety
    /// Below `lua_pcall`, with [`ROOM`] slots above the base.
    #[inline]
    pub(super) unsafe fn grown(&mut self) {
        // SAFETY: as demanded.
        unsafe {
            if lua_gettop(self.lua) - self.base > HIGH {
                self.move_away();
            }
        }
    }

    /// To be called when a frame ended, before the one below is used.
    ///
    /// # Safety
    /// As for [`grown`](Stack::grown).
    #[inline]
    pub(super) unsafe fn shrunk(&mut self) {
        // SAFETY: as demanded.
        unsafe {
            if self.away > 0 && lua_gettop(self.lua) - self.base < LOW {
                self.bring_back();
            }
        }
    }

    #[cold]
    unsafe fn move_away(&mut self) {
        // SAFETY: more than HIGH slots are in use above the base, so the lowest STEP exist.
        unsafe {
            if lua_type(self.lua, self.table) == LUA_TNIL {
                lua_createtable(self.lua, STEP, 0);
                lua_replace(self.lua, self.table);
            }
            for slot in 1..=STEP {
                lua_pushvalue(self.lua, self.base + slot);
                lua_rawseti(self.lua, self.table, (self.away as c_int + slot).into());
            }
            lua_rotate(self.lua, self.base + 1, -STEP);
            lua_settop(self.lua, -STEP - 1);
        }
        self.away += STEP as usize;
    }

    #[cold]
    unsafe fn bring_back(&mut self) {
        // SAFETY: slots move away and come back STEP at a time, so STEP of them are in the table; there is
        // room, since fewer than LOW are in use.
        unsafe {
            self.away -= STEP as usize;
            for slot in 1..=STEP {
                lua_rawgeti(self.lua, self.table, (self.away as c_int + slot).into());
            }
            lua_rotate(self.lua, self.base + 1, STEP);
        }
    }

    /// Pushes the value in the given slot, counted from 0 above the base as [`height`](Stack::height) does.
    ///
    /// # Safety
    /// The slot is in use and the stack has a free one.
    pub(super) unsafe fn push(&self, slot: usize) {
        // SAFETY: as demanded; raw access to an array element does not raise.
        unsafe {
            if slot < self.away {
                lua_rawgeti(self.lua, self.table, (slot + 1) as lua_Integer);
            } else {
                lua_pushvalue(self.lua, self.base + 1 + (slot - self.away) as c_int);
            }
        }
    }

    /// Drops all slots above the base.
    ///
    /// # Safety
    /// The state is valid.
    pub(super) unsafe fn clear(&mut self) {
        self.away = 0;
        // SAFETY: the base is a height that the stack had before.
        unsafe { lua_settop(self.lua, self.base) };
    }
}
