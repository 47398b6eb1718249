//! Environments, and their fields, which come after the values.

use super::super::names::push;
use super::*;

impl Decoder<'_> {
    /// Pushes an environment without fields, which leads on to the globals here if it did where it comes from.
    pub(super) unsafe fn environment(&mut self) -> Step {
        let read = self.cursor.byte();
        let reaches = self.read(read)? != 0;
        if !self.options.functions {
            if self.options.inert {
                // SAFETY: as below.
                return unsafe { self.push_inert("environment", None) };
            }
            return self.fail(DecodeError::Refused("an environment"));
        }
        self.spend(A_TABLE)?;
        let lua = self.lua;
        // SAFETY: below `lua_pcall` with room.
        unsafe {
            lua_createtable(lua, 0, 4);
            if reaches {
                self.spend(A_TABLE + A_PAIR)?;
                lua_createtable(lua, 0, 1);
                push(lua, "__index");
                lua_pushglobaltable(lua);
                lua_rawset(lua, -3);
                lua_setmetatable(lua, -2);
            }
        }
        Ok(())
    }

    /// Reads a field of an environment, or why it has none.
    pub(super) unsafe fn environment_field(&mut self, sent: bool) -> Step {
        let lua = self.lua;
        // SAFETY: below `lua_pcall` with room.
        unsafe {
            let top = lua_gettop(lua);
            self.reference()?;
            let usable = lua_type(lua, -1) == LUA_TTABLE && self.options.functions;
            if !usable && !self.options.inert {
                return self.corrupt("a field of no environment");
            }
            if sent {
                self.whole_value()?;
                self.check_key()?;
                self.whole_value()?;
                if usable {
                    lua_rawset(lua, top + 1);
                }
            } else {
                if usable {
                    self.push_missed();
                    lua_replace(lua, top + 1);
                }
                self.push_counted()?;
                self.push_counted()?;
                if usable {
                    lua_rawset(lua, top + 1);
                }
            }
            lua_settop(lua, top);
        }
        Ok(())
    }
}
