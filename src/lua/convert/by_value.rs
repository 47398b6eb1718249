//! Userdata of llib that travel by value: a copy arrives, made of the bytes that the type saves.
//!
//! Shared objects travel by handle instead, see [`Handles`](super::Handles): those need a session that knows
//! them, these need nothing but the bytes.

use std::ffi::{CStr, c_int};

use crate::ffi::*;

use crate::types::BY_VALUE;

/// A type whose userdata travel by value. All of them stand in [`BY_VALUE`].
pub struct ByValue {
    /// Its number in messages.
    pub kind: u8,
    /// Its metatable's name in the registry. Of a type without finalizer, so that a copy costs nothing later.
    pub name: &'static CStr,
    /// Appends the bytes of the userdata at an index, of this type. Raises no Lua error; leaves the stack.
    pub save: unsafe fn(*mut lua_State, c_int, &mut Vec<u8>),
    /// Pushes the userdata of some bytes, or pushes nothing and says why. The bytes may come from a hostile
    /// sender. May raise Lua errors, but only while no Rust value with a destructor is alive in it; has
    /// eight free stack slots.
    pub load: unsafe fn(*mut lua_State, &[u8]) -> Result<(), String>,
}

impl ByValue {
    /// The type of the full userdata at `index`, if it is one of these.
    ///
    /// # Safety
    /// `lua` is a valid state with two free stack slots, below `lua_pcall`; a full userdata is at `index`.
    pub(super) unsafe fn of_userdata(lua: *mut lua_State, index: c_int) -> Option<&'static Self> {
        // SAFETY: as demanded.
        BY_VALUE.iter().find(|kind| unsafe { !luaL_testudata(lua, index, kind.name.as_ptr()).is_null() })
    }

    /// The type with this number.
    pub(super) fn of_kind(kind: u8) -> Option<&'static Self> {
        BY_VALUE.iter().find(|known| known.kind == kind)
    }

    /// The type whose metatable has this name.
    pub(super) fn of_name(name: &[u8]) -> Option<&'static Self> {
        BY_VALUE.iter().find(|known| known.name.to_bytes() == name)
    }
}
