//! Classes with an identity: one that this state knows takes the place of the copy.

use super::super::classes::{push_known, remember};
use super::super::names::note_class;
use super::*;

impl Decoder<'_> {
    /// Reads the identity of the table that follows, where the class may be here, and that table.
    pub(super) unsafe fn class(&mut self) -> Step<bool> {
        let read = self.cursor.piece(IDENTITY);
        let piece = self.read(read)?;
        if !piece.copy_to(&mut self.scratch) {
            return self.fail(DecodeError::Memory);
        }
        let identity = self.scratch.first_chunk().copied().filter(|_| self.options.identities);
        // SAFETY: below `lua_pcall` with room.
        unsafe {
            self.push_counted()?;
            match identity.filter(|_| lua_rawlen(self.lua, -1) > 0 && self.options.requires) {
                Some(identity) => self.look_for_class(&identity),
                None => lua_settop(self.lua, -2),
            }
        }
        let offset = self.cursor.at;
        let read = self.cursor.byte();
        let tag = self.read(read)?;
        if tag & !SHARED != TABLE {
            return self.corrupt("a class is no table");
        }
        self.class = identity;
        // SAFETY: below `lua_pcall` with room.
        unsafe { self.table(tag & SHARED != 0, offset) }
    }

    /// Has the class of this name, which is on top, be known by this identity, if it is here and the identity is nobody's. Pops
    /// the name.
    unsafe fn look_for_class(&mut self, identity: &[u8; IDENTITY]) {
        let lua = self.lua;
        // SAFETY: below `lua_pcall` with room; the name is a string.
        unsafe {
            let name = lua_gettop(lua);
            push_known(lua, identity);
            if lua_type(lua, name + 1) == LUA_TNIL && self.find_named(name) && lua_type(lua, -1) == LUA_TTABLE
            {
                let class = lua_gettop(lua);
                lua_pushlstring(lua, identity.as_ptr().cast(), IDENTITY);
                remember(lua, class, class + 1);
                lua_pushvalue(lua, class);
                note_class(lua);
            }
            lua_settop(lua, name - 1);
        }
    }

    /// The new table on top is the class of this identity. What references are to find is pushed onto it.
    ///
    /// One that is known already is what they find; what is read goes into the new table all the same, since
    /// there may be references to parts of it.
    pub(super) unsafe fn begin_class(&mut self, identity: [u8; IDENTITY]) {
        let lua = self.lua;
        self.classes = true;
        // SAFETY: below `lua_pcall` with room; the table from new table to known one, or to the identity of an unknown one.
        unsafe {
            let table = lua_gettop(lua);
            if lua_type(lua, CLASSES) == LUA_TNIL {
                lua_createtable(lua, 0, 1);
                lua_replace(lua, CLASSES);
            }
            push_known(lua, &identity);
            lua_pushvalue(lua, table);
            if lua_type(lua, table + 1) == LUA_TTABLE {
                lua_pushvalue(lua, table + 1);
            } else {
                lua_pushlstring(lua, identity.as_ptr().cast(), IDENTITY);
                lua_pushvalue(lua, table);
                lua_replace(lua, table + 1);
            }
            lua_rawset(lua, CLASSES);
        }
    }

    /// Puts the class that is known in the place of the complete copy on top.
    #[inline]
    pub(super) unsafe fn known_class(&self) {
        if self.classes {
            // SAFETY: below `lua_pcall` with a value on top and room; only containers are delivered.
            unsafe {
                lua_pushvalue(self.lua, -1);
                if lua_type(self.lua, -1) == LUA_TTABLE && lua_rawget(self.lua, CLASSES) == LUA_TTABLE {
                    lua_replace(self.lua, -2);
                } else {
                    lua_settop(self.lua, -2);
                }
            }
        }
    }

    /// Remembers the classes that were not known, now that they are complete.
    pub(super) unsafe fn remember_classes(&self) {
        let lua = self.lua;
        if !self.classes {
            return;
        }
        // SAFETY: below `lua_pcall` with room; balanced.
        unsafe {
            let top = lua_gettop(lua);
            lua_pushnil(lua);
            while lua_next(lua, CLASSES) != 0 {
                if lua_type(lua, -1) == LUA_TSTRING {
                    remember(lua, top + 1, top + 2);
                    lua_pushvalue(lua, top + 1);
                    note_class(lua);
                    lua_settop(lua, top + 2);
                }
                lua_settop(lua, -2);
            }
        }
    }
}
