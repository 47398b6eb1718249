//! One value: the kinds without content, and the way to the others.

use crate::ffi::*;

use super::scalar::{Scalar, push_string};
use super::skip::string_at;
use super::*;

impl Decoder<'_> {
    /// Decodes the next value. With content: starts a frame, and the result is true. Otherwise pushes the
    /// value and delivers it.
    pub(super) unsafe fn value(&mut self) -> Step<bool> {
        // SAFETY: below `lua_pcall` with room.
        unsafe {
            if self.push_value()? {
                return Ok(true);
            }
            self.deliver()?;
        }
        Ok(false)
    }

    /// As [`value`](Decoder::value), but leaves a complete value on top.
    #[inline]
    pub(super) unsafe fn push_value(&mut self) -> Step<bool> {
        let offset = self.cursor.at;
        let read = self.cursor.byte();
        let tag = self.read(read)?;
        // SAFETY: as in `value`.
        unsafe { self.tagged(tag, offset) }
    }

    #[inline]
    pub(super) unsafe fn tagged(&mut self, tag: u8, offset: usize) -> Step<bool> {
        let read = Scalar::read(tag, &mut self.cursor);
        // SAFETY: below `lua_pcall` with room.
        unsafe {
            if let Some(scalar) = self.read(read)? {
                if let Scalar::Text(text) = scalar {
                    self.spend(A_STRING.saturating_add(text.len()))?;
                    self.step()?;
                }
                scalar.push_inside(self.lua);
                if tag == STR | SHARED {
                    self.record(offset)?;
                }
                return Ok(false);
            }
            match tag {
                REF => self.reference()?,
                CLASS => return self.class(),
                GLOBALS => {
                    if !self.options.functions && !self.options.requires {
                        if self.options.inert {
                            self.push_inert("globals table", None)?;
                            return Ok(false);
                        }
                        return self.fail(DecodeError::Refused("the globals table"));
                    }
                    lua_pushglobaltable(self.lua);
                }
                _ => return self.starred(tag & !SHARED, tag & SHARED != 0, offset),
            }
        }
        Ok(false)
    }

    /// The tags that come in pairs, but that of a string.
    unsafe fn starred(&mut self, tag: u8, shared: bool, offset: usize) -> Step<bool> {
        // SAFETY: as in `tagged`.
        unsafe {
            match tag {
                TABLE => return self.table(shared, offset),
                CODE | AGAIN => return self.function(tag, shared, offset),
                BUILT => return self.start_built(shared, offset),
                BLOB => self.blob()?,
                ENV => self.environment()?,
                NAMED => self.named()?,
                RAW => self.raw()?,
                HANDLE => self.handle()?,
                VALUE => self.by_value()?,
                TYPE => self.registered_type()?,
                _ => return self.corrupt("an unknown tag"),
            }
            if shared {
                self.record(offset)?;
            }
        }
        Ok(false)
    }

    /// Pushes the bytes that follow their length as a string.
    pub(super) unsafe fn push_counted(&mut self) -> Step {
        let read = self.cursor.counted();
        let piece = self.read(read)?;
        self.spend(A_STRING.saturating_add(piece.len()))?;
        // SAFETY: below `lua_pcall` with room.
        unsafe { push_string(self.lua, piece) };
        Ok(())
    }

    /// Pushes the next string among the blobs.
    unsafe fn blob(&mut self) -> Step {
        let read = self.cursor.varint();
        let len = self.read(read)?;
        let mut blobs = self.cursor;
        blobs.at = self.blobs;
        blobs.end = self.total;
        // A short blob is not wrong, but Lua would read it twice.
        if len < BLOB_MIN as u64 || len > blobs.left() as u64 {
            return self.corrupt("a long string is too short or not there");
        }
        self.spend(A_STRING.saturating_add(len as usize))?;
        let read = blobs.piece(len as usize);
        let piece = self.read(read)?;
        self.blobs = blobs.at;
        // SAFETY: below `lua_pcall` with room.
        unsafe { push_string(self.lua, piece) };
        Ok(())
    }

    /// Pushes a value that came before.
    pub(super) unsafe fn reference(&mut self) -> Step {
        let read = self.cursor.varint();
        let offset = self.read(read)?;
        if offset < self.start as u64 {
            // SAFETY: below `lua_pcall` with room.
            return unsafe { self.string_outside(offset) };
        }
        // SAFETY: the record is a table or nil; a missing entry gives nil, which is never recorded.
        unsafe {
            if offset > self.total as u64
                || lua_type(self.lua, RECORD) != LUA_TTABLE
                || lua_rawgeti(self.lua, RECORD, offset as lua_Integer) == LUA_TNIL
            {
                return self.corrupt("a reference to nothing");
            }
        }
        Ok(())
    }

    /// Pushes the string that stands before the part that is decoded.
    #[cold]
    unsafe fn string_outside(&mut self, offset: u64) -> Step {
        let read = string_at(self.cursor, offset);
        match self.read(read)? {
            // SAFETY: below `lua_pcall` with room.
            Some(piece) => unsafe { push_string(self.lua, piece) },
            None => return self.corrupt("a reference to nothing"),
        }
        Ok(())
    }
}
