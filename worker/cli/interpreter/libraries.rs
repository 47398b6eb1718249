//! What a script finds in its state: Lua's libraries, the search paths, llib itself.

use llib_lua::ffi::{self, lua_CFunction, lua_State};
use llib_lua::version;

use crate::search_path::SearchPath;

/// The opener of `require "llib"`.
const OPEN_LLIB: lua_CFunction = llib::luaopen_llib;

/// Opens the libraries; with `ignore_environment` without Lua's variables. Leaves the stack as it was.
///
/// # Safety
///
/// `state` is open, in a protected call, with LUA_MINSTACK slots free.
pub(super) unsafe fn open(state: *mut lua_State, ignore_environment: bool, search: &SearchPath) {
    // SAFETY: the stack holds each value that is stored, and every push is undone before the end. Lua
    // copies the strings that it is given with their length. Errors leave by longjmp; this frame owns
    // nothing.
    unsafe {
        if ignore_environment {
            // The package library looks for this entry of the registry.
            ffi::lua_pushboolean(state, 1);
            ffi::lua_setfield(state, ffi::LUA_REGISTRYINDEX, c"LUA_NOENV".as_ptr());
        }
        ffi::luaL_openlibs(state);

        ffi::lua_getglobal(state, c"package".as_ptr());
        ffi::lua_pushlstring(state, search.lua.as_ptr().cast(), search.lua.len());
        ffi::lua_setfield(state, -2, c"path".as_ptr());
        ffi::lua_pushlstring(state, search.c.as_ptr().cast(), search.c.len());
        ffi::lua_setfield(state, -2, c"cpath".as_ptr());
        ffi::lua_pop(state, 1);

        version::state::push_preload(state);
        ffi::lua_pushcfunction(state, OPEN_LLIB);
        ffi::lua_setfield(state, -2, c"llib".as_ptr());
        ffi::lua_pop(state, 1);
    }
}
