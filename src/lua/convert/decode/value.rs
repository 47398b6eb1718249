//! One value: the kinds without content, and the way to the others.

use mlua::ffi::*;

use super::super::bytecode::HASHED_STRING;
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
        let lua = self.lua;
        // SAFETY: below `lua_pcall` with room.
        unsafe {
            match tag {
                0..=0x7f => lua_pushinteger(lua, i64::from(tag) + INLINE_MIN),
                SHORT..=SHORT_LAST => self.push_string((tag - SHORT) as usize)?,
                NIL => lua_pushnil(lua),
                FALSE | TRUE => lua_pushboolean(lua, (tag == TRUE).into()),
                NULL => lua_pushlightuserdata(lua, std::ptr::null_mut()),
                INT => {
                    let read = self.cursor.varint();
                    lua_pushinteger(lua, unzigzag(self.read(read)?));
                }
                FLOAT => {
                    let read = self.cursor.word();
                    lua_pushnumber(lua, f64::from_bits(self.read(read)?));
                }
                REF => self.reference()?,
                GLOBALS => {
                    if !self.options.functions && !self.options.requires {
                        return self.fail(DecodeError::Refused("the globals table"));
                    }
                    lua_pushglobaltable(lua);
                }
                _ => return self.starred(tag & !SHARED, tag & SHARED != 0, offset),
            }
        }
        Ok(false)
    }

    /// The tags that come in pairs.
    unsafe fn starred(&mut self, tag: u8, shared: bool, offset: usize) -> Step<bool> {
        // SAFETY: as in `tagged`.
        unsafe {
            match tag {
                TABLE => return self.table(shared, offset),
                CODE | AGAIN => return self.function(tag, shared, offset),
                BUILT => return self.start_built(shared, offset),
                STR => {
                    let read = self.cursor.length();
                    let len = self.read(read)?;
                    self.push_string(len)?;
                }
                BLOB => self.blob()?,
                NAMED => self.named()?,
                RAW => self.raw()?,
                HANDLE => self.handle()?,
                VALUE => self.by_value()?,
                TYPE => self.registered_type()?,
                _ => return self.corrupt("an unknown tag"),
            }
            if shared {
                self.record(offset);
            }
        }
        Ok(false)
    }

    /// Pushes the next `len` bytes as a string.
    #[inline]
    pub(super) unsafe fn push_string(&mut self, len: usize) -> Step {
        let read = self.cursor.bytes(len);
        let place = self.read(read)?;
        // SAFETY: `len` bytes can be read at `place`. Lua reads a short string twice (hash, then copy), so
        // it gets a private copy; the array has no destructor, as a Lua error may skip it.
        unsafe {
            if len <= HASHED_STRING {
                let mut copy = [0u8; HASHED_STRING];
                std::ptr::copy_nonoverlapping(place, copy.as_mut_ptr(), len);
                lua_pushlstring(self.lua, copy.as_ptr().cast(), len);
            } else {
                lua_pushlstring(self.lua, place.cast(), len);
            }
        }
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
        let read = blobs.bytes(len as usize);
        let place = self.read(read)?;
        self.blobs = blobs.at;
        // SAFETY: as in `push_string`, for a long string.
        unsafe { lua_pushlstring(self.lua, place.cast(), len as usize) };
        Ok(())
    }

    /// Pushes a value that came before.
    pub(super) unsafe fn reference(&mut self) -> Step {
        let read = self.cursor.varint();
        let offset = self.read(read)?;
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
}
