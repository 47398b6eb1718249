//! Calls a chunk in protected mode with a traceback, and reports what it raised.

use std::ffi::{CStr, c_int};

use llib_lua::ffi::{self, lua_State};

use super::{interrupt, stdio};

/// Turns the error value into the text that is reported: its string and a traceback, or what its
/// `__tostring` says, alone.
unsafe extern "C-unwind" fn describe(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls a message handler with the error value as its one argument and LUA_MINSTACK slots
    // free. Strings stay alive while they are on the stack, from which nothing is removed. Errors that
    // these calls raise leave by longjmp; this frame owns nothing.
    unsafe {
        let mut text = ffi::lua_tostring(state, 1);
        if text.is_null() {
            if ffi::luaL_callmeta(state, 1, c"__tostring".as_ptr()) != 0
                && ffi::lua_type(state, -1) == ffi::LUA_TSTRING
            {
                return 1;
            }
            let kind = ffi::luaL_typename(state, 1);
            text = ffi::lua_pushfstring(state, c"(error object is a %s value)".as_ptr(), kind);
        }
        ffi::luaL_traceback(state, state, text, 1);
    }
    1
}

/// Calls the function below the `arguments` topmost values. SIGINT interrupts it.
///
/// # Safety
///
/// `state` is open, its stack holds the function and its arguments and has a slot free.
pub(super) unsafe fn call(state: *mut lua_State, arguments: c_int, results: c_int) -> c_int {
    // SAFETY: the handler goes under the function, whose index the caller's promise makes valid, and is
    // removed from there. The state stays open until `disarm`, since errors end in `lua_pcall`.
    unsafe {
        let handler = ffi::lua_gettop(state) - arguments;
        ffi::lua_pushcfunction(state, describe);
        ffi::lua_insert(state, handler);
        interrupt::arm(state);
        let status = ffi::lua_pcall(state, arguments, results, handler);
        interrupt::disarm();
        ffi::lua_remove(state, handler);
        status
    }
}

/// Writes the error on top of the stack to standard error and pops it. Does nothing for `LUA_OK`.
///
/// # Safety
///
/// `state` is open; unless `status` is `LUA_OK` an error value is on top of its stack.
pub(super) unsafe fn report(state: *mut lua_State, status: c_int, program: &CStr) -> c_int {
    if status != ffi::LUA_OK {
        // SAFETY: there is a value at the top, by the caller's promise. A string that Lua returns is
        // NUL-terminated and lives as long as it is on the stack: it is popped after its last use.
        unsafe {
            let text = ffi::lua_tostring(state, -1);
            let text = if text.is_null() { c"(error message not a string)" } else { CStr::from_ptr(text) };
            stdio::message(program, text);
            ffi::lua_pop(state, 1);
        }
    }
    status
}
