//! Globals that came along, and those that could not.

use crate::ffi::*;

use super::super::names::push;
use super::*;

impl Decoder<'_> {
    /// Reads what follows the values, up to the end.
    pub(super) unsafe fn sections(&mut self) -> Step {
        let lua = self.lua;
        // SAFETY: below `lua_pcall` with room.
        unsafe {
            loop {
                let read = self.cursor.byte();
                let section = self.read(read)?;
                if section == END {
                    break;
                }
                if section != GLOBAL && section != MISSING {
                    return self.corrupt("an unknown section");
                }
                if !self.options.globals {
                    return self.fail(DecodeError::Refused("a global"));
                }
                if section == MISSING && lua_type(lua, MISSED) == LUA_TNIL {
                    self.push_missed();
                    lua_replace(lua, MISSED);
                }
                self.push_counted()?;
                if section == MISSING {
                    self.push_counted()?;
                    lua_rawset(lua, MISSED);
                } else {
                    self.whole_value()?;
                    lua_pushglobaltable(lua);
                    lua_rotate(lua, -3, 1);
                    lua_rawset(lua, -3);
                    lua_settop(lua, -2);
                }
            }
            if self.cursor.left() != 0 || self.blobs != self.total {
                return self.corrupt("bytes after its end");
            }
        }
        Ok(())
    }

    /// Pushes the table from name to reason that the globals' `__index` reads; installs both if need be.
    ///
    /// A metatable that the globals have already keeps its other fields, and its own `__index` is asked next.
    unsafe fn push_missed(&mut self) {
        let lua = self.lua;
        // SAFETY: below `lua_pcall` with room; raw access; indices relative to the top as commented.
        unsafe {
            lua_pushglobaltable(lua);
            if lua_getmetatable(lua, -1) == 0 {
                lua_createtable(lua, 0, 1);
                lua_pushvalue(lua, -1);
                lua_setmetatable(lua, -3);
            }
            push(lua, "__index");
            // globals metatable index
            lua_rawget(lua, -2);
            if lua_tocfunction(lua, -1).is_some_and(|f| f as usize == missing as *const () as usize)
                && !lua_getupvalue(lua, -1, 1).is_null()
            {
                lua_rotate(lua, -4, 1);
                lua_settop(lua, -4);
                return;
            }
            lua_createtable(lua, 0, 4);
            push(lua, "__index");
            lua_pushvalue(lua, -2);
            lua_rotate(lua, -4, -1);
            // globals metatable missed "__index" missed index
            lua_pushcclosure(lua, missing, 2);
            lua_rawset(lua, -4);
            // globals metatable missed
            lua_rotate(lua, -3, 1);
            lua_settop(lua, -3);
        }
    }
}

/// `__index` of the globals table: upvalue 1 maps names to reasons, upvalue 2 is the `__index` before.
unsafe extern "C-unwind" fn missing(lua: *mut lua_State) -> c_int {
    // SAFETY: called by Lua with the table and the key; no Rust value with a destructor is on this frame.
    unsafe {
        lua_settop(lua, 2);
        lua_pushvalue(lua, 2);
        if lua_rawget(lua, lua_upvalueindex(1)) == LUA_TSTRING {
            let name = lua_tolstring(lua, 2, std::ptr::null_mut());
            let reason = lua_tolstring(lua, -1, std::ptr::null_mut());
            return luaL_error(lua, c"global '%s' could not be sent: %s".as_ptr(), name, reason);
        }
        match lua_type(lua, lua_upvalueindex(2)) {
            LUA_TNIL => {
                lua_pushnil(lua);
                1
            }
            LUA_TFUNCTION => {
                lua_pushvalue(lua, lua_upvalueindex(2));
                lua_rotate(lua, 1, 1);
                lua_settop(lua, 3);
                lua_call(lua, 2, 1);
                1
            }
            _ => {
                lua_pushvalue(lua, lua_upvalueindex(2));
                lua_pushvalue(lua, 2);
                lua_gettable(lua, -2);
                1
            }
        }
    }
}
