//! Values without parts, read first and pushed afterwards: what is a whole message, a key or a field often is
//! one of these, and none but a string needs memory of Lua's, so none but a string needs `lua_pcall`.

use std::ffi::c_int;

use crate::ffi::*;

use super::super::error::DecodeError;
use super::super::format::*;
use super::super::protect::{Protected, protected};
use super::super::source::{Cursor, Piece, Read};
use crate::version::chunk::HASHED_STRING;

#[derive(Clone, Copy)]
pub(super) enum Scalar {
    Nil,
    Boolean(bool),
    /// The light userdata NULL.
    Null,
    Integer(i64),
    Float(f64),
    /// Any string but a blob.
    Text(Piece),
}

impl Scalar {
    /// Reads the value behind its tag. For the tag of another kind: none, and nothing was read.
    // Always inlined: returned through memory, the nested result takes longer than the reading.
    #[inline(always)]
    pub(super) fn read(tag: u8, cursor: &mut Cursor) -> Read<Option<Self>> {
        Ok(Some(match tag {
            0..=0x7f => Self::Integer(i64::from(tag) + INLINE_MIN),
            SHORT..=SHORT_LAST => Self::Text(cursor.piece((tag - SHORT) as usize)?),
            NIL => Self::Nil,
            FALSE | TRUE => Self::Boolean(tag == TRUE),
            NULL => Self::Null,
            INT => Self::Integer(unzigzag(cursor.varint()?)),
            FLOAT => Self::Float(f64::from_bits(cursor.word()?)),
            _ if tag & !SHARED == STR => Self::Text(cursor.counted()?),
            _ => return Ok(None),
        }))
    }

    /// The value of a message that has no other content; `cursor` is behind the count of values.
    #[inline]
    pub(super) fn alone(mut cursor: Cursor, total: usize) -> Option<Self> {
        let tag = cursor.byte().ok()?;
        let scalar = Self::read(tag, &mut cursor).ok()??;
        let complete = cursor.byte().ok()? == END && cursor.at == total;
        complete.then_some(scalar)
    }

    /// Pushes the value; on error nothing.
    ///
    /// # Safety
    /// `lua` is a valid state with a few free slots.
    #[inline]
    pub(super) unsafe fn push(self, lua: *mut lua_State) -> Result<(), DecodeError> {
        match self {
            // SAFETY: there is room for the call; the piece is no more than its address.
            Self::Text(mut text) => unsafe { protected(lua, &mut text, || 0, 1)? },
            // SAFETY: there is room, and pushing the other kinds raises nothing.
            other => unsafe { other.push_inside(lua) },
        }
        Ok(())
    }

    /// Pushes the value. May raise a Lua error.
    ///
    /// # Safety
    /// Below `lua_pcall` with a free slot; without `lua_pcall` where the value is no string.
    #[inline(always)]
    pub(super) unsafe fn push_inside(self, lua: *mut lua_State) {
        // SAFETY: as demanded.
        unsafe {
            match self {
                Self::Nil => lua_pushnil(lua),
                Self::Boolean(value) => lua_pushboolean(lua, value.into()),
                Self::Null => lua_pushlightuserdata(lua, std::ptr::null_mut()),
                Self::Integer(value) => lua_pushinteger(lua, value),
                Self::Float(value) => lua_pushnumber(lua, value),
                Self::Text(text) => push_string(lua, text),
            }
        }
    }
}

impl Protected for Piece {
    unsafe fn run(&mut self, lua: *mut lua_State) -> c_int {
        // SAFETY: below `lua_pcall`, where a C function has free slots.
        unsafe { push_string(lua, *self) };
        1
    }
}

/// Pushes a part of the message as a string.
///
/// # Safety
/// Below `lua_pcall` with two free slots.
#[inline]
pub(super) unsafe fn push_string(lua: *mut lua_State, piece: Piece) {
    /// Strings up to this length are copied to the C stack.
    const SMALL: usize = 40;
    let len = piece.len();
    // SAFETY: the piece can be read. Lua reads a short string twice (hash, then copy), some versions any string, so it
    // gets a private copy; array and userdata have no destructor, as a Lua error may skip it.
    unsafe {
        if len <= SMALL {
            let mut copy = [0u8; SMALL];
            std::ptr::copy_nonoverlapping(piece.start(), copy.as_mut_ptr(), len);
            lua_pushlstring(lua, copy.as_ptr().cast(), len);
        } else if len <= HASHED_STRING {
            let copy = lua_newuserdatauv(lua, len, 0);
            std::ptr::copy_nonoverlapping(piece.start(), copy.cast::<u8>(), len);
            lua_pushlstring(lua, copy.cast_const().cast(), len);
            lua_remove(lua, -2);
        } else {
            lua_pushlstring(lua, piece.start().cast(), len);
        }
    }
}
