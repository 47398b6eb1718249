//! What arrives in the place of things that a hostile sender must not give: a table that says what it was and can be
//! held, compared, printed and sent on, but does nothing.

use crate::ffi::*;

use super::super::names::push;
use super::super::protect::{string, text};
use super::*;
use crate::call::{Outcome, Raise, bytes, push_bytes, set_functions};
use crate::lua_function;

/// The metatable's name in the registry.
const INERT: &std::ffi::CStr = c"llib.inert";

/// Registers the metatable.
///
/// # Safety
/// `lua` is a valid state with three free stack slots, in a protected call.
pub unsafe fn register_inert(lua: *mut lua_State) {
    // SAFETY: as demanded; balanced.
    unsafe {
        if luaL_newmetatable(lua, INERT.as_ptr()) != 0 {
            set_functions(lua, &[(c"__tostring", to_string), (c"__call", call)]);
        }
        lua_settop(lua, -2);
    }
}

lua_function!(to_string => to_string_body);
lua_function!(call => call_body);

/// # Safety
/// Called by Lua.
unsafe fn to_string_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state.
    unsafe {
        let text = describe(lua);
        push_bytes(lua, text.as_bytes());
    }
    Ok(1)
}

/// # Safety
/// Called by Lua.
unsafe fn call_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state.
    let text = unsafe { describe(lua) };
    Err(Raise::Message(format!(
        "{text} cannot be called (the option functions = true takes functions as code)"
    )))
}

/// `inert function from a sandboxed job`, for the object at index 1. Its fields are whatever somebody put there.
unsafe fn describe(lua: *mut lua_State) -> String {
    // SAFETY: the caller's state with free slots; raw access.
    unsafe {
        let mut parts = vec!["inert".to_owned()];
        for key in ["kind", "name"] {
            if lua_type(lua, 1) == LUA_TTABLE {
                push(lua, key);
                lua_rawget(lua, 1);
                parts.extend(bytes(lua, -1).map(|part| String::from_utf8_lossy(part).into_owned()));
                lua_settop(lua, -2);
            }
        }
        parts.push("from a sandboxed job".to_owned());
        parts.join(" ")
    }
}

impl Decoder<'_> {
    /// Pushes an object without use; `name` is a stack slot with a string.
    pub(super) unsafe fn push_inert(&mut self, kind: &'static str, name: Option<c_int>) -> Step {
        self.spend(A_TABLE + 2 * A_GROWING_PAIR)?;
        let lua = self.lua;
        // SAFETY: below `lua_pcall` with room; raw access.
        unsafe {
            lua_createtable(lua, 0, 2);
            push(lua, "kind");
            push(lua, kind);
            lua_rawset(lua, -3);
            if let Some(name) = name {
                push(lua, "name");
                lua_pushvalue(lua, name);
                lua_rawset(lua, -3);
            }
            push(lua, "llib.inert");
            lua_rawget(lua, LUA_REGISTRYINDEX);
            if lua_type(lua, -1) == LUA_TTABLE {
                lua_setmetatable(lua, -2);
            } else {
                lua_settop(lua, -2);
            }
        }
        Ok(())
    }

    /// Reads what names a module or a field of one.
    pub(super) unsafe fn inert_named(&mut self) -> Step {
        let lua = self.lua;
        // SAFETY: below `lua_pcall` with room. Of the name a printable copy is made; the string stays reachable
        // meanwhile.
        unsafe {
            self.push_counted()?;
            let name = lua_gettop(lua);
            let is_field = memchr::memchr(0, string(lua, name)).is_some();
            {
                let shown = text(lua, name).replace('\0', ".");
                let shown = shown.strip_prefix("_G.").unwrap_or(&shown);
                lua_pushlstring(lua, shown.as_ptr().cast(), shown.len());
            }
            lua_replace(lua, name);
            self.push_inert(if is_field { "C function" } else { "module" }, Some(name))?;
            lua_replace(lua, name);
        }
        Ok(())
    }

    /// Reads a function's code without looking at it; its upvalues follow and are dropped one by one.
    pub(super) unsafe fn inert_function(&mut self, tag: u8, shared: bool, offset: usize) -> Step<bool> {
        if tag == CODE {
            let read = self.cursor.counted();
            self.read(read)?;
        } else {
            let read = self.cursor.varint();
            self.read(read)?;
        }
        // SAFETY: below `lua_pcall` with room.
        unsafe {
            self.push_inert("function", None)?;
            if shared {
                self.record(offset)?;
            }
            self.open(Frame::Upvalues { index: 0 })?;
        }
        Ok(true)
    }

    /// Reads which variable a function without use would share.
    pub(super) fn skip_cell(&mut self) -> Step {
        let read = self.cursor.varint();
        self.read(read)?;
        let read = self.cursor.byte();
        self.read(read)?;
        Ok(())
    }
}
