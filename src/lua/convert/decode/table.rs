//! Tables: items, pairs, metatable.

use crate::ffi::*;

use super::super::by_value::ByValue;
use super::super::finalizers::note_metatable;
use super::super::protect::string;
use super::*;

impl Decoder<'_> {
    pub(super) unsafe fn table(&mut self, shared: bool, offset: usize) -> Step<bool> {
        let read = self.cursor.varint();
        let items = self.read(read)?;
        let read = self.cursor.byte();
        let hint = self.read(read)?;
        if items > self.cursor.left() as u64 || hint > 32 {
            return self.corrupt("a table is larger than the message");
        }
        let pairs = if hint == 0 { 0 } else { 1u64 << (hint - 1) };
        let narr = self.claim(items)?;
        let nhash = self.claim(pairs)?;
        self.spend(A_TABLE + items as usize * AN_ITEM + pairs as usize * A_PAIR)?;
        // SAFETY: below `lua_pcall` with room.
        unsafe {
            lua_createtable(self.lua, narr, nhash);
            let table = lua_gettop(self.lua);
            if let Some(identity) = self.class.take() {
                self.begin_class(identity);
            }
            if shared {
                self.record(offset)?;
            }
            lua_settop(self.lua, table);
            self.open(Frame::Items { index: 0, items: items as usize })?;
        }
        Ok(true)
    }

    /// Continues with the items after `index`.
    pub(super) unsafe fn items(&mut self, mut index: usize, items: usize) -> Step {
        // SAFETY: `table` is on top; items without content are stored here, others by `deliver`, which
        // counts on from the frame's index.
        unsafe {
            while index < items {
                let before = self.frames.len();
                if let Some(Frame::Items { index: kept, .. }) = self.frames.last_mut() {
                    *kept = index;
                }
                if self.push_value()? {
                    debug_assert_eq!(self.frames.len(), before + 1);
                    return Ok(());
                }
                index += 1;
                lua_rawseti(self.lua, -2, index as lua_Integer);
            }
            if let Some(frame) = self.frames.last_mut() {
                *frame = Frame::Pairs { has_key: false };
            }
            self.pairs(false)
        }
    }

    /// Continues with the pairs, up to the table's end.
    pub(super) unsafe fn pairs(&mut self, mut has_key: bool) -> Step {
        // SAFETY: `table` or `table key` are on top. The frame is kept in step for `deliver`.
        unsafe {
            loop {
                let offset = self.cursor.at;
                let read = self.cursor.byte();
                let tag = self.read(read)?;
                if !has_key {
                    match tag {
                        END => return self.close(),
                        META => {
                            if let Some(frame) = self.frames.last_mut() {
                                *frame = Frame::Meta;
                            }
                            return Ok(());
                        }
                        _ => {}
                    }
                }
                if let Some(frame) = self.frames.last_mut() {
                    *frame = Frame::Pairs { has_key };
                }
                if self.tagged(tag, offset)? {
                    return Ok(());
                }
                if has_key {
                    self.spend(A_GROWING_PAIR)?;
                    self.step()?;
                    lua_rawset(self.lua, -3);
                } else {
                    self.check_key()?;
                }
                has_key = !has_key;
            }
        }
    }

    /// The value on top is to be a key: nil and NaN cannot.
    #[inline]
    pub(super) unsafe fn check_key(&mut self) -> Step {
        // SAFETY: a value is on top.
        unsafe {
            let good = match lua_type(self.lua, -1) {
                LUA_TNIL => false,
                LUA_TNUMBER => lua_isinteger(self.lua, -1) != 0 || !lua_tonumber(self.lua, -1).is_nan(),
                _ => true,
            };
            if good { Ok(()) } else { self.corrupt("a table key is nil or NaN") }
        }
    }

    /// `table metatable` are on top: keeps both for later and pops the metatable.
    pub(super) unsafe fn metatable(&mut self) -> Step {
        let lua = self.lua;
        // SAFETY: below `lua_pcall` with room.
        unsafe {
            if lua_type(lua, -1) != LUA_TTABLE {
                return self.corrupt("a metatable is no table");
            }
            if !self.options.metatables && !self.is_registered() {
                if self.options.inert {
                    lua_settop(lua, -2);
                    return Ok(());
                }
                return self.fail(DecodeError::Refused("a metatable"));
            }
            if lua_type(lua, METAS) == LUA_TNIL {
                lua_createtable(lua, 4, 0);
                lua_replace(lua, METAS);
            }
            lua_rawseti(lua, METAS, (self.metas + 2).into());
            lua_pushvalue(lua, -1);
            lua_rawseti(lua, METAS, (self.metas + 1).into());
            self.metas += 2;
        }
        Ok(())
    }

    /// Sets the metatables kept after the first `from` entries.
    pub(super) unsafe fn set_metatables(&mut self, from: c_int) {
        // SAFETY: the entries are tables in pairs, as `metatable` stored them.
        unsafe {
            for entry in (from..self.metas).step_by(2) {
                lua_rawgeti(self.lua, METAS, (entry + 1).into());
                lua_rawgeti(self.lua, METAS, (entry + 2).into());
                note_metatable(self.lua);
                lua_setmetatable(self.lua, -2);
                lua_settop(self.lua, -2);
            }
        }
    }

    /// Pushes a metatable that llib registered in this state.
    pub(super) unsafe fn registered_type(&mut self) -> Step {
        let lua = self.lua;
        // SAFETY: below `lua_pcall` with room; raw access only.
        unsafe {
            self.push_counted()?;
            if !string(lua, -1).starts_with(b"llib.") {
                return self.corrupt("a type is none of llib's");
            }
            if ByValue::of_name(string(lua, -1)).is_some() {
                return self.corrupt("a type is not one of tables");
            }
            if lua_rawget(lua, LUA_REGISTRYINDEX) != LUA_TTABLE {
                return self.corrupt("a type is not known here");
            }
            // Those of userdata may have finalizers that do not expect a table.
            for name in [c"__gc", c"__close"] {
                lua_pushlstring(lua, name.as_ptr(), name.count_bytes());
                if lua_rawget(lua, -2) != LUA_TNIL {
                    return self.corrupt("a type is not one of tables");
                }
                lua_settop(lua, -2);
            }
        }
        Ok(())
    }

    /// Whether the metatable on top is one that llib registered.
    unsafe fn is_registered(&self) -> bool {
        let lua = self.lua;
        // SAFETY: a table is on top; free slots are there; raw access only.
        unsafe {
            lua_pushlstring(lua, c"__name".as_ptr(), 6);
            let mut own = lua_rawget(lua, -2) == LUA_TSTRING && string(lua, -1).starts_with(b"llib.");
            if own {
                lua_rawget(lua, LUA_REGISTRYINDEX);
                own = lua_rawequal(lua, -1, -2) != 0;
            }
            lua_settop(lua, -2);
            own
        }
    }
}
