//! What comes along for `require`, modules of a script's own and searchers, and what it has put into libraries.

use std::ffi::CStr;

use super::super::names::push_loaded;
use super::super::protect::string;
use super::super::required::push_package_table;
use super::*;
use crate::version::SEARCHERS;

impl Decoder<'_> {
    /// Reads an entry and puts it into its place, or something there that says why it did not come.
    pub(super) unsafe fn placed(&mut self, sent: bool) -> Step {
        if !self.options.globals || !self.options.requires {
            return self.fail(DecodeError::Refused("a module"));
        }
        let read = self.cursor.byte();
        let kind = self.read(read)?;
        if kind > LIBRARY {
            return self.corrupt("an unknown place");
        }
        let lua = self.lua;
        // SAFETY: below `lua_pcall` with room; indices are absolute.
        unsafe {
            let top = lua_gettop(lua);
            self.push_counted()?;
            let name = top + 1;
            let zero = memchr::memchr(0, string(lua, name));
            if kind == LIBRARY && zero.is_none() {
                return self.corrupt("a function of no library");
            }
            if sent {
                self.whole_value()?;
                if kind != LOADED && lua_type(lua, -1) != LUA_TFUNCTION {
                    return self.corrupt("a loader is no function");
                }
            } else {
                self.push_counted()?;
                lua_pushvalue(lua, name);
                if let Some(zero) = zero.filter(|_| kind == LIBRARY) {
                    let field = &string(lua, name)[zero + 1..];
                    lua_pushlstring(lua, field.as_ptr().cast(), field.len());
                    lua_replace(lua, -2);
                }
                lua_rotate(lua, -2, 1);
                let substitute = match kind {
                    SEARCHER => no_searcher,
                    LIBRARY => no_function,
                    _ => no_module,
                };
                lua_pushcclosure(lua, substitute, 2);
            }
            let value = name + 1;
            if let Some(zero) = zero.filter(|_| kind == LIBRARY) {
                push_loaded(lua);
                let (library, field) = string(lua, name).split_at(zero);
                lua_pushlstring(lua, library.as_ptr().cast(), library.len());
                if lua_type(lua, value + 1) == LUA_TTABLE && lua_rawget(lua, value + 1) == LUA_TTABLE {
                    lua_pushlstring(lua, field[1..].as_ptr().cast(), field.len() - 1);
                    lua_pushvalue(lua, value);
                    lua_rawset(lua, value + 2);
                }
                lua_settop(lua, top);
                return Ok(());
            }
            let loaded = kind == LOADED && sent;
            if loaded {
                push_loaded(lua);
            } else if !push_package_table(lua, if kind == SEARCHER { SEARCHERS } else { c"preload" }) {
                lua_settop(lua, top);
                return Ok(());
            }
            let place = value + 1;
            if kind == SEARCHER {
                let last = lua_rawlen(lua, place) as lua_Integer + 1;
                let wanted = string(lua, name).first().copied().unwrap_or_default();
                let index = lua_Integer::from(wanted).clamp(1, last);
                for at in (index..last).rev() {
                    lua_rawgeti(lua, place, at);
                    lua_rawseti(lua, place, at + 1);
                }
                lua_pushvalue(lua, value);
                lua_rawseti(lua, place, index);
            } else {
                lua_pushvalue(lua, name);
                // A module that is loaded here stays.
                if !loaded || (lua_type(lua, place) == LUA_TTABLE && lua_rawget(lua, place) == LUA_TNIL) {
                    lua_settop(lua, place);
                    lua_pushvalue(lua, name);
                    lua_pushvalue(lua, value);
                    lua_rawset(lua, place);
                }
            }
            lua_settop(lua, top);
        }
        Ok(())
    }
}

const NO_MODULE: &CStr = c"module '%s' could not be sent: %s";
const NO_FUNCTION: &CStr = c"function '%s' could not be sent: %s";
const NO_SEARCHER: &CStr = c"\n\ta searcher of the program could not be sent: %s";

/// A loader: the upvalues are the module's name and why there is none.
unsafe extern "C-unwind" fn no_module(lua: *mut lua_State) -> c_int {
    // SAFETY: called by Lua; no Rust value with a destructor is on this frame.
    unsafe {
        let name = lua_tolstring(lua, lua_upvalueindex(1), std::ptr::null_mut());
        let reason = lua_tolstring(lua, lua_upvalueindex(2), std::ptr::null_mut());
        luaL_error(lua, NO_MODULE.as_ptr(), name, reason)
    }
}

/// In the place of a library's function: the upvalues are its name and why there is none.
unsafe extern "C-unwind" fn no_function(lua: *mut lua_State) -> c_int {
    // SAFETY: as above.
    unsafe {
        let name = lua_tolstring(lua, lua_upvalueindex(1), std::ptr::null_mut());
        let reason = lua_tolstring(lua, lua_upvalueindex(2), std::ptr::null_mut());
        luaL_error(lua, NO_FUNCTION.as_ptr(), name, reason)
    }
}

/// A searcher that finds nothing and says why.
unsafe extern "C-unwind" fn no_searcher(lua: *mut lua_State) -> c_int {
    // SAFETY: as above.
    unsafe {
        let reason = lua_tolstring(lua, lua_upvalueindex(2), std::ptr::null_mut());
        lua_pushfstring(lua, NO_SEARCHER.as_ptr(), reason);
    }
    1
}
