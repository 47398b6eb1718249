//! Tables that are compared with how they were, and put back.
//!
//! They are compared entry by entry in the order of `lua_next`, which stays as long as nothing is entered or removed; that
//! costs some 20 ns an entry.

use std::ffi::c_int;

use llib_lua::ffi::*;

/// A table with more entries that should not be there than this is not worth being put back.
const MOST_STRANGERS: usize = 10_000;

/// A value's identity: its type, and its bits or its address. Objects that count here are kept alive by a copy of
/// their table, so that no other can get their address.
type Identity = (c_int, u64);

/// A table as it should be. Its place in the anchor is its number; a copy of it stands at the next one.
pub(super) struct Watched {
    place: lua_Integer,
    /// Address of its metatable, 0 if it has none.
    meta: usize,
    entries: Vec<(Identity, Identity)>,
    /// Only entries with strings as keys: others come and go in the registry.
    named: bool,
}

impl Watched {
    /// The table on top, as it is now.
    ///
    /// # Safety
    /// `lua` is the worker's state with free slots, in a protected call; the anchor is free at `place` and the two behind it.
    pub(super) unsafe fn new(lua: *mut lua_State, anchor: c_int, place: lua_Integer, named: bool) -> Watched {
        // SAFETY: as demanded. Balanced.
        unsafe {
            let table = lua_gettop(lua);
            lua_pushvalue(lua, table);
            lua_rawseti(lua, anchor, place);
            lua_createtable(lua, 0, 0);
            let copy = lua_gettop(lua);
            lua_pushvalue(lua, copy);
            lua_rawseti(lua, anchor, place + 1);
            if lua_getmetatable(lua, table) != 0 {
                lua_rawseti(lua, anchor, place + 2);
            }
            lua_pushvalue(lua, table);
            let meta = metatable(lua);
            lua_pop(lua, 1);
            lua_pushnil(lua);
            while lua_next(lua, table) != 0 {
                if counts(lua, named) {
                    lua_pushvalue(lua, -2);
                    lua_pushvalue(lua, -2);
                    lua_rawset(lua, copy);
                }
                lua_pop(lua, 1);
            }
            let entries = entries(lua, table, named);
            lua_settop(lua, table);
            Watched { place, meta, entries, named }
        }
    }

    /// Pushes the table.
    ///
    /// # Safety
    /// As for [`Watched::new`], with the same anchor.
    pub(super) unsafe fn push(&self, lua: *mut lua_State, anchor: c_int) {
        // SAFETY: as demanded.
        unsafe { lua_rawgeti(lua, anchor, self.place) };
    }

    /// Its address. The anchor is on top.
    ///
    /// # Safety
    /// As for [`Watched::new`], with the same anchor.
    pub(super) unsafe fn address(&self, lua: *mut lua_State) -> usize {
        // SAFETY: as demanded. Balanced.
        unsafe {
            self.push(lua, lua_gettop(lua));
            let address = lua_topointer(lua, -1).addr();
            lua_pop(lua, 1);
            address
        }
    }

    /// Whether it is as it should be. The anchor is on top.
    ///
    /// # Safety
    /// As for [`Watched::new`], with the same anchor.
    pub(super) unsafe fn is_untouched(&self, lua: *mut lua_State) -> bool {
        // SAFETY: the worker's state with free slots; every index was pushed just before.
        unsafe {
            let anchor = lua_gettop(lua);
            lua_rawgeti(lua, anchor, self.place);
            let same = metatable(lua) == self.meta && self.is_same(lua, anchor + 1);
            lua_settop(lua, anchor);
            same
        }
    }

    /// Puts it back; false if that cannot be. The anchor is on top.
    ///
    /// # Safety
    /// As for [`Watched::new`], with the same anchor.
    pub(super) unsafe fn restore(&mut self, lua: *mut lua_State) -> bool {
        // SAFETY: as above.
        unsafe {
            let anchor = lua_gettop(lua);
            lua_rawgeti(lua, anchor, self.place);
            let table = lua_gettop(lua);
            lua_rawgeti(lua, anchor, self.place + 2);
            lua_setmetatable(lua, table);
            lua_rawgeti(lua, anchor, self.place + 1);
            let back = put_back(lua, table, self.named);
            if back {
                self.entries = entries(lua, table, self.named);
            }
            lua_settop(lua, anchor);
            back
        }
    }

