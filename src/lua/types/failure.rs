//! Failures as scripts see them: the second result of an `await` that has no values.

use std::ffi::c_int;

use crate::ffi::*;

use crate::call::{Outcome, Raise, bytes, push_bytes, push_text};
use crate::lua_function;
use llib_core::sys::process::Usage;
use llib_core::wire::kind::Kind;

/// The metatable's name in the registry; errors travel between processes under it.
pub const FAILURE: &std::ffi::CStr = c"llib.failure";

/// Registry key of the failures that were made in this state, a table with weak keys.
const MADE: &std::ffi::CStr = c"llib.failures";

/// Registers the metatable.
///
/// # Safety
/// `lua` is a valid state with four free stack slots, in a protected call.
pub unsafe fn register(lua: *mut lua_State) {
    // SAFETY: as demanded; balanced.
    unsafe {
        if luaL_newmetatable(lua, FAILURE.as_ptr()) != 0 {
            lua_pushcfunction(lua, to_string);
            lua_setfield(lua, -2, c"__tostring".as_ptr());
        }
        if luaL_getsubtable(lua, LUA_REGISTRYINDEX, MADE.as_ptr()) == 0 {
            lua_createtable(lua, 0, 1);
            push_text(lua, "k");
            lua_setfield(lua, -2, c"__mode".as_ptr());
            lua_setmetatable(lua, -2);
        }
        lua_pop(lua, 2);
    }
}

/// Pushes a failure that has just a kind and a message.
///
/// # Safety
/// `lua` is a valid state with five free stack slots.
pub unsafe fn push(lua: *mut lua_State, kind: Kind, message: &str) {
    // SAFETY: as demanded.
    unsafe {
        lua_createtable(lua, 0, 6);
        set_text(lua, c"kind", kind.name());
        set_text(lua, c"message", message);
        luaL_getmetatable(lua, FAILURE.as_ptr());
        lua_setmetatable(lua, -2);
        lua_getfield(lua, LUA_REGISTRYINDEX, MADE.as_ptr());
        lua_pushvalue(lua, -2);
        lua_pushboolean(lua, 1);
        lua_rawset(lua, -3);
        lua_pop(lua, 1);
    }
}

/// `llib.failure(x)`: whether `x` is a failure that llib has made in this state. One that came as a value, from a job for
/// instance, is none, whatever it looks like.
///
/// # Safety
/// Called by Lua.
pub unsafe fn is_failure(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state, with the usual free slots; raw access runs no metamethod.
    unsafe {
        if lua_type(lua, 1) == LUA_TNONE {
            return Err(Raise::Argument(1, "value expected".to_owned()));
        }
        lua_getfield(lua, LUA_REGISTRYINDEX, MADE.as_ptr());
        let made = lua_type(lua, 1) == LUA_TTABLE && {
            lua_pushvalue(lua, 1);
            lua_rawget(lua, -2) == LUA_TBOOLEAN
        };
        lua_pushboolean(lua, c_int::from(made));
    }
    Ok(1)
}

/// Sets a text field of the failure on top.
///
/// # Safety
/// A failure is on top of the stack of `lua`, with a free slot.
pub unsafe fn set_text(lua: *mut lua_State, key: &std::ffi::CStr, text: &str) {
    // SAFETY: as demanded. A failure's metatable has no `__newindex`.
    unsafe {
        push_text(lua, text);
        lua_setfield(lua, -2, key.as_ptr());
    }
}

/// Sets an integer field of the failure on top.
///
/// # Safety
/// A failure is on top of the stack of `lua`, with a free slot.
pub unsafe fn set_integer(lua: *mut lua_State, key: &std::ffi::CStr, value: i64) {
    // SAFETY: as demanded.
    unsafe {
        lua_pushinteger(lua, value);
        lua_setfield(lua, -2, key.as_ptr());
    }
}

/// Sets a number field of the table on top.
///
/// # Safety
/// As for [`set_integer`].
pub unsafe fn set_number(lua: *mut lua_State, key: &std::ffi::CStr, value: f64) {
    // SAFETY: as demanded.
    unsafe {
        lua_pushnumber(lua, value);
        lua_setfield(lua, -2, key.as_ptr());
    }
}

/// Pushes a usage table: `wall`, and where they are known `user` and `system` in milliseconds, `maxrss` in bytes.
///
/// # Safety
/// `lua` is a valid state with three free stack slots.
pub unsafe fn push_usage(lua: *mut lua_State, wall: std::time::Duration, usage: Option<Usage>) {
    // SAFETY: as demanded.
    unsafe {
        lua_createtable(lua, 0, 4);
        set_number(lua, c"wall", wall.as_secs_f64() * 1000.0);
        if let Some(usage) = usage {
            set_number(lua, c"user", usage.user as f64 / 1000.0);
            set_number(lua, c"system", usage.system as f64 / 1000.0);
            set_integer(lua, c"maxrss", (usage.max_rss * 1024).cast_signed());
        }
    }
}

/// Sets `output` of the failure on top, where anything was captured.
///
/// # Safety
/// A failure is on top of the stack of `lua`, with three free slots.
pub unsafe fn set_output(lua: *mut lua_State, stdout: Option<&[u8]>, stderr: Option<&[u8]>) {
    if stdout.is_none() && stderr.is_none() {
        return;
    }
    // SAFETY: as demanded.
    unsafe {
        lua_createtable(lua, 0, 2);
        for (key, text) in [(c"stdout", stdout), (c"stderr", stderr)] {
            if let Some(text) = text {
                push_bytes(lua, text);
                lua_setfield(lua, -2, key.as_ptr());
            }
        }
        lua_setfield(lua, -2, c"output".as_ptr());
    }
}

lua_function!(to_string => to_string_body);

/// `kind: message`
///
/// # Safety
/// Called by Lua.
unsafe fn to_string_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state, with the usual free slots; raw access runs no metamethod.
    unsafe {
        let mut parts = Vec::new();
        if lua_type(lua, 1) == LUA_TTABLE {
            for key in ["kind", "message"] {
                push_text(lua, key);
                lua_rawget(lua, 1);
                if let Some(part) = bytes(lua, -1) {
                    parts.push(part.to_vec());
                }
                lua_pop(lua, 1);
            }
        }
        push_bytes(lua, &parts.join(&b": "[..]));
    }
    Ok(1 as c_int)
}
