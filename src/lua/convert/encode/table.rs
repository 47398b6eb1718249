//! Tables: items, pairs, metatable.

use crate::ffi::*;

use super::super::classes;
use super::super::names::{Named, is_class, is_confined, makes_instances};
use super::super::protect::string;
use super::globals::Place;
use super::*;

/// Holes that an array may have at any rate, beside two for each item that is there.
const FREE_HOLES: i64 = 64;

/// In [`At::Sparse`]: the last item is a container that is being written, so its end is not known.
const OPEN: usize = usize::MAX;

impl Encoder<'_> {
    pub(super) unsafe fn table(&mut self) -> Step<bool> {
        let lua = self.lua;
        // SAFETY: a table is on top; raw access only; indices are relative to the top.
        unsafe {
            let address = lua_topointer(lua, -1) as usize;
            if address == self.globals {
                self.uses_globals = true;
                self.buffers.sink.byte(GLOBALS);
                lua_settop(lua, -2);
                return Ok(false);
            }
            if address == self.own {
                if !self.met_before(address) {
                    lua_pushlstring(lua, b"llib\0res".as_ptr().cast(), 8);
                    self.by_name();
                }
                return Ok(false);
            }
            let metatable = std::mem::take(&mut self.metatable_next);
            if !metatable && self.is_left_out() {
                self.buffers.sink.byte(NIL);
                lua_settop(lua, -2);
                return Ok(false);
            }
            if !self.buffers.environments.is_empty() {
                self.environment_as_value(address);
            }
            let names = self.names();
            if names.may_have_name(address) {
                if self.met_before(address) {
                    return Ok(false);
                }
                if names.find() {
                    if self.named_table(metatable) {
                        return Ok(false);
                    }
                } else if let Some(identity) =
                    classes::known_identity(lua).filter(|_| self.options.identities)
                {
                    self.class(&identity, &[]);
                }
            }
            let offset = self.buffers.sink.at();
            if let Some(offset) = self.buffers.seen.get_or_insert(address, offset) {
                self.reference(offset);
                lua_settop(lua, -2);
                return Ok(false);
            }
            let items = lua_rawlen(lua, -1) as i64;
            let sink = &mut self.buffers.sink;
            sink.byte(TABLE);
            let head = sink.at();
            sink.varint(items as u64);
            sink.byte(0);
            self.open(At::Next { head, index: 1, items, pairs: 0, in_key: false }, 0)?;
            lua_pushnil(lua);
            Ok(true)
        }
    }

    /// Writes the table below its name, which is on top, by that name, and pops both; or pops the name, says which class
    /// the table is, if it is one, and returns false.
    unsafe fn named_table(&mut self, metatable: bool) -> bool {
        let lua = self.lua;
        // SAFETY: `table name` are on top; free slots are there.
        unsafe {
            let kind = self.names().kind();
            let part = bytes_at(lua, -1).contains(&0) && !bytes_at(lua, -1).starts_with(b"llib\0");
            if matches!(kind, Named::Module | Named::Part) && !part {
                self.by_name();
                return true;
            }
            if kind == Named::OwnModule && self.options.globals != GlobalMode::None && !is_confined() {
                let name = bytes_at(lua, -1);
                self.want(Place::Loaded, name);
            }
            let name = &raw const *bytes_at(lua, -1);
            lua_settop(lua, -2);
            let class = if metatable { is_class(lua) } else { makes_instances(lua) };
            if !class || !self.options.identities {
                return false;
            }
            if kind == Named::Part {
                // The name is still in its table.
                self.names().find();
                self.by_name();
                return true;
            }
            let identity = classes::identity(lua);
            // The names' table keeps the string.
            self.class(&identity, if kind == Named::MaybePart { &*name } else { &[] });
            false
        }
    }

    fn class(&mut self, identity: &[u8], name: &[u8]) {
        self.buffers.sink.byte(CLASS);
        self.buffers.sink.raw(identity);
        self.buffers.sink.counted(name);
    }

    /// Continues with the items and pairs in the order of `lua_next`.
    pub(super) unsafe fn table_next(&mut self, at: At) -> Step {
        let At::Next { head, mut index, items, mut pairs, mut in_key } = at else { return Ok(()) };
        let lua = self.lua;
        // SAFETY: `table key` are on top, or `table key value` after a key with content. `lua_next` gets
        // the key it returned. A key that a `__clone` removed meanwhile makes it raise, which is fine here.
        unsafe {
            loop {
                if !in_key {
                    if lua_next(lua, -2) == 0 {
                        self.finish_items(head, index, items);
                        return self.finish_pairs(head, pairs);
                    }
                    if index <= items {
                        if lua_isinteger(lua, -2) == 0 || lua_tointeger(lua, -2) != index {
                            // The border that Lua found lies behind holes, or the items are hashed.
                            lua_settop(lua, -3);
                            let full = (self.buffers.sink.at(), index - 1);
                            self.continue_at(At::Sparse { head, index, items, holes: 0, full });
                            return Ok(());
                        }
                        index += 1;
                    } else {
                        if self.key_left_out() {
                            lua_settop(lua, -2);
                            continue;
                        }
                        pairs += 1;
                        lua_pushvalue(lua, -2);
                        let at = At::Next { head, index, items, pairs, in_key: true };
                        if self.container_on_top() {
                            self.continue_at(at);
                        }
                        if self.value()? {
                            return Ok(());
                        }
                    }
                }
                in_key = false;
                if self.container_on_top() {
                    self.continue_at(At::Next { head, index, items, pairs, in_key: false });
                }
                if self.value()? {
                    return Ok(());
                }
            }
        }
    }

    /// Whether the key below the value on top is an object that is left out.
    #[inline]
    unsafe fn key_left_out(&mut self) -> bool {
        // SAFETY: `table key value` are on top, with free slots.
        unsafe {
            if !matches!(lua_type(self.lua, -2), LUA_TTABLE | LUA_TUSERDATA) {
                return false;
            }
            lua_pushvalue(self.lua, -2);
            let out = self.is_left_out();
            lua_settop(self.lua, -2);
            out
        }
    }

    /// Whether encoding the value on top may start a frame, or fail: where to continue is stored then.
    #[inline]
    unsafe fn container_on_top(&self) -> bool {
        // SAFETY: a value is on top.
        unsafe { !matches!(lua_type(self.lua, -1), LUA_TNIL | LUA_TBOOLEAN | LUA_TNUMBER | LUA_TSTRING) }
    }

    /// Continues with the items by index, nil for holes.
    pub(super) unsafe fn table_sparse(&mut self, at: At) -> Step {
        let At::Sparse { head, mut index, items, mut holes, mut full } = at else { return Ok(()) };
        let lua = self.lua;
        // SAFETY: `table` is on top.
        unsafe {
            if full.0 == OPEN {
                full.0 = self.buffers.sink.at();
            }
            // In a table with the keys 1, 2, 4, 8 … the border may lie anywhere: holes must not outnumber.
            while index <= items && holes <= FREE_HOLES + 2 * (index - holes) {
                if lua_rawgeti(lua, -1, index) == LUA_TNIL {
                    holes += 1;
                    index += 1;
                    self.buffers.sink.byte(NIL);
                    lua_settop(lua, -2);
                    continue;
                }
                index += 1;
                self.continue_at(At::Sparse { head, index, items, holes, full: (OPEN, index - 1) });
                if self.value()? {
                    return Ok(());
                }
                full = (self.buffers.sink.at(), index - 1);
            }
            self.buffers.sink.cut(full.0);
            self.finish_items(head, full.1 + 1, items);
            self.continue_at(At::Pairs { head, items: full.1, pairs: 0, in_key: false });
            lua_pushnil(lua);
        }
        Ok(())
    }

    /// Continues with the pairs whose keys are no items.
    pub(super) unsafe fn table_pairs(&mut self, at: At) -> Step {
        let At::Pairs { head, items, mut pairs, mut in_key } = at else { return Ok(()) };
        let lua = self.lua;
        // SAFETY: as in `table_next`.
        unsafe {
            loop {
                if !in_key {
                    if lua_next(lua, -2) == 0 {
                        return self.finish_pairs(head, pairs);
                    }
                    if lua_isinteger(lua, -2) != 0 && (1..=items).contains(&lua_tointeger(lua, -2)) {
                        lua_settop(lua, -2);
                        continue;
                    }
                    if self.key_left_out() {
                        lua_settop(lua, -2);
                        continue;
                    }
                    pairs += 1;
                    lua_pushvalue(lua, -2);
                    self.continue_at(At::Pairs { head, items, pairs, in_key: true });
                    if self.value()? {
                        return Ok(());
                    }
                }
                in_key = false;
                self.continue_at(At::Pairs { head, items, pairs, in_key: false });
                if self.value()? {
                    return Ok(());
                }
            }
        }
    }

    /// The items end before `index`: corrects their number where fewer came than were announced.
    fn finish_items(&mut self, head: usize, index: i64, items: i64) {
        if index <= items {
            self.buffers.sink.lower_varint(head, (index - 1) as u64);
        }
    }

    /// Writes the size hint, and the metatable if there is one. `table` is on top.
    unsafe fn finish_pairs(&mut self, head: usize, pairs: u64) -> Step {
        let lua = self.lua;
        let sink = &mut self.buffers.sink;
        let mut at = head;
        while sink.written(at, 1)[0] >= 0x80 {
            at += 1;
        }
        sink.set(at + 1, hint(pairs));
        // SAFETY: the table is on top; free slots are there.
        unsafe {
            if lua_getmetatable(lua, -1) == 0 {
                self.buffers.sink.byte(END);
                self.close();
                return Ok(());
            }
            self.buffers.sink.byte(META);
            self.continue_at(At::Meta);
            if !self.registered_type() {
                self.metatable_next = true;
                self.value()?;
            }
        }
        Ok(())
    }

    /// Writes the metatable on top by its name in the registry if it is one of llib's own, and pops it.
    unsafe fn registered_type(&mut self) -> bool {
        let lua = self.lua;
        // SAFETY: a table is on top; raw access only.
        unsafe {
            let address = lua_topointer(lua, -1) as usize;
            if self.buffers.seen.get(address).is_some() {
                return false;
            }
            lua_pushlstring(lua, c"__name".as_ptr(), 6);
            if lua_rawget(lua, -2) != LUA_TSTRING || !string(lua, -1).starts_with(b"llib.") {
                lua_settop(lua, -2);
                return false;
            }
            lua_pushvalue(lua, -1);
            lua_rawget(lua, LUA_REGISTRYINDEX);
            let own = lua_rawequal(lua, -1, -3) != 0;
            lua_settop(lua, -2);
            if own {
                let sink = &mut self.buffers.sink;
                self.buffers.seen.insert(address, sink.at());
                sink.byte(TYPE);
                sink.counted(bytes_at(lua, -1));
                lua_settop(lua, -3);
            } else {
                lua_settop(lua, -2);
            }
            own
        }
    }
}
