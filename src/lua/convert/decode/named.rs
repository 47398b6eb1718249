//! Things that the receiver has itself: modules and their fields.

use crate::ffi::*;

use super::super::names::{push, push_loaded, push_original, push_own};
use super::super::protect::{error_text, string, text, type_name};
use super::*;

impl Decoder<'_> {
    /// Pushes the module or field that the name says.
    pub(super) unsafe fn named(&mut self) -> Step {
        if !self.options.requires {
            if self.options.inert {
                // SAFETY: as below.
                return unsafe { self.inert_named() };
            }
            return self.fail(DecodeError::Refused("a C function or module"));
        }
        let lua = self.lua;
        // SAFETY: below `lua_pcall` with room; raw access but for `require`, which runs protected. The
        // name is kept reachable in slot `name` while slices of it are used.
        unsafe {
            self.push_counted()?;
            let name = lua_gettop(lua);
            // What a script has put in its place is something else. Others get no more than is in the tables.
            if self.options.identities && push_original(lua) {
                lua_replace(lua, name);
                return Ok(());
            }
            let bytes = string(lua, name);
            if let Some(own) = bytes.strip_prefix(b"llib\0") {
                if own == b"res" || own.starts_with(b"res\0") {
                    return self.own(name, 0);
                }
                if own == b"rej" {
                    return self.own(name, 1);
                }
            }
            self.part(name)?;
            lua_rotate(lua, name, 1);
            lua_settop(lua, name);
        }
        Ok(())
    }

    /// Pushes what the name in slot `name` stands for, and returns true if it is here; else leaves something on the stack. Nothing is
    /// said about why.
    pub(super) unsafe fn find_named(&mut self, name: c_int) -> bool {
        // SAFETY: as in `named`.
        let found = unsafe { self.part(name) }.is_ok();
        if !found {
            self.error = None;
        }
        found
    }

    /// Pushes the module, or the part of one, that the name in slot `name` says.
    unsafe fn part(&mut self, name: c_int) -> Step {
        let lua = self.lua;
        // SAFETY: as in `named`.
        unsafe {
            let bytes = string(lua, name);
            let module_len = memchr::memchr(0, bytes).unwrap_or(bytes.len());
            lua_pushlstring(lua, bytes.as_ptr().cast(), module_len);
            self.module(name)?;
            let mut at = module_len;
            while at < bytes.len() {
                let field = &bytes[at + 1..];
                let field = &field[..memchr::memchr(0, field).unwrap_or(field.len())];
                at += 1 + field.len();
                if lua_type(lua, -1) != LUA_TTABLE {
                    let reason = format!("it is a {} value, not a table", type_name(lua, lua_type(lua, -1)));
                    return self.not_found(name, reason);
                }
                lua_pushlstring(lua, field.as_ptr().cast(), field.len());
                if lua_rawget(lua, -2) == LUA_TNIL {
                    // Rarely, a module inherits its fields.
                    lua_settop(lua, -2);
                    if !self.inherited(field) {
                        let reason = format!("it has no field '{}'", String::from_utf8_lossy(field));
                        return self.not_found(name, reason);
                    }
                }
            }
        }
        Ok(())
    }

    /// Replaces the name, which is on top, by this job's `res` or `rej`, or a field of it. Outside of a job there is none: what
    /// arrives says what it was.
    unsafe fn own(&mut self, name: c_int, which: usize) -> Step {
        let lua = self.lua;
        // SAFETY: as in `named`.
        unsafe {
            push_own(lua, which);
            if let Some(field) = string(lua, name).strip_prefix(b"llib\0res\0")
                && lua_type(lua, -1) == LUA_TTABLE
            {
                lua_pushlstring(lua, field.as_ptr().cast(), field.len());
                lua_rawget(lua, -2);
            }
            if lua_type(lua, -1) == LUA_TNIL {
                lua_settop(lua, name);
                let bytes = &string(lua, name)[5..];
                lua_pushlstring(lua, bytes.as_ptr().cast(), bytes.len());
                self.push_inert(super::inert::OF_A_JOB, Some(name + 1))?;
            }
            lua_replace(lua, name);
            lua_settop(lua, name);
        }
        Ok(())
    }

    /// Replaces the module name on top by the module.
    unsafe fn module(&mut self, name: c_int) -> Step {
        let lua = self.lua;
        // SAFETY: as in `named`.
        unsafe {
            let module = lua_gettop(lua);
            push_loaded(lua);
            if lua_type(lua, -1) != LUA_TTABLE {
                return self.not_found(name, "there is no package.loaded".to_owned());
            }
            lua_pushvalue(lua, module);
            let kind = lua_rawget(lua, -2);
            if kind == LUA_TNIL || kind == LUA_TBOOLEAN {
                lua_settop(lua, module + 1);
                lua_pushlstring(lua, b"_G\0require".as_ptr().cast(), 10);
                if !(self.options.identities && push_original(lua)) {
                    push(lua, "_G");
                    if lua_rawget(lua, module + 1) != LUA_TTABLE {
                        return self.not_found(name, "there is no require".to_owned());
                    }
                    push(lua, "require");
                    lua_rawget(lua, -2);
                }
                lua_pushvalue(lua, module);
                if lua_pcall(lua, 1, 1, 0) != LUA_OK {
                    let reason = error_text(lua);
                    return self.not_found(name, reason);
                }
            }
            lua_replace(lua, module);
            lua_settop(lua, module);
        }
        Ok(())
    }

    /// Pushes a field of the table on top with its metamethods, in a protected call.
    unsafe fn inherited(&mut self, field: &[u8]) -> bool {
        unsafe extern "C-unwind" fn get(lua: *mut lua_State) -> c_int {
            // SAFETY: called with a table and a key.
            unsafe { lua_gettable(lua, 1) };
            1
        }
        let lua = self.lua;
        // SAFETY: as in `named`.
        unsafe {
            if lua_getmetatable(lua, -1) == 0 {
                return false;
            }
            lua_settop(lua, -2);
            lua_pushcfunction(lua, get);
            lua_pushvalue(lua, -2);
            lua_pushlstring(lua, field.as_ptr().cast(), field.len());
            lua_pcall(lua, 2, 1, 0) == LUA_OK && lua_type(lua, -1) != LUA_TNIL
        }
    }

    #[cold]
    unsafe fn not_found(&mut self, name: c_int, reason: String) -> Step {
        // SAFETY: slot `name` holds a string.
        let name = unsafe { text(self.lua, name) }.replace('\0', ".");
        self.fail(DecodeError::Named { name, reason })
    }
}