    /// Whether this is the registry, and a job has entered something there by whose name finalizers will ask what they
    /// have: a library's metatable, luaL_checkudata(3). The anchor is on top.
    ///
    /// # Safety
    /// As for [`Watched::restore`].
    pub(super) unsafe fn serves_finalizers(&self, lua: *mut lua_State) -> bool {
        if !self.named {
            return false;
        }
        // SAFETY: as above. Balanced, and nothing changes the table meanwhile.
        unsafe {
            let anchor = lua_gettop(lua);
            lua_rawgeti(lua, anchor, self.place);
            let table = lua_gettop(lua);
            lua_rawgeti(lua, anchor, self.place + 1);
            let copy = lua_gettop(lua);
            let mut found = false;
            lua_pushnil(lua);
            while !found && lua_next(lua, table) != 0 {
                if counts(lua, true) && lua_type(lua, -1) == LUA_TTABLE {
                    lua_pushvalue(lua, -2);
                    lua_rawget(lua, copy);
                    if lua_rawequal(lua, -1, -2) == 0 {
                        lua_pushlstring(lua, c"__gc".as_ptr(), 4);
                        lua_rawget(lua, -3);
                        found = lua_type(lua, -1) != LUA_TNIL;
                    }
                }
                lua_settop(lua, copy + 1);
            }
            lua_settop(lua, anchor);
            found
        }
    }

    unsafe fn is_same(&self, lua: *mut lua_State, table: c_int) -> bool {
        // SAFETY: as above; raw traversal of a table that nobody changes meanwhile.
        unsafe {
            let mut expected = self.entries.iter();
            lua_pushnil(lua);
            while lua_next(lua, table) != 0 {
                if counts(lua, self.named) {
                    let same = expected
                        .next()
                        .is_some_and(|(key, value)| *value == identity(lua, -1) && *key == identity(lua, -2));
                    if !same {
                        lua_settop(lua, table);
                        return false;
                    }
                }
                lua_settop(lua, table + 1);
            }
            expected.next().is_none()
        }
    }
}

/// Whether the entry on top, key and value, is one that is compared.
#[inline]
unsafe fn counts(lua: *mut lua_State, named: bool) -> bool {
    /// Before Lua 5.2 the handles of C libraries, which are never closed: their functions may be anywhere.
    const LIBRARY: &[u8] = b"LOADLIB: ";
    // SAFETY: the callers have both on the stack.
    unsafe {
        !named
            || (lua_type(lua, -2) == LUA_TSTRING
                && !llib_lua::call::bytes(lua, -2).is_some_and(|name| name.starts_with(LIBRARY)))
    }
}

/// Makes the table at `table` equal to the copy on top. False if too much would have to go.
unsafe fn put_back(lua: *mut lua_State, table: c_int, named: bool) -> bool {
    // SAFETY: as above. During a traversal fields that exist may be cleared and assigned.
    unsafe {
        let copy = lua_gettop(lua);
        let mut strangers = 0;
        lua_pushnil(lua);
        while lua_next(lua, table) != 0 {
            if counts(lua, named) {
                lua_pushvalue(lua, -2);
                lua_rawget(lua, copy);
                if lua_type(lua, -1) == LUA_TNIL {
                    lua_pushvalue(lua, -3);
                    lua_pushnil(lua);
                    lua_rawset(lua, table);
                    strangers += 1;
                }
            }
            lua_settop(lua, copy + 1);
        }
        if strangers > MOST_STRANGERS {
            return false;
        }
        lua_pushnil(lua);
        while lua_next(lua, copy) != 0 {
            lua_pushvalue(lua, -2);
            lua_insert(lua, -2);
            lua_rawset(lua, table);
        }
        true
    }
}

/// The entries of the table at `table`, in the order of `lua_next`.
unsafe fn entries(lua: *mut lua_State, table: c_int, named: bool) -> Vec<(Identity, Identity)> {
    let mut entries = Vec::new();
    // SAFETY: as above.
    unsafe {
        lua_pushnil(lua);
        while lua_next(lua, table) != 0 {
            if counts(lua, named) {
                entries.push((identity(lua, -2), identity(lua, -1)));
            }
            lua_pop(lua, 1);
        }
    }
    entries
}

#[inline]
unsafe fn identity(lua: *mut lua_State, index: c_int) -> Identity {
    // SAFETY: the caller has a value there.
    unsafe {
        let kind = lua_type(lua, index);
        let bits = match kind {
            LUA_TNIL => 0,
            LUA_TBOOLEAN => lua_toboolean(lua, index) as u64,
            LUA_TNUMBER if lua_isinteger(lua, index) != 0 => lua_tointeger(lua, index).cast_unsigned(),
            LUA_TNUMBER => return (-1, lua_tonumber(lua, index).to_bits()),
            // Before Lua 5.4 strings have no address for the next call.
            LUA_TSTRING => lua_tolstring(lua, index, std::ptr::null_mut()).addr() as u64,
            _ => lua_topointer(lua, index).addr() as u64,
        };
        (kind, bits)
    }
}

/// Address of the metatable of the value on top, 0 if it has none.
///
/// # Safety
/// `lua` is a valid state with a value on top and a free slot.
pub(super) unsafe fn metatable(lua: *mut lua_State) -> usize {
    // SAFETY: the caller has a value on top and a free slot.
    unsafe {
        if lua_getmetatable(lua, -1) == 0 {
            return 0;
        }
        let address = lua_topointer(lua, -1).addr();
        lua_pop(lua, 1);
        address
    }
}
