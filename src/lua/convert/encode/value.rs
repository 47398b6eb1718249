//! One value: the kinds without content, and the way to the others.

use crate::ffi::*;

use super::super::error::EncodeError;
use super::super::names::Named;
use super::super::protect::{text, type_name};
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

    /// As [`by_name`](Encoder::by_name), if workers find the name.
    pub(super) unsafe fn by_name_there(&mut self) -> Step<bool> {
        let lua = self.lua;
        // SAFETY: the name is a string on top of the value; copies of it are made for a message alone.
        unsafe {
            if matches!(self.names().kind(), Named::Module | Named::Part) {
                self.by_name();
                return Ok(false);
            }
            let name = text(lua, -1).replace('\0', ".");
            let module = text(lua, -1).split('\0').next().unwrap_or_default().to_owned();
            lua_settop(lua, -2);
            let what = if lua_type(lua, -1) == LUA_TFUNCTION { "C function" } else { "userdata" };
            let reason = format!("the {what} '{name}', for workers cannot require '{module}'");
            self.unsendable(&reason)
        }
    }

    /// Whether the table or userdata on top has a metafield that says to leave it out.
    #[inline]
    pub(super) unsafe fn is_left_out(&mut self) -> bool {
        let lua = self.lua;
        // SAFETY: a value is on top, with free slots; raw access; balanced.
        unsafe {
            if lua_getmetatable(lua, -1) == 0 {
                return false;
            }
            // Many objects have the same one.
            let metatable = lua_topointer(lua, -1) as usize;
            let mut out = false;
            if metatable != self.sent_metatable {
                lua_pushlstring(lua, c"__transient".as_ptr(), 11);
                lua_rawget(lua, -2);
                out = lua_toboolean(lua, -1) != 0;
                lua_settop(lua, -2);
                if !out {
                    self.sent_metatable = metatable;
                }
            }
            lua_settop(lua, -2);
            out
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
