//! A state as good as new after each job.
//!
//! What a script can reach without the debug library, and change, is: the globals, the tables of the libraries and of
//! loaded modules with their metatables, `package.loaded` and its relatives, the metatables of files and strings; and
//! behind functions of C: default files, hooks, the collector's settings, the locale, the random numbers, the working
//! directory, open files, children. All of it is compared with how it was before the first job. Tables are compared entry by
//! entry in the order of `lua_next`, which stays as long as nothing is entered or removed; that costs some 20 ns an
//! entry. What differs is put back; what cannot be put back makes the worker go.

use std::ffi::{CStr, CString, c_int};
use std::path::PathBuf;

use llib::lua::ffi::*;
use llib::lua::version::collector::{self, Pace};
use llib::lua::version::state;
use llib::sync::holds_any;

use crate::sys;

/// A value's identity: its type, and its bits or its address. Objects that count here are kept alive by a copy of
/// their table, so that no other can get their address.
type Identity = (c_int, u64);

/// A table as it should be. Its place in the anchor is its number; a copy of it stands at the next one.
struct Watched {
    place: lua_Integer,
    /// Address of its metatable, 0 if it has none.
    meta: usize,
    entries: Vec<(Identity, Identity)>,
    /// Only entries with strings as keys: others come and go in the registry.
    named: bool,
}

/// Everything as it should be.
pub(super) struct Fresh {
    /// Reference of a table in the registry: watched tables and their copies, in pairs.
    anchor: c_int,
    tables: Vec<Watched>,
    /// Addresses of the metatables of the basic types.
    basic: [usize; BASIC.len()],
    /// Whether modules beside the standard library are loaded, whose functions may do anything.
    foreign: bool,
    descriptor: c_int,
    locale: CString,
    directory: Option<PathBuf>,
    /// Reference of `math.randomseed`.
    seed: c_int,
    random: u64,
    pace: Pace,
}

/// Types that have one metatable each; tables and full userdata have their own.
const BASIC: [c_int; 7] =
    [LUA_TNIL, LUA_TBOOLEAN, LUA_TLIGHTUSERDATA, LUA_TNUMBER, LUA_TSTRING, LUA_TFUNCTION, LUA_TTHREAD];

const STANDARD: [&CStr; 11] =
    [c"_G", c"package", c"string", c"table", c"math", c"io", c"os", c"debug", c"coroutine", c"utf8", c"llib"];

/// A table with more entries that should not be there than this is not worth being put back.
const MOST_STRANGERS: usize = 10_000;

impl Fresh {
    /// The state as it is now.
    ///
    /// # Safety
    /// `lua` is the worker's state below a protected call, its stack empty.
    pub(super) unsafe fn of(lua: *mut lua_State) -> Fresh {
        // SAFETY: as demanded. What may raise for want of memory ends the worker.
        unsafe {
            lua_checkstack(lua, 40);
            // Garbage may hold descriptors, and what is young would be looked at again and again.
            collector::collect(lua);
            llib::lua::types::register_all(lua);
            lua_createtable(lua, 64, 0);
            lua_pushvalue(lua, -1);
            let anchor = luaL_ref(lua, LUA_REGISTRYINDEX);
            lua_getglobal(lua, c"math".as_ptr());
            lua_getfield(lua, -1, c"randomseed".as_ptr());
            let seed = luaL_ref(lua, LUA_REGISTRYINDEX);
            lua_settop(lua, 0);
            let mut bytes = [0; 8];
            let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
            let mut fresh = Fresh {
                anchor,
                tables: Vec::new(),
                basic: [0; BASIC.len()],
                foreign: false,
                descriptor: sys::free_descriptor(),
                locale: sys::locale().to_owned(),
                directory: std::env::current_dir().ok(),
                seed,
                random: u64::from_ne_bytes(bytes),
                pace: Pace::of(lua),
            };
            for (place, kind) in BASIC.into_iter().enumerate() {
                push_sample(lua, kind);
                fresh.basic[place] = metatable(lua);
                lua_pop(lua, 1);
            }
            fresh.watch_all(lua);
            fresh
        }
    }

