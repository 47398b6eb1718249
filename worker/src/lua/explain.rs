//! The message handler of jobs, and what a failure says of an error.
//!
//! Lua gives the handler's result to others than the call that ends: to `__close`, to `load` whose reader raised. So the
//! handler returns the error as it is, and keeps the traceback beside it, in its own upvalues.

use std::ffi::c_int;

use llib_lua::call::{Outcome, bytes, push_description, push_text, type_name};
use llib_lua::ffi::*;
use llib_lua::lua_function;

/// Upvalues of the handler: the error that it saw last, and that one's traceback.
const SEEN: c_int = 1;
const TRACEBACK: c_int = 2;

/// Pushes a handler, for the calls of one job.
///
/// # Safety
/// `lua` is a valid state with three free stack slots, in a protected call.
pub(super) unsafe fn push(lua: *mut lua_State) {
    // SAFETY: as demanded.
    unsafe {
        lua_pushnil(lua);
        lua_pushnil(lua);
        lua_pushcclosure(lua, note, 2);
    }
}

lua_function!(pub(super) note => note_body);

unsafe fn note_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state with the error at index 1; `push` gave the function its upvalues.
    unsafe {
        lua_settop(lua, 1);
        luaL_traceback(lua, lua, std::ptr::null(), 1);
        lua_replace(lua, lua_upvalueindex(TRACEBACK));
        lua_pushvalue(lua, 1);
        lua_replace(lua, lua_upvalueindex(SEEN));
    }
    Ok(1)
}

/// Replaces the error on top of the stack by three values: its text, its traceback, or nil where the handler at the
/// absolute index `handler` did not see it, and the error itself.
///
/// # Safety
/// `lua` is a valid state with an error on top, in a protected call.
pub(super) unsafe fn unfold(lua: *mut lua_State, handler: c_int) {
    // SAFETY: as demanded; the stack is checked for what is pushed.
    unsafe {
        luaL_checkstack(lua, 12, std::ptr::null());
        let error = lua_gettop(lua);
        if was_nil(lua, error, handler) {
            lua_pushnil(lua);
            lua_replace(lua, error);
        }
        push_words(lua, error);
        lua_getupvalue(lua, handler, SEEN);
        let seen = lua_rawequal(lua, -1, error) != 0;
        lua_pop(lua, 1);
        if seen {
            lua_getupvalue(lua, handler, TRACEBACK);
        } else {
            lua_pushnil(lua);
        }
        // The next error may be equal, and come here without having been seen.
        for upvalue in [SEEN, TRACEBACK] {
            lua_pushnil(lua);
            lua_setupvalue(lua, handler, upvalue);
        }
        lua_pushvalue(lua, error);
        lua_remove(lua, error);
    }
}

/// Whether the text at `error` stands for a nil that the handler saw: Lua 5.5 puts one in the place of a nil once the handler is
/// through (`luaG_errormsg` of ldebug.c).
unsafe fn was_nil(lua: *mut lua_State, error: c_int, handler: c_int) -> bool {
    const IN_PLACE_OF_NIL: &[u8] = b"<no error object>";
    // SAFETY: as for `unfold`; balanced.
    unsafe {
        if bytes(lua, error) != Some(IN_PLACE_OF_NIL) {
            return false;
        }
        lua_getupvalue(lua, handler, SEEN);
        lua_getupvalue(lua, handler, TRACEBACK);
        let nil_seen = lua_type(lua, -2) == LUA_TNIL && lua_type(lua, -1) != LUA_TNIL;
        lua_pop(lua, 2);
        nil_seen
    }
}

/// Pushes the text of an error.
unsafe fn push_words(lua: *mut lua_State, error: c_int) {
    // SAFETY: the caller's state with free slots.
    unsafe {
        let has_text = lua_isstring(lua, error) != 0 || {
            let found = luaL_getmetafield(lua, error, c"__tostring".as_ptr()) != LUA_TNIL;
            lua_settop(lua, error);
            found
        };
        if has_text {
            push_description(lua, error);
        } else {
            let kind = type_name(lua, error);
            push_text(lua, &format!("(error object is a {kind} value)"));
        }
    }
}
