//! A key that is looked for in a message.

use std::ffi::c_int;

use crate::ffi::*;

use super::super::format::*;
use super::super::protect::string;
use super::super::source::Read;
use super::scalar::Scalar;
use super::skip::{Position, string_at, tag_at};

/// Longest key that is compared with a string met before. A message of references to one string would otherwise
/// take a comparison of its length for each few bytes.
const REPEATED_MAX: usize = 200;

/// A key that can be compared with what stands in a message.
pub(super) enum Key<'a> {
    Text(&'a [u8]),
    Integer(i64),
    /// Not integral: Lua makes integers of such keys.
    Float(f64),
    Boolean(bool),
}

impl Key<'_> {
    /// The key at `idx`, none if it is nil, NaN or an object.
    ///
    /// # Safety
    /// `lua` is a valid state, `idx` a valid index whose value stays there while the key is used.
    pub(super) unsafe fn at(lua: *mut lua_State, idx: c_int) -> Option<Self> {
        // SAFETY: as demanded; a string or number is converted to what it is already, which changes nothing.
        unsafe {
            match lua_type(lua, idx) {
                LUA_TSTRING => Some(Self::Text(string(lua, idx))),
                LUA_TNUMBER => {
                    let mut integral = 0;
                    let integer = lua_tointegerx(lua, idx, &mut integral);
                    if integral != 0 {
                        return Some(Self::Integer(integer));
                    }
                    let float = lua_tonumber(lua, idx);
                    (!float.is_nan()).then_some(Self::Float(float))
                }
                LUA_TBOOLEAN => Some(Self::Boolean(lua_toboolean(lua, idx) != 0)),
                _ => None,
            }
        }
    }

    #[inline]
    pub(super) fn is_index(&self, index: u64) -> bool {
        matches!(self, Self::Integer(key) if *key as u64 == index)
    }

    /// Moves over the next value, a key, and tells whether it is this one; none if that cannot be told.
    #[inline]
    pub(super) fn compare(&self, position: &mut Position) -> Read<Option<bool>> {
        let start = *position;
        let cursor = &mut position.cursor;
        let tag = cursor.byte()?;
        if let Some(scalar) = Scalar::read(tag, cursor)? {
            return Ok(Some(self.is(scalar)));
        }
        let mut kind = tag;
        if tag == REF {
            let offset = cursor.varint()?;
            if self.is_text_of(REPEATED_MAX + 1) {
                return Ok(None);
            }
            if let Some(text) = string_at(start.cursor, offset)? {
                return Ok(Some(self.is(Scalar::Text(text))));
            }
            (kind, _) = tag_at(start.cursor, offset)?;
        } else {
            *position = start;
            position.skip()?;
        }
        Ok(match kind & !SHARED {
            BLOB if self.is_text_of(BLOB_MIN) => None,
            BLOB | TABLE | CODE | AGAIN | RAW | HANDLE | VALUE | TYPE | GLOBALS => Some(false),
            // These may be anything where they arrive.
            _ => None,
        })
    }

    fn is(&self, other: Scalar) -> bool {
        match (self, other) {
            (Self::Text(text), Scalar::Text(piece)) => piece.equals(text),
            (Self::Integer(integer), Scalar::Integer(other)) => *integer == other,
            (Self::Float(float), Scalar::Float(other)) => *float == other,
            (Self::Boolean(boolean), Scalar::Boolean(other)) => *boolean == other,
            _ => false,
        }
    }

    fn is_text_of(&self, least: usize) -> bool {
        matches!(self, Self::Text(text) if text.len() >= least)
    }
}