    unsafe fn watch_all(&mut self, lua: *mut lua_State) {
        // SAFETY: the worker's state with free slots; every index was pushed just before.
        unsafe {
            lua_rawgeti(lua, LUA_REGISTRYINDEX, self.anchor.into());
            let anchor = lua_gettop(lua);
            lua_pushglobaltable(lua);
            self.watch(lua, anchor, false, 0);
            lua_getfield(lua, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
            let loaded = lua_gettop(lua);
            lua_pushnil(lua);
            while lua_next(lua, loaded) != 0 {
                let known = lua_type(lua, -2) == LUA_TSTRING
                    && STANDARD.iter().any(|name| {
                        llib::lua::call::bytes(lua, -2).is_some_and(|bytes| bytes == name.to_bytes())
                    });
                self.foreign |= !known;
                // Fields of the library's tables are tables in turn; those of others are their own affair.
                let deep = if known { 2 } else { 0 };
                self.watch(lua, anchor, false, deep);
            }
            self.watch(lua, anchor, false, 0);
            push_sample(lua, LUA_TSTRING);
            if lua_getmetatable(lua, -1) != 0 {
                self.watch(lua, anchor, false, 1);
            }
            lua_getfield(lua, LUA_REGISTRYINDEX, c"FILE*".as_ptr());
            self.watch(lua, anchor, false, 1);
            lua_pushvalue(lua, LUA_REGISTRYINDEX);
            self.watch(lua, anchor, true, 0);
            lua_settop(lua, 0);
        }
    }

    /// Watches the table on top, and pops it; and those in it, `depth` levels deep. What is no table is left out.
    unsafe fn watch(&mut self, lua: *mut lua_State, anchor: c_int, named: bool, depth: u32) {
        // SAFETY: as for `watch_all`; the depth is bounded, and with it the stack.
        unsafe {
            lua_checkstack(lua, 20);
            let table = lua_gettop(lua);
            if lua_type(lua, table) != LUA_TTABLE {
                lua_pop(lua, 1);
                return;
            }
            // One that is watched already may have been reached from elsewhere, where it did not matter what is in it.
            if !self.is_watched(lua, anchor, table) {
                self.add(lua, anchor, named);
            }
            if depth > 0 {
                lua_pushnil(lua);
                while lua_next(lua, table) != 0 {
                    self.watch(lua, anchor, false, depth - 1);
                }
            }
            if lua_getmetatable(lua, table) != 0 {
                self.watch(lua, anchor, false, depth.saturating_sub(1));
            }
            lua_settop(lua, table - 1);
        }
    }

    /// Watches the table on top.
    unsafe fn add(&mut self, lua: *mut lua_State, anchor: c_int, named: bool) {
        // SAFETY: as for `watch_all`. Balanced.
        unsafe {
            let table = lua_gettop(lua);
            let place = self.tables.len() as lua_Integer * 3 + 1;
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
                if !named || lua_type(lua, -2) == LUA_TSTRING {
                    lua_pushvalue(lua, -2);
                    lua_pushvalue(lua, -2);
                    lua_rawset(lua, copy);
                }
                lua_pop(lua, 1);
            }
            let entries = entries(lua, table, named);
            self.tables.push(Watched { place, meta, entries, named });
            lua_settop(lua, table);
        }
    }

    unsafe fn is_watched(&self, lua: *mut lua_State, anchor: c_int, table: c_int) -> bool {
        // SAFETY: as above.
        unsafe {
            self.tables.iter().any(|watched| {
                lua_rawgeti(lua, anchor, watched.place);
                let same = lua_rawequal(lua, -1, table) != 0;
                lua_pop(lua, 1);
                same
            })
        }
    }

    /// Puts everything back that a job has changed; false if that cannot be.
    ///
    /// # Safety
    /// As for [`Fresh::of`].
    pub(super) unsafe fn restore(&mut self, lua: *mut lua_State) -> bool {
        // SAFETY: as demanded.
        unsafe {
            if holds_any() || sys::has_children() {
                return false;
            }
            if lua_gethookmask(lua) != 0 {
                lua_sethook(lua, None, 0, 0);
            }
            self.pace.restore(lua);
            let mut changed = false;
            lua_rawgeti(lua, LUA_REGISTRYINDEX, self.anchor.into());
            for watched in &mut self.tables {
                match watched.restore(lua) {
                    Restored::Same => {}
                    Restored::Changed => changed = true,
                    Restored::Not => return false,
                }
            }
            lua_pop(lua, 1);
            if !self.restore_basic(lua) {
                return false;
            }
            self.reseed(lua);
            lua_warning(lua, c"@off".as_ptr(), 0);
            let locale = sys::locale();
            if locale != self.locale.as_c_str() {
                sys::set_locale(&self.locale);
            }
            if (changed || self.foreign) && std::env::current_dir().ok() != self.directory {
                let back =
                    self.directory.as_ref().is_some_and(|path| std::env::set_current_dir(path).is_ok());
                if !back {
                    return false;
                }
            }
            if sys::free_descriptor() != self.descriptor {
                // Files that were left open are garbage now.
                collector::collect(lua);
                return sys::free_descriptor() == self.descriptor;
            }
            true
        }
    }

