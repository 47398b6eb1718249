//! What a job's `require` would look for in the host and would not find: entries of `package.preload` and `package.loaded` that
//! a script made, and searchers. Entries whose names occur in the code go along, searchers with any code that names
//! `require`. A sandboxed job sends none: what it may require was granted.

use super::super::code::Code;
use super::super::names::{can_be_required, has_module, is_confined, push_loaded};
use super::super::options::GlobalMode;
use super::super::required::push_package_table;
use super::globals::Place;
use super::*;
use crate::version::SEARCHERS;

/// What there is that could go along, as far as that is quick to tell.
#[derive(Clone, Copy)]
pub(super) struct Required {
    /// Whether `package.preload` holds Lua functions.
    preload: bool,
}

impl Encoder<'_> {
    /// What a function's code may require, or names of the libraries, goes along.
    pub(super) unsafe fn found_code(&mut self, code: Code<'_>) {
        if self.options.globals != GlobalMode::Named {
            return;
        }
        // SAFETY: below `lua_pcall` with free slots.
        unsafe { self.found_fields(code) };
        if is_confined() || memchr::memmem::find(code.bytes(), b"require").is_none() {
            return;
        }
        // SAFETY: below `lua_pcall` with free slots; nothing with a destructor lives on the frames up to here.
        unsafe {
            let required = self.required();
            code.strings(|name| self.found_module(name, required));
        }
    }

    /// What there is; the searchers are wanted.
    unsafe fn required(&mut self) -> Required {
        if let Some(required) = self.required {
            return required;
        }
        let lua = self.lua;
        // SAFETY: as above; balanced.
        unsafe {
            let top = lua_gettop(lua);
            let mut required = Required { preload: false };
            if push_package_table(lua, c"preload") {
                lua_pushnil(lua);
                while !required.preload && lua_next(lua, top + 1) != 0 {
                    required.preload = is_lua_function(lua);
                    lua_settop(lua, -2);
                }
            }
            lua_settop(lua, top);
            if push_package_table(lua, SEARCHERS) {
                for index in 1..=(lua_rawlen(lua, top + 1) as u8) {
                    lua_rawgeti(lua, top + 1, index.into());
                    if is_lua_function(lua) {
                        self.want(Place::Searcher, &[index]);
                    }
                    lua_settop(lua, top + 1);
                }
            }
            lua_settop(lua, top);
            self.required = Some(required);
            required
        }
    }

    /// A string that may be a module's name.
    unsafe fn found_module(&mut self, name: &[u8], required: Required) {
        let lua = self.lua;
        // SAFETY: as above; balanced.
        unsafe {
            let top = lua_gettop(lua);
            if required.preload && push_package_table(lua, c"preload") {
                lua_pushlstring(lua, name.as_ptr().cast(), name.len());
                lua_rawget(lua, top + 1);
                if is_lua_function(lua) {
                    lua_settop(lua, top);
                    return self.want(Place::Preload, name);
                }
            }
            lua_settop(lua, top);
            push_loaded(lua);
            lua_pushlstring(lua, name.as_ptr().cast(), name.len());
            let loaded = lua_type(lua, top + 1) == LUA_TTABLE && lua_rawget(lua, top + 1) != LUA_TNIL;
            lua_settop(lua, top);
            if loaded && !has_module(name) && !can_be_required(lua, name) {
                self.want(Place::Loaded, name);
            }
        }
    }

    /// Everything of the kind goes along.
    pub(super) unsafe fn all_required(&mut self) {
        let lua = self.lua;
        if is_confined() {
            return;
        }
        // SAFETY: as above; balanced. The tables are not changed meanwhile.
        unsafe {
            let required = self.required();
            let top = lua_gettop(lua);
            for preload in [true, false] {
                lua_settop(lua, top);
                if preload {
                    push_package_table(lua, c"preload");
                } else {
                    push_loaded(lua);
                }
                if lua_gettop(lua) == top || lua_type(lua, top + 1) != LUA_TTABLE {
                    continue;
                }
                lua_pushnil(lua);
                while lua_next(lua, top + 1) != 0 {
                    lua_settop(lua, -2);
                    if lua_type(lua, -1) == LUA_TSTRING {
                        let name = bytes_at(lua, -1);
                        self.found_module(name, required);
                    }
                }
            }
            lua_settop(lua, top);
        }
    }

    /// Pushes what the queue names and returns true, or pushes nothing.
    pub(super) unsafe fn push_required(&mut self, place: Place, name: &[u8]) -> bool {
        let lua = self.lua;
        // SAFETY: as above.
        unsafe {
            let top = lua_gettop(lua);
            match place {
                Place::Preload => _ = push_package_table(lua, c"preload"),
                Place::Searcher => _ = push_package_table(lua, SEARCHERS),
                _ => push_loaded(lua),
            }
            if lua_gettop(lua) == top || lua_type(lua, top + 1) != LUA_TTABLE {
                lua_settop(lua, top);
                return false;
            }
            if place == Place::Searcher {
                lua_rawgeti(lua, top + 1, name.first().copied().unwrap_or_default().into());
            } else {
                lua_pushlstring(lua, name.as_ptr().cast(), name.len());
                lua_rawget(lua, top + 1);
            }
            if lua_type(lua, -1) == LUA_TNIL {
                lua_settop(lua, top);
                return false;
            }
            lua_replace(lua, top + 1);
            lua_settop(lua, top + 1);
            true
        }
    }
}

/// Whether a Lua function is on top.
unsafe fn is_lua_function(lua: *mut lua_State) -> bool {
    // SAFETY: the callers have a value on top.
    unsafe { lua_type(lua, -1) == LUA_TFUNCTION && lua_iscfunction(lua, -1) == 0 }
}
