//! Functions of a script's own in the tables of libraries, see [`super::super::fields`].

use super::super::code::Code;
use super::super::fields::{LIBRARIES, Mentioned, is_own};
use super::globals::Place;
use super::*;

impl Encoder<'_> {
    /// What a function's code names of the libraries goes along, if it is the script's own.
    pub(super) unsafe fn found_fields(&mut self, code: Code<'_>) {
        let mut mentioned = Mentioned::new();
        code.identifiers(|name| mentioned.note(name));
        let lua = self.lua;
        // SAFETY: below `lua_pcall` with free slots; nothing with a destructor lives on the frames up to here. Balanced.
        unsafe {
            let top = lua_gettop(lua);
            mentioned.push_tables(lua);
            code.identifiers(|name| self.found_field(mentioned, top + 1, name));
            lua_settop(lua, top);
        }
    }

    unsafe fn found_field(&mut self, mentioned: Mentioned, first: c_int, name: &[u8]) {
        let lua = self.lua;
        // SAFETY: as above; the names are those of this encoding.
        unsafe {
            mentioned.functions(lua, first, name, |library| {
                let mut names = self.names();
                let own = is_own(lua, &mut names, library, name);
                self.names = Some(names);
                if own {
                    self.want_field(library, name);
                }
            });
        }
    }

    #[cold]
    fn want_field(&mut self, library: usize, name: &[u8]) {
        let name = [LIBRARIES[library].to_bytes(), name].join(&0);
        self.want(Place::Library, &name);
    }

    /// All of them go along.
    pub(super) unsafe fn all_fields(&mut self) {
        let lua = self.lua;
        // SAFETY: as above; balanced. The tables are not changed meanwhile.
        unsafe {
            let top = lua_gettop(lua);
            let mentioned = Mentioned::all();
            let count = mentioned.push_tables(lua) as c_int;
            for slot in top + 1..=top + count {
                if lua_type(lua, slot) != LUA_TTABLE {
                    continue;
                }
                lua_pushnil(lua);
                while lua_next(lua, slot) != 0 {
                    lua_settop(lua, -2);
                    if lua_type(lua, -1) == LUA_TSTRING {
                        let name = bytes_at(lua, -1);
                        self.found_field(mentioned, top + 1, name);
                    }
                }
            }
            lua_settop(lua, top);
        }
    }

    /// Pushes the function that the queue names and returns true, or pushes nothing.
    pub(super) unsafe fn push_library_field(&mut self, name: &[u8]) -> bool {
        let lua = self.lua;
        let zero = memchr::memchr(0, name).unwrap_or(name.len());
        let (library, field) = (&name[..zero], &name[(zero + 1).min(name.len())..]);
        // SAFETY: as above.
        unsafe {
            let top = lua_gettop(lua);
            super::super::names::push_loaded(lua);
            lua_pushlstring(lua, library.as_ptr().cast(), library.len());
            if lua_type(lua, top + 1) == LUA_TTABLE && lua_rawget(lua, top + 1) == LUA_TTABLE {
                lua_pushlstring(lua, field.as_ptr().cast(), field.len());
                if lua_rawget(lua, top + 2) == LUA_TFUNCTION {
                    lua_replace(lua, top + 1);
                    lua_settop(lua, top + 1);
                    return true;
                }
            }
            lua_settop(lua, top);
            false
        }
    }
}
