//! Functions that a script has put into the tables of standard libraries, or in the place of others there.
//!
//! The tables go by name, so these go along with the functions that name them, as globals do: a field counts as named by code in
//! which both it and its library occur. Strings have methods, so that those of `string` need not name it.

use std::ffi::CStr;

use super::names::{Names, push, push_loaded};
use crate::ffi::*;

/// Libraries whose fields are looked at.
pub(super) const LIBRARIES: [&CStr; 11] = [
    c"string",
    c"table",
    c"math",
    c"io",
    c"os",
    c"debug",
    c"coroutine",
    c"utf8",
    c"bit32",
    c"bit",
    c"package",
];

/// Which of the libraries some names are: a bit for each. `string` always is one.
#[derive(Clone, Copy)]
pub(super) struct Mentioned(u16);

impl Mentioned {
    pub(super) fn new() -> Mentioned {
        Mentioned(1)
    }

    /// Notes a name.
    #[inline]
    pub(super) fn note(&mut self, name: &[u8]) {
        if (2..=9).contains(&name.len())
            && let Some(index) = LIBRARIES.iter().position(|library| library.to_bytes() == name)
        {
            self.0 |= 1 << index;
        }
    }

    pub(super) fn all() -> Mentioned {
        Mentioned(u16::MAX)
    }

    fn indices(self) -> impl Iterator<Item = usize> {
        (0..LIBRARIES.len()).filter(move |index| self.0 & 1 << index != 0)
    }

    /// Pushes the tables, nil for one that is not there, and returns how many.
    ///
    /// # Safety
    /// Below `lua_pcall`, with thirteen free slots.
    pub(super) unsafe fn push_tables(self, lua: *mut lua_State) -> usize {
        // SAFETY: as demanded; raw access.
        unsafe {
            push_loaded(lua);
            let loaded = lua_gettop(lua);
            let mut count = 0;
            if lua_type(lua, loaded) == LUA_TTABLE {
                for index in self.indices() {
                    lua_pushlstring(lua, LIBRARIES[index].as_ptr(), LIBRARIES[index].count_bytes());
                    if lua_rawget(lua, loaded) != LUA_TTABLE {
                        lua_settop(lua, -2);
                        lua_pushnil(lua);
                    }
                    count += 1;
                }
            }
            lua_rotate(lua, loaded, -1);
            lua_settop(lua, -2);
            count
        }
    }

    /// Calls `found` with each library that has a function of this name, with the function on top; the tables were pushed from
    /// slot `first` on.
    ///
    /// # Safety
    /// Below `lua_pcall`, with some free slots. `found` leaves the stack as it is.
    #[inline]
    pub(super) unsafe fn functions(
        self,
        lua: *mut lua_State,
        first: i32,
        name: &[u8],
        mut found: impl FnMut(usize),
    ) {
        // SAFETY: as demanded; balanced.
        unsafe {
            lua_pushlstring(lua, name.as_ptr().cast(), name.len());
            for (slot, index) in (first..).zip(self.indices()) {
                if lua_type(lua, slot) != LUA_TTABLE {
                    continue;
                }
                lua_pushvalue(lua, -1);
                if lua_rawget(lua, slot) == LUA_TFUNCTION {
                    found(index);
                }
                lua_settop(lua, -2);
            }
            lua_settop(lua, -2);
        }
    }
}

/// Whether the function on top is none that the library has by itself under this name.
///
/// # Safety
/// Below `lua_pcall`, a function on top and some free slots.
pub(super) unsafe fn is_own(lua: *mut lua_State, names: &mut Names, library: usize, field: &[u8]) -> bool {
    // SAFETY: as demanded; balanced. With `>` the call takes the function that is pushed for it.
    unsafe {
        if lua_iscfunction(lua, -1) == 0 {
            let mut about: lua_Debug = std::mem::zeroed();
            lua_pushvalue(lua, -1);
            lua_getinfo(lua, c">S".as_ptr(), &mut about);
            // LuaJIT has some of its functions in Lua.
            return about.linedefined >= 0;
        }
        let library = LIBRARIES[library].to_bytes();
        if names.find_anew() {
            let name = super::protect::string(lua, -1);
            let same = name.strip_prefix(library).and_then(|rest| rest.strip_prefix(b"\0")) == Some(field);
            lua_settop(lua, -2);
            if same {
                return false;
            }
        }
        !names.is_in_place(library, field)
    }
}

/// Functions of libraries, beside the name of the library: those that a function with these identifiers in its code may use.
///
/// # Safety
/// `lua` is a valid state, in a protected call.
pub unsafe fn library_functions(lua: *mut lua_State, identifiers: &[Vec<u8>]) -> Vec<(&'static CStr, usize)> {
    let mut mentioned = Mentioned::new();
    identifiers.iter().for_each(|name| mentioned.note(name));
    let mut found = Vec::new();
    // SAFETY: as demanded; balanced. Strings that were strings before take no memory.
    unsafe {
        if lua_checkstack(lua, 30) == 0 {
            return found;
        }
        let top = lua_gettop(lua);
        mentioned.push_tables(lua);
        for (index, name) in identifiers.iter().enumerate() {
            mentioned.functions(lua, top + 1, name, |library| found.push((LIBRARIES[library], index)));
        }
        lua_settop(lua, top);
    }
    found
}

/// Pushes the table of a library, or nil.
///
/// # Safety
/// Below `lua_pcall`, with three free slots.
pub unsafe fn push_library(lua: *mut lua_State, library: &CStr) {
    // SAFETY: as demanded; raw access.
    unsafe {
        push_loaded(lua);
        push(lua, library.to_str().unwrap_or_default());
        if lua_type(lua, -2) == LUA_TTABLE {
            lua_rawget(lua, -2);
        }
        lua_rotate(lua, -2, 1);
        lua_settop(lua, -2);
    }
}
