//! Userdata: copies and handles of llib, `__clone`, raw bytes, names; in this order.
//!
//! What `__clone` returns decides itself:
//!
//! - a function first, alone or with more values: a constructor and its arguments;
//! - a string first, with more values: the constructor `"module.function"` and its arguments;
//! - one value (or none, which is nil) that is no function: a stand-in, sent in place of the userdata. A
//!   string alone is such a value: `"socket.tcp"` with no argument has to be sent as the function itself.

use crate::ffi::*;

use super::super::by_value::ByValue;
use super::super::protect::{error_text, text, type_name};
use super::*;
use crate::version::state;

/// How often `__clone` may return another userdata with `__clone`.
const MAX_CLONES: usize = 16;

impl Encoder<'_> {
    pub(super) unsafe fn userdata(&mut self) -> Step<bool> {
        let lua = self.lua;
        // SAFETY: a full userdata is on top; free slots are there; metafields are read raw.
        unsafe {
            let address = lua_touserdata(lua, -1) as usize;
            if self.is_being_built(address) {
                return self.unsendable("what its __clone returned contains the userdata itself");
            }
            if self.met_before(address) {
                return Ok(false);
            }
            if let Some(kind) = ByValue::of_userdata(lua, -1) {
                self.by_value(kind, address);
                return Ok(false);
            }
            match self.handles.export(lua, -1) {
                Some(Ok((kind, bytes))) => {
                    let sink = &mut self.buffers.sink;
                    self.buffers.seen.insert(address, sink.at());
                    sink.byte(HANDLE);
                    sink.byte(kind);
                    sink.counted(&bytes);
                    drop(bytes);
                    lua_settop(lua, -2);
                    return Ok(false);
                }
                Some(Err(reason)) => return self.unsendable(&reason),
                None => {}
            }
            if luaL_getmetafield(lua, -1, c"__clone".as_ptr()) != LUA_TNIL {
                return self.clone(address);
            }
            if luaL_getmetafield(lua, -1, c"__memcpy".as_ptr()) != LUA_TNIL {
                let allowed = lua_type(lua, -1) == LUA_TBOOLEAN && lua_toboolean(lua, -1) != 0;
                lua_settop(lua, -2);
                if allowed {
                    return self.raw(address);
                }
            }
            let mut names = self.names();
            if names.find_anew() {
                self.names = Some(names);
                self.by_name();
                return Ok(false);
            }
            let name = self.type_text();
            self.unsendable(&format!("{name} has no __clone"))
        }
    }

    /// Writes the userdata on top, which is of this type, by its content, and pops it.
    unsafe fn by_value(&mut self, kind: &ByValue, address: usize) {
        let Buffers { sink, seen, chunk, .. } = &mut *self.buffers;
        seen.insert(address, sink.at());
        sink.byte(VALUE);
        sink.byte(kind.kind);
        chunk.clear();
        // SAFETY: a userdata of the type is on top.
        unsafe {
            (kind.save)(self.lua, -1, chunk);
            lua_settop(self.lua, -2);
        }
        sink.counted(chunk);
    }

    /// `userdata 'NAME'`
    unsafe fn type_text(&self) -> String {
        // SAFETY: a userdata is on top; raw access only, and no string exists while it is pushed.
        unsafe {
            if !state::push_type_name(self.lua, -1) {
                return "userdata".to_owned();
            }
            let name = format!("userdata '{}'", text(self.lua, -1));
            lua_settop(self.lua, -2);
            name
        }
    }

    /// Sends the content byte by byte.
    unsafe fn raw(&mut self, address: usize) -> Step<bool> {
        let lua = self.lua;
        // SAFETY: a userdata is on top; its block has `lua_rawlen` bytes.
        unsafe {
            if !state::push_type_name(lua, -1) {
                return self.unsendable("a userdata with __memcpy needs a __name");
            }
            let sink = &mut self.buffers.sink;
            self.buffers.seen.insert(address, sink.at());
            sink.byte(RAW);
            sink.counted(bytes_at(lua, -1));
            let len = lua_rawlen(lua, -2);
            sink.varint(len as u64);
            if len > 0 {
                sink.raw(slice::from_raw_parts(lua_touserdata(lua, -2).cast(), len));
            }
            lua_settop(lua, -3);
        }
        Ok(false)
    }

    /// Calls `__clone`, which is on top of the userdata, and sends what it returns.
    unsafe fn clone(&mut self, address: usize) -> Step<bool> {
        let lua = self.lua;
        // SAFETY: `userdata __clone` are on top. The call is protected; more results than fit are dropped
        // before anything else is pushed.
        unsafe {
            if self.clones >= MAX_CLONES {
                lua_settop(lua, -2);
                return self.unsendable("its __clone keeps returning userdata with __clone");
            }
            if self.collector.is_none() {
                // What `__clone` makes must not get the address of something that was met before and died.
                let running = collector::is_running(lua);
                self.collector = Some(running == Some(true));
                if running == Some(true) {
                    collector::stop(lua);
                }
            }
            let base = lua_gettop(lua) - 1;
            lua_pushvalue(lua, base);
            if lua_pcall(lua, 1, LUA_MULTRET, 0) != LUA_OK {
                let reason = format!("its __clone failed: {}", error_text(lua));
                lua_settop(lua, base);
                return self.unsendable(&reason);
            }
            let count = lua_gettop(lua) - base;
            if count as usize > MAX_ARGUMENTS + 1 {
                lua_settop(lua, base);
                return self.unsendable("its __clone returned too many values");
            }
            let first = if count == 0 { LUA_TNIL } else { lua_type(lua, base + 1) };
            if count <= 1 && first != LUA_TFUNCTION {
                lua_settop(lua, base + 1);
                self.anchor();
                lua_rotate(lua, base, -1);
                lua_settop(lua, -2);
                return self.stand_in(address);
            }
            if first != LUA_TFUNCTION && first != LUA_TSTRING {
                let reason =
                    format!("its __clone returned a {} where a constructor belongs", type_name(lua, first));
                lua_settop(lua, base);
                return self.unsendable(&reason);
            }
            lua_createtable(lua, count, 0);
            lua_rotate(lua, base + 1, 1);
            for index in (1..=count).rev() {
                lua_rawseti(lua, base + 1, index.into());
            }
            self.anchor();
            let offset = self.buffers.sink.at();
            self.buffers.seen.insert(address, offset);
            self.buffers.sink.byte(BUILT);
            self.open(At::Built { offset, index: 1, count }, 1)?;
        }
        Ok(true)
    }

    /// Sends the value on top in place of the userdata at `address`.
    unsafe fn stand_in(&mut self, address: usize) -> Step<bool> {
        let offset = self.buffers.sink.at();
        self.clones += 1;
        // SAFETY: the stand-in is on top. At most MAX_CLONES of these calls nest.
        let opened = unsafe { self.value()? };
        self.clones -= 1;
        if opened {
            // Its tag stands at `offset`: references to the userdata are references to the stand-in.
            self.buffers.seen.insert(address, offset);
        }
        Ok(opened)
    }

    /// Continues with constructor or argument `index`.
    pub(super) unsafe fn built_next(&mut self, at: At) -> Step {
        let At::Built { offset, mut index, count } = at else { return Ok(()) };
        let lua = self.lua;
        // SAFETY: `userdata results` are on top.
        unsafe {
            while index <= count {
                let kind = lua_rawgeti(lua, -1, index.into());
                index += 1;
                self.continue_at(At::Built { offset, index, count });
                if index == 2 && kind == LUA_TSTRING {
                    self.constructor_name()?;
                } else if self.value()? {
                    return Ok(());
                }
            }
            self.buffers.sink.byte(END);
            self.close();
        }
        Ok(())
    }

    /// Writes the string `module.function` on top as a name, and pops it.
    unsafe fn constructor_name(&mut self) -> Step {
        // SAFETY: a string is on top.
        unsafe {
            let name = bytes_at(self.lua, -1);
            let Some(dot) = memchr::memrchr(b'.', name).filter(|&dot| dot > 0 && dot + 1 < name.len()) else {
                let reason = format!(
                    "its __clone returned the constructor '{}', which is not of the form module.function",
                    text(self.lua, -1)
                );
                return self.unsendable(&reason);
            };
            let sink = &mut self.buffers.sink;
            sink.byte(NAMED);
            sink.varint(name.len() as u64);
            sink.raw(&name[..dot]);
            sink.byte(0);
            sink.raw(&name[dot + 1..]);
            lua_settop(self.lua, -2);
        }
        Ok(())
    }

    /// Whether the userdata is a constructed one whose arguments are being written.
    fn is_being_built(&self, address: usize) -> bool {
        let Some(offset) = self.buffers.seen.get(address) else { return false };
        self.buffers.sink.written(offset, 1)[0] & !SHARED == BUILT
            && self.buffers.frames.iter().any(|f| matches!(f.at, At::Built { offset: o, .. } if o == offset))
    }
}
