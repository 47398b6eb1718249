//! One field of a message's value, without building the rest.
//!
//! The stream is walked up to the key. What is not certain to be the same as the field of the whole value is
//! left to the caller, who has [`decode`](super::decode()) for that.

use std::ffi::c_int;

use crate::ffi::*;

use super::super::error::DecodeError;
use super::super::format::*;
use super::super::options::{DecodeOptions, Handles};
use super::super::source::{Read, Source};
use super::key::Key;
use super::scalar::Scalar;
use super::skip::{Position, string_at};
use super::{Decoder, stream};

/// What [`decode_field`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The field's value was pushed; it is not nil.
    Pushed,
    /// The value is a table without metatable and has no such key. Nothing was pushed.
    Absent,
    /// The whole value has to be decoded to tell. Nothing was pushed.
    Whole,
}

/// Looks up the Lua value at index `key` in the single value of a message, as `rawget` would in the whole value,
/// and pushes what it finds.
///
/// [`Field::Whole`] is the answer where the value is no table, or has a metatable and no such key; where the field
/// is a function or a userdata that is made anew, contains one, or refers to objects outside of it; and
/// for keys that are nil or objects.
///
/// What comes after the field is not looked at: neither whether the options allow it nor whether it is a message
/// at all. What comes before is only skipped. Of a key that is there twice, which no encoder writes, the first counts.
///
/// As with `decode` the source may change meanwhile, the stack is as it was on error, and finalizers may run at
/// the end. The time is at most linear in the lengths of message and key, the memory as for `decode` in the
/// field's.
///
/// # Safety
/// As for [`decode`](super::decode()); `key` is a valid index.
pub unsafe fn decode_field(
    lua: *mut lua_State,
    source: Source,
    key: c_int,
    options: &DecodeOptions,
    handles: &mut dyn Handles,
) -> Result<Field, DecodeError> {
    // SAFETY: the caller vouches for state and index; the key stays where it is while it is used.
    let Some(key) = (unsafe { Key::at(lua, key) }) else { return Ok(Field::Whole) };
    let cursor = stream(source, options)?;
    let mut position = Position { blobs: cursor.end, cursor, total: source.len() };
    match find(&mut position, &key) {
        // SAFETY: as demanded.
        Ok(Found::Here) => unsafe { push(lua, position, options, handles) },
        Ok(Found::Nowhere) => Ok(Field::Absent),
        Ok(Found::Unknown) => Ok(Field::Whole),
        Err(what) => Err(DecodeError::Corrupt { at: position.cursor.at, what }),
    }
}

/// Where a key stands.
enum Found {
    /// Its value is next, and not nil.
    Here,
    Nowhere,
    Unknown,
}

/// Walks from the start of the stream to the key's value.
fn find(position: &mut Position, key: &Key<'_>) -> Read<Found> {
    let count = position.cursor.varint()?;
    if count != 1 || position.cursor.byte()? & !SHARED != TABLE {
        return Ok(Found::Unknown);
    }
    let items = position.cursor.varint()?;
    position.cursor.byte()?;
    // Each item takes a byte at least, so that a number that is too large ends with the message.
    for index in 1..=items {
        if key.is_index(index) && position.cursor.peek()? != NIL {
            return Ok(Found::Here);
        }
        position.skip()?;
    }
    loop {
        let tag = position.cursor.peek()?;
        if tag == END {
            return Ok(Found::Nowhere);
        }
        if tag == META {
            return Ok(Found::Unknown);
        }
        match key.compare(position)? {
            Some(true) if position.cursor.peek()? != NIL => return Ok(Found::Here),
            Some(_) => position.skip()?,
            None => return Ok(Found::Unknown),
        }
    }
}

/// Pushes the next value, if it can be decoded by itself.
unsafe fn push(
    lua: *mut lua_State,
    position: Position,
    options: &DecodeOptions,
    handles: &mut dyn Handles,
) -> Result<Field, DecodeError> {
    let mut end = position;
    let value = match Value::read(&mut end) {
        Ok(value) => value,
        Err(what) => return Err(DecodeError::Corrupt { at: end.cursor.at, what }),
    };
    match value {
        // SAFETY: as the caller demands of its own.
        Value::Scalar(scalar) => unsafe { scalar.push(lua)? },
        Value::Tied => return Ok(Field::Whole),
        Value::Part => {
            let len = (end.cursor.at - position.cursor.at).saturating_add(end.blobs - position.blobs);
            let mut decoder = Decoder::new(lua, position, options, handles);
            decoder.start = position.cursor.at;
            decoder.budget = len as u64;
            decoder.values = 1;
            // SAFETY: as the caller demands of its own.
            unsafe { decoder.results(len)? };
        }
    }
    Ok(Field::Pushed)
}

/// How a field's value can be decoded.
enum Value {
    Scalar(Scalar),
    /// By a decoder that sees this part only.
    Part,
    /// Not without the rest.
    Tied,
}

impl Value {
    /// Moves over the next value.
    #[inline]
    fn read(position: &mut Position) -> Read<Self> {
        let start = *position;
        let tag = position.cursor.byte()?;
        if let Some(scalar) = Scalar::read(tag, &mut position.cursor)? {
            return Ok(Self::Scalar(scalar));
        }
        match tag & !SHARED {
            _ if tag == REF => {
                let offset = position.cursor.varint()?;
                Ok(string_at(start.cursor, offset)?
                    .map_or(Self::Tied, |text| Self::Scalar(Scalar::Text(text))))
            }
            TABLE | BLOB | HANDLE | VALUE => {
                *position = start;
                Ok(if position.skip_part()? { Self::Part } else { Self::Tied })
            }
            _ => Ok(Self::Tied),
        }
    }
}
