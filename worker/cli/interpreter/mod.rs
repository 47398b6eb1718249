//! The Lua state of the command and everything that touches it: the one room here that speaks Lua's C API.
//!
//! Lua reports errors by `longjmp`, which skips Rust frames without running destructors. So no function
//! below that Lua can jump across owns anything: what has to be owned (arguments, paths) is made before
//! the state and borrowed, and lives in frames under the outermost protected call. Nor may a panic enter
//! Lua's frames: functions that Lua calls index nothing and unwrap nothing.
#![allow(unsafe_code)]

mod call;
mod embedded;
mod interrupt;
mod libraries;
mod script;
mod stdio;

pub(crate) use embedded::{TaskDescriptor, with_state};

use std::ffi::{CStr, c_int};
use std::ptr;

use llib_lua::ffi::{self, lua_State};
use llib_lua::version::{self, collector};

use crate::arguments::{self, Invocation};
use crate::environment::Environment;

/// What the protected main function borrows.
struct Session<'a> {
    program: &'a CStr,
    invocation: &'a Invocation,
    environment: &'a Environment,
}

/// Runs one invocation in a new Lua state and closes it. Returns the exit status.
pub(crate) fn run(invocation: &Invocation, environment: &Environment) -> c_int {
    let program = arguments::program(&invocation.argv);
    let session = Session { program, invocation, environment };
    // SAFETY: no precondition. A null result is handled below.
    let state = unsafe { ffi::luaL_newstate() };
    if state.is_null() {
        stdio::message(program, c"cannot create state: not enough memory");
        return libc::EXIT_FAILURE;
    }
    // SAFETY: `state` is a fresh state that this function owns: the calls outside of `lua_pcall` cannot
    // raise, and its stack holds the one function, its argument and its result. `session` outlives the
    // call that gets its address. `state` is closed last and not used again.
    unsafe {
        // The collector is stopped until the libraries are in place; `main` restarts it.
        collector::stop(state);
        ffi::lua_pushcfunction(state, main);
        ffi::lua_pushlightuserdata(state, ptr::from_ref(&session).cast_mut().cast());
        let status = ffi::lua_pcall(state, 1, 1, 0);
        let completed = ffi::lua_toboolean(state, -1) != 0;
        call::report(state, status, program);
        ffi::lua_close(state);
        if completed && status == ffi::LUA_OK { libc::EXIT_SUCCESS } else { libc::EXIT_FAILURE }
    }
}

/// The whole run, in protected mode: `session -> true`, or nothing when a chunk failed, which has then
/// been reported.
unsafe extern "C-unwind" fn main(state: *mut lua_State) -> c_int {
    // SAFETY: only `run` calls this, with the address of a `Session` that outlives the call. It is
    // shared, and this frame owns nothing.
    let session = unsafe { &*ffi::lua_touserdata(state, 1).cast::<Session>() };
    // SAFETY: `state` is the running state, in a protected call, with LUA_MINSTACK slots free; each
    // function leaves the stack as it found it.
    unsafe {
        let ignore_environment = session.invocation.ignore_environment;
        libraries::open(state, ignore_environment, &session.environment.search);
        if version::ARG_COMES_FIRST {
            script::create_arg(state, session.invocation);
        }
        collector::restart(state);
        collector::usual_mode(state);
        if script::run_all(state, session) != ffi::LUA_OK {
            return 0;
        }
        ffi::lua_pushboolean(state, 1);
    }
    1
}

/// The line that stock Lua prints as its version, from the Lua that is linked in.
pub(crate) fn version_line() -> Vec<u8> {
    let ident = version::state::ident();
    // "$LuaVersion: Lua 5.4.0  Copyright (C) … $$LuaAuthors: … $", and "$Lua: " in Lua 5.1
    let start = ident.iter().position(|byte| *byte == b' ').map_or(0, |space| space + 1);
    let line = ident[start..].split(|byte| *byte == b'$').next();
    let mut line = line.unwrap_or_default().trim_ascii_end().to_vec();
    line.push(b'\n');
    line
}
