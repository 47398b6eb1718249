//! Userdata: copies, handles, raw bytes, constructors.

use crate::ffi::*;

use super::super::by_value::ByValue;
use super::super::protect::{error_text, text};
use super::*;

impl Decoder<'_> {
    /// Pushes an object of llib.
    pub(super) unsafe fn handle(&mut self) -> Step {
        let read = self.cursor.byte();
        let kind = self.read(read)?;
        self.copy_counted()?;
        self.spend(AN_OBJECT)?;
        self.step()?;
        // SAFETY: below `lua_pcall` with room; the bytes are a private copy owned outside of it.
        unsafe {
            let top = lua_gettop(self.lua);
            if let Err(reason) = self.handles.import(self.lua, kind, &self.scratch) {
                return self.fail(DecodeError::Handle(reason));
            }
            debug_assert_eq!(lua_gettop(self.lua), top + 1);
        }
        Ok(())
    }

    /// Pushes a copy of an object of llib.
    pub(super) unsafe fn by_value(&mut self) -> Step {
        let read = self.cursor.byte();
        let kind = self.read(read)?;
        let Some(kind) = ByValue::of_kind(kind) else {
            return self.corrupt("an object of an unknown type");
        };
        self.copy_counted()?;
        // SAFETY: below `lua_pcall` with room; the bytes are a private copy owned outside of it.
        match unsafe { (kind.load)(self.lua, &self.scratch) } {
            Ok(()) => Ok(()),
            Err(reason) => self.fail(DecodeError::Handle(reason)),
        }
    }

    /// Pushes a userdata with the bytes that follow, if its type allows that here too.
    pub(super) unsafe fn raw(&mut self) -> Step {
        if !self.options.constructors {
            return self.fail(DecodeError::Refused("a userdata"));
        }
        let lua = self.lua;
        // SAFETY: below `lua_pcall` with room; the block has as many bytes as are copied.
        unsafe {
            self.push_counted()?;
            let read = self.cursor.counted();
            let content = self.read(read)?;
            lua_pushvalue(lua, -1);
            if lua_rawget(lua, LUA_REGISTRYINDEX) != LUA_TTABLE {
                return self.raw_refused(-2, "this type is not registered here");
            }
            lua_pushlstring(lua, c"__memcpy".as_ptr(), 8);
            lua_rawget(lua, -2);
            let allowed = lua_type(lua, -1) == LUA_TBOOLEAN && lua_toboolean(lua, -1) != 0;
            lua_settop(lua, -2);
            if !allowed {
                return self.raw_refused(-2, "its type does not set __memcpy here");
            }
            let block = lua_newuserdatauv(lua, content.len(), 1);
            std::ptr::copy_nonoverlapping(content.start(), block.cast::<u8>(), content.len());
            lua_rotate(lua, -2, 1);
            lua_setmetatable(lua, -2);
            lua_rotate(lua, -2, 1);
            lua_settop(lua, -2);
        }
        Ok(())
    }

    #[cold]
    unsafe fn raw_refused(&mut self, name: c_int, reason: &'static str) -> Step {
        // SAFETY: the name is a string at that index.
        let name = unsafe { text(self.lua, name) };
        self.fail(DecodeError::Raw { name, reason })
    }

    pub(super) unsafe fn start_built(&mut self, shared: bool, offset: usize) -> Step<bool> {
        if !self.options.constructors {
            return self.fail(DecodeError::Refused("a userdata"));
        }
        // SAFETY: below `lua_pcall` with room.
        unsafe {
            lua_createtable(self.lua, 4, 0);
            self.open(Frame::Built { offset, shared, count: 0, metas: self.metas })?;
        }
        Ok(true)
    }

    /// Takes the constructor or an argument, which is on top.
    pub(super) unsafe fn argument(&mut self, count: usize) -> Step {
        if count > MAX_ARGUMENTS + 1 {
            return self.corrupt("a constructor has too many arguments");
        }
        // SAFETY: `arguments value` are on top.
        unsafe { lua_rawseti(self.lua, -2, count as lua_Integer) };
        Ok(())
    }

    /// Continues with the next argument, or calls the constructor.
    pub(super) unsafe fn built(&mut self, frame: Frame) -> Step {
        let Frame::Built { offset, shared, count, metas } = frame else { return Ok(()) };
        let lua = self.lua;
        // SAFETY: `arguments` is on top; at most MAX_ARGUMENTS more slots are used, which ROOM allows for.
        unsafe {
            let place = self.cursor.at;
            let read = self.cursor.byte();
            let tag = self.read(read)?;
            if tag != END {
                if !self.tagged(tag, place)? {
                    self.deliver()?;
                }
                return Ok(());
            }
            if count == 0 {
                return self.corrupt("a userdata without constructor");
            }
            if lua_checkstack(lua, MAX_ARGUMENTS as c_int + 8) == 0 {
                return self.fail(DecodeError::Memory);
            }
            // The arguments are complete, and the constructor may want to use their methods.
            self.set_metatables(metas);
            let arguments = lua_gettop(lua);
            for index in 1..=count {
                lua_rawgeti(lua, arguments, index as lua_Integer);
            }
            if lua_pcall(lua, count as c_int - 1, 1, 0) != LUA_OK {
                let error = DecodeError::Constructor(error_text(lua));
                return self.fail(error);
            }
            lua_replace(lua, arguments);
            if shared {
                if lua_type(lua, -1) == LUA_TNIL {
                    let reason = "it returned nil".to_owned();
                    return self.fail(DecodeError::Constructor(reason));
                }
                self.record(offset)?;
            }
            self.close()
        }
    }
}
