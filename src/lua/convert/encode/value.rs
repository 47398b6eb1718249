//! One value: the kinds without content, and the way to the others.

use crate::ffi::*;

use super::super::error::EncodeError;
use super::super::protect::type_name;
use super::*;

impl Encoder<'_> {
    /// Encodes the value on top. A value without content is popped and the result is false; otherwise a
    /// frame was started that takes it over.
    #[inline]
    pub(super) unsafe fn value(&mut self) -> Step<bool> {
        let lua = self.lua;
        // SAFETY: below `lua_pcall`; a value is on top; free slots are there.
        unsafe {
            let sink = &mut self.buffers.sink;
            match lua_type(lua, -1) {
                LUA_TNIL => sink.byte(NIL),
                LUA_TBOOLEAN => sink.boolean(lua_toboolean(lua, -1) != 0),
                LUA_TNUMBER if lua_isinteger(lua, -1) != 0 => sink.integer(lua_tointeger(lua, -1)),
                LUA_TNUMBER => sink.float(lua_tonumber(lua, -1)),
                LUA_TSTRING => self.string(),
                LUA_TTABLE => return self.table(),
                LUA_TFUNCTION => return self.function(),
                LUA_TUSERDATA => return self.userdata(),
                LUA_TLIGHTUSERDATA if lua_touserdata(lua, -1).is_null() => sink.byte(NULL),
                LUA_TLIGHTUSERDATA => {
                    return self.unsendable("a light userdata is an address, which means nothing elsewhere");
                }
                LUA_TTHREAD => return self.unsendable("a coroutine cannot leave its Lua state"),
                kind => {
                    let reason = format!("a {} value cannot be sent", type_name(lua, kind));
                    return self.unsendable(&reason);
                }
            }
            lua_settop(lua, -2);
        }
        Ok(false)
    }

    #[inline]
    unsafe fn string(&mut self) {
        // SAFETY: a string is on top: `lua_tolstring` converts nothing.
        unsafe {
            let bytes = bytes_at(self.lua, -1);
            // The address of the bytes is as good an identity as that of the string's header.
            if bytes.len() > SHORT_MAX
                && let Some(offset) =
                    self.buffers.seen.get_or_insert(bytes.as_ptr() as usize, self.buffers.sink.at())
            {
                return self.reference(offset);
            }
            self.buffers.sink.string(bytes);
            if bytes.len() >= BLOB_MIN {
                self.anchor();
            }
        }
    }

    /// A reference, if the value at this address was met before. Pops it then.
    pub(super) unsafe fn met_before(&mut self, address: usize) -> bool {
        let Some(offset) = self.buffers.seen.get(address) else { return false };
        self.reference(offset);
        // SAFETY: the value is on top.
        unsafe { lua_settop(self.lua, -2) };
        true
    }

    /// Writes the value below the top by its name, which is on top, and pops both.
    pub(super) unsafe fn by_name(&mut self) {
        // SAFETY: the name is a string on top.
        unsafe {
            let address = lua_topointer(self.lua, -2) as usize;
            let sink = &mut self.buffers.sink;
            self.buffers.seen.insert(address, sink.at());
            sink.byte(NAMED);
            sink.counted(bytes_at(self.lua, -1));
            lua_settop(self.lua, -3);
        }
    }

    /// Ends the encoding: the value on top cannot travel.
    #[cold]
    pub(super) unsafe fn unsendable<T>(&mut self, reason: &str) -> Step<T> {
        // SAFETY: the frames describe the stack; building the path raises nothing.
        let path = unsafe { self.path() };
        self.fail(EncodeError::Unsendable { path, reason: reason.to_owned() })
    }
}
