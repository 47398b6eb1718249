//! The chunks of one run, in order: `LUA_INIT`, the options' code, the script.

use std::ffi::{CStr, c_int};
use std::ptr;

use llib_lua::ffi::{self, lua_State};
use llib_lua::version;

use super::{Session, call};
use crate::arguments::{Chunk, Invocation, Step};
use crate::environment::Init;

/// Sets the global `arg`: the script at 0, its arguments after it, all that came before it below 0.
///
/// # Safety
///
/// `state` is open, in a protected call, with LUA_MINSTACK slots free.
pub(super) unsafe fn create_arg(state: *mut lua_State, invocation: &Invocation) {
    let base = c_int::try_from(invocation.base).unwrap_or(0);
    let after = c_int::try_from(invocation.argv.len()).unwrap_or(0).saturating_sub(base + 1).max(0);
    // SAFETY: the table stays at index -2 of the value that is stored in it, and is popped as the
    // global's value. Lua copies the strings. Errors leave by longjmp; this frame owns nothing.
    unsafe {
        ffi::lua_createtable(state, after, base + 1);
        for (argument, index) in invocation.argv.iter().zip(-i64::from(base)..) {
            ffi::lua_pushstring(state, argument.as_ptr());
            ffi::lua_rawseti(state, -2, index);
        }
        ffi::lua_setglobal(state, c"arg".as_ptr());
    }
}

/// Runs everything, up to the first failure, which is reported. Returns its status.
///
/// # Safety
///
/// `state` is open, in a protected call, with LUA_MINSTACK slots free and the libraries in place.
pub(super) unsafe fn run_all(state: *mut lua_State, session: &Session<'_>) -> c_int {
    // SAFETY: the caller's promise is the one that each of these functions asks for, and each leaves the
    // stack as it was unless it fails.
    unsafe {
        let mut status = match &session.environment.init {
            None => ffi::LUA_OK,
            Some(Init::File(name)) => chunk(state, session, load_file(state, Some(name))),
            Some(Init::Code { code, name }) => chunk(state, session, load_text(state, code, name)),
        };
        for step in &session.invocation.steps {
            if status != ffi::LUA_OK {
                return status;
            }
            status = match step {
                Step::Execute(code) => chunk(state, session, load_text(state, code, c"=(command line)")),
                Step::Require { global, module } => library(state, session, global, module),
                Step::WarningsOn => {
                    ffi::lua_warning(state, c"@on".as_ptr(), 0);
                    ffi::LUA_OK
                }
            };
        }
        if status == ffi::LUA_OK { main_chunk(state, session) } else { status }
    }
}

/// Runs the script, or standard input in its place.
///
/// # Safety
///
/// As for [`run_all`].
unsafe fn main_chunk(state: *mut lua_State, session: &Session<'_>) -> c_int {
    let invocation = session.invocation;
    // SAFETY: see `run_all`. A loaded function is on top of the stack when its arguments are pushed.
    unsafe {
        if !version::ARG_COMES_FIRST && matches!(invocation.chunk, Chunk::Stdin | Chunk::File) {
            create_arg(state, invocation);
        }
        let loaded = match invocation.chunk {
            Chunk::None => return ffi::LUA_OK,
            Chunk::BareStdin => return chunk(state, session, load_file(state, None)),
            Chunk::Stdin => load_file(state, None),
            Chunk::File => load_file(state, invocation.argv.get(invocation.base).map(|name| name.as_c_str())),
        };
        let status = match loaded {
            ffi::LUA_OK => {
                let count = push_arguments(state);
                call::call(state, count, ffi::LUA_MULTRET)
            }
            failed => failed,
        };
        call::report(state, status, session.program)
    }
}

/// Calls the loaded chunk without arguments and reports an error, also one of loading.
///
/// # Safety
///
/// As for [`run_all`], and the chunk or, unless `loaded` is `LUA_OK`, an error value is on top.
unsafe fn chunk(state: *mut lua_State, session: &Session<'_>, loaded: c_int) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        let status = if loaded == ffi::LUA_OK { call::call(state, 0, 0) } else { loaded };
        call::report(state, status, session.program)
    }
}

/// `global = require(module)`
///
/// # Safety
///
/// As for [`run_all`].
unsafe fn library(state: *mut lua_State, session: &Session<'_>, global: &CStr, module: &CStr) -> c_int {
    // SAFETY: function and argument are on the stack for the call, its one result for `lua_setglobal`.
    unsafe {
        ffi::lua_getglobal(state, c"require".as_ptr());
        ffi::lua_pushstring(state, module.as_ptr());
        let status = call::call(state, 1, 1);
        if status == ffi::LUA_OK {
            ffi::lua_setglobal(state, global.as_ptr());
        }
        call::report(state, status, session.program)
    }
}

/// Pushes the compiled file, or the error. `None` is standard input.
///
/// # Safety
///
/// As for [`run_all`].
unsafe fn load_file(state: *mut lua_State, name: Option<&CStr>) -> c_int {
    // SAFETY: the name is null or NUL-terminated; a slot is free for the result.
    unsafe { ffi::luaL_loadfile(state, name.map_or(ptr::null(), CStr::as_ptr)) }
}

/// Pushes the compiled text, or the error.
///
/// # Safety
///
/// As for [`run_all`].
unsafe fn load_text(state: *mut lua_State, code: &CStr, name: &CStr) -> c_int {
    // SAFETY: pointer and length are of one string; the name is NUL-terminated; a slot is free.
    unsafe { ffi::luaL_loadbuffer(state, code.as_ptr(), code.count_bytes(), name.as_ptr()) }
}

/// Pushes `arg[1]`, `arg[2]`, … and returns their number. Code that ran before may have changed them.
///
/// # Safety
///
/// As for [`run_all`].
unsafe fn push_arguments(state: *mut lua_State) -> c_int {
    // SAFETY: stack room is asked for before the values are pushed: the arguments, the table below them
    // and what `call` needs. The table's index is absolute, so it stays right. Errors leave by longjmp;
    // this frame owns nothing.
    unsafe {
        if ffi::lua_getglobal(state, c"arg".as_ptr()) != ffi::LUA_TTABLE {
            ffi::luaL_error(state, c"'arg' is not a table".as_ptr());
        }
        let table = ffi::lua_gettop(state);
        let count = c_int::try_from(ffi::luaL_len(state, -1)).unwrap_or(c_int::MAX - 3).max(0);
        ffi::luaL_checkstack(state, count.saturating_add(3), c"too many arguments to script".as_ptr());
        for index in 1..=count {
            ffi::lua_rawgeti(state, table, ffi::lua_Integer::from(index));
        }
        ffi::lua_remove(state, table);
        count
    }
}