    unsafe fn restore_basic(&self, lua: *mut lua_State) -> bool {
        // SAFETY: the worker's state with free slots.
        unsafe {
            for (kind, meta) in BASIC.into_iter().zip(self.basic) {
                push_sample(lua, kind);
                let now = metatable(lua);
                if now != meta {
                    if meta != 0 {
                        // That of strings is the only one, and only the debug library takes it off.
                        return false;
                    }
                    lua_pushnil(lua);
                    lua_setmetatable(lua, -2);
                }
                lua_pop(lua, 1);
            }
        }
        true
    }

    /// The next job draws numbers that nobody can tell from those of others.
    unsafe fn reseed(&mut self, lua: *mut lua_State) {
        // A sequence of Weyl, mixed by Lua's own generator.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        // SAFETY: the worker's state with free slots.
        unsafe {
            lua_rawgeti(lua, LUA_REGISTRYINDEX, self.seed.into());
            let bytes = u128::from(self.random) | u128::from(self.random.rotate_left(32)) << 64;
            let arguments = state::push_seed(lua, bytes.to_le_bytes());
            lua_pcall(lua, arguments, 0, 0);
            lua_settop(lua, 0);
        }
    }
}

/// What came of putting a table back.
enum Restored {
    /// It was as it should be.
    Same,
    /// It is now.
    Changed,
    /// It cannot be.
    Not,
}

impl Watched {
    /// The anchor is on top.
    unsafe fn restore(&mut self, lua: *mut lua_State) -> Restored {
        // SAFETY: the worker's state with free slots; every index was pushed just before.
        unsafe {
            let anchor = lua_gettop(lua);
            lua_rawgeti(lua, anchor, self.place);
            let table = lua_gettop(lua);
            let mut state = Restored::Same;
            if metatable(lua) != self.meta {
                state = Restored::Changed;
                lua_rawgeti(lua, anchor, self.place + 2);
                lua_setmetatable(lua, table);
            }
            if !self.is_same(lua, table) {
                state = Restored::Changed;
                lua_rawgeti(lua, anchor, self.place + 1);
                if !put_back(lua, table, self.named) {
                    return Restored::Not;
                }
                self.entries = entries(lua, table, self.named);
            }
            lua_settop(lua, anchor);
            state
        }
    }

    unsafe fn is_same(&self, lua: *mut lua_State, table: c_int) -> bool {
        // SAFETY: as above; raw traversal of a table that nobody changes meanwhile.
        unsafe {
            let mut expected = self.entries.iter();
            lua_pushnil(lua);
            while lua_next(lua, table) != 0 {
                if !self.named || lua_type(lua, -2) == LUA_TSTRING {
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

/// Makes the table at `table` equal to the copy on top. False if too much would have to go.
unsafe fn put_back(lua: *mut lua_State, table: c_int, named: bool) -> bool {
    // SAFETY: as above. During a traversal fields that exist may be cleared and assigned.
    unsafe {
        let copy = lua_gettop(lua);
        let mut strangers = 0;
        lua_pushnil(lua);
        while lua_next(lua, table) != 0 {
            if !named || lua_type(lua, -2) == LUA_TSTRING {
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
            if !named || lua_type(lua, -2) == LUA_TSTRING {
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
            _ => lua_topointer(lua, index).addr() as u64,
        };
        (kind, bits)
    }
}

/// Address of the metatable of the value on top, 0 if it has none.
unsafe fn metatable(lua: *mut lua_State) -> usize {
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

/// Pushes a value of a basic type.
unsafe fn push_sample(lua: *mut lua_State, kind: c_int) {
    // SAFETY: the caller has a free slot. The empty string is there since the state is.
    unsafe {
        match kind {
            LUA_TBOOLEAN => lua_pushboolean(lua, 1),
            LUA_TLIGHTUSERDATA => lua_pushlightuserdata(lua, std::ptr::null_mut()),
            LUA_TNUMBER => lua_pushinteger(lua, 0),
            LUA_TSTRING => {
                lua_pushlstring(lua, c"".as_ptr(), 0);
            }
            LUA_TFUNCTION => lua_pushcfunction(lua, super::explain),
            LUA_TTHREAD => {
                lua_pushthread(lua);
            }
            _ => lua_pushnil(lua),
        }
    }
}
