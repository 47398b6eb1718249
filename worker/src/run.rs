//! Running a job: the only file here that runs Lua code.

#![allow(unsafe_code)]

use std::ffi::{CStr, c_int};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::Ordering;

use llib::dispatch::Payload;
use llib::lua::call::{Outcome, Raise, push_bytes, push_text};
use llib::lua::convert::{
    DecodeOptions, EncodeOptions, GlobalMode, NoHandles, Roots, Source, decode, encode,
};
use llib::lua::{api, hooks};
use llib::lua_function;
use llib::wire::kind::Kind;
use llib::wire::settings::{Settings, Stdio};
use mlua::ffi::*;

use crate::job::{self, Job};
use crate::{child, reply, sys};

/// Code of a reply with values; failures have `Kind::reply_code`.
const VALUES: u32 = 1;

/// Header of this program's precompiled chunks.
pub(crate) fn bytecode(lua: *mut lua_State) -> Vec<u8> {
    // SAFETY: the zygote's own state, idle.
    unsafe { api::bytecode(lua) }
}

/// The state that every worker starts with, and a job to rehearse.
pub(crate) fn prepare() -> Result<(*mut lua_State, Vec<u8>), String> {
    // SAFETY: a fresh state; everything that can fail in it runs below lua_pcall.
    unsafe {
        let lua = luaL_newstate();
        if lua.is_null() {
            return Err("not enough memory for a Lua state".to_owned());
        }
        lua_pushcfunction(lua, open_libraries);
        if lua_pcall(lua, 0, 1, 0) != LUA_OK {
            return Err("failed to open the Lua libraries".to_owned());
        }
        let options = EncodeOptions { globals: GlobalMode::None, ..EncodeOptions::default() };
        let settings = Settings { name: "worker".to_owned(), ..Settings::default() }.to_bytes();
        let rehearsal = encode(lua, 1, 1, &options, &mut NoHandles, |message| {
            let mut bytes = settings.clone();
            bytes.resize(settings.len() + Payload::len(message), 0);
            Payload::write_to(message, &mut bytes[settings.len()..]);
            bytes
        });
        lua_settop(lua, 0);
        // What is garbage now would be copied into every worker that collects it.
        lua_gc(lua, LUA_GCCOLLECT, 0);
        hooks::on_pause(close_if_asked);
        rehearsal.map(|bytes| (lua, bytes)).map_err(|error| error.to_string())
    }
}

lua_function!(open_libraries => open_libraries_body);

unsafe fn open_libraries_body(lua: *mut lua_State) -> Outcome {
    // Something of everything that a usual job holds.
    const REHEARSAL: &CStr = c"return function(...) local t = {1, 2.5, 'text', name = {...}} \
        local s = tostring(t.name) .. string.format('%d', #t) return select('#', ...), t, s:upper() end";
    // SAFETY: Lua's state below lua_pcall.
    unsafe {
        luaL_openlibs(lua);
        luaL_requiref(lua, c"llib".as_ptr(), llib::luaopen_llib, 0);
        lua_pop(lua, 1);
        lua_gc(lua, LUA_GCGEN, 0, 0);
        if luaL_loadstring(lua, REHEARSAL.as_ptr()) != LUA_OK {
            return Err(Raise::Object);
        }
        lua_call(lua, 0, 1);
    }
    Ok(1)
}

/// Gives this process random numbers of its own: forked states would all draw the same.
pub(crate) fn reseed(lua: *mut lua_State) {
    let mut bytes = [0; 16];
    if rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).is_err() {
        bytes[..4].copy_from_slice(&std::process::id().to_ne_bytes());
    }
    let half = |at: usize| lua_Integer::from_ne_bytes(std::array::from_fn(|i| bytes[at + i]));
    // SAFETY: the worker's state, idle; nothing of a job has run, so `math` is the library.
    unsafe {
        lua_getglobal(lua, c"math".as_ptr());
        lua_getfield(lua, -1, c"randomseed".as_ptr());
        lua_pushinteger(lua, half(0));
        lua_pushinteger(lua, half(8));
        lua_pcall(lua, 2, 0, 0);
        lua_settop(lua, 0);
    }
}

/// Runs the current job all the way to its reply, which stays unsent. A forked process gets each page anew when it first
/// touches it; this way the pages that a job touches are there before one comes.
pub(crate) fn rehearse(lua: *mut lua_State) {
    // SAFETY: the worker's state, idle.
    unsafe {
        lua_pushcfunction(lua, job_main);
        // An exercise that fails only leaves more for the job itself to do.
        lua_pcall(lua, 0, 0, 0);
        lua_settop(lua, 0);
    }
}

fn results() -> EncodeOptions<'static> {
    EncodeOptions { roots: Roots::Results, globals: GlobalMode::None, ..EncodeOptions::default() }
}

/// Runs the job. The process ends here, by itself or by a signal.
pub(crate) fn job(lua: *mut lua_State, job: &'static Job) -> ! {
    apply_settings(job);
    // SAFETY: the worker's state, idle. Errors inside end up here as a status.
    unsafe {
        lua_settop(lua, 0);
        lua_pushcfunction(lua, job_main);
        if lua_pcall(lua, 0, 0, 0) != LUA_OK {
            // Only what the job's own handler could not take: no memory even for an error.
            let text = llib::lua::call::bytes(lua, -1).map(<[u8]>::to_vec);
            lua_settop(lua, 0);
            push_bytes(lua, &text.unwrap_or_else(|| b"error in error handling".to_vec()));
            finish(lua, 1, 1, code(Kind::Error));
        }
        finish(lua, 1, 0, VALUES)
    }
}

fn code(kind: Kind) -> u32 {
    kind.reply_code().unwrap_or(VALUES)
}

fn apply_settings(job: &Job) {
    let settings = &job.settings;
    child::set_title(&format!("llib:{}", settings.name));
    if let Some(directory) = &settings.directory {
        // One that is gone is gone for the host as well; relative names fail there and here.
        let _ = std::env::set_current_dir(std::ffi::OsStr::from_bytes(directory));
    }
    if settings.nice > 0 {
        sys::renice(settings.nice);
    }
    for (stdio, target) in [(settings.stdout, libc::STDOUT_FILENO), (settings.stderr, libc::STDERR_FILENO)] {
        if stdio == Stdio::Null {
            sys::silence(target);
        }
    }
}

lua_function!(job_main => job_main_body);

unsafe fn job_main_body(lua: *mut lua_State) -> Outcome {
    let Some(job) = job::current() else { return Ok(0) };
    // SAFETY: Lua's state below lua_pcall; the job's values stay mapped while they are decoded.
    unsafe {
        set_search_paths(lua, job);
        lua_pushcfunction(lua, explain);
        push_res(lua, job);
        lua_pushcfunction(lua, rej);
        lua_pushvalue(lua, -1);
        lua_setglobal(lua, c"rej".as_ptr());
        lua_pushvalue(lua, -2);
        lua_setglobal(lua, c"res".as_ptr());
        lua_pushvalue(lua, -2);
        api::set_self(lua);
        // The stack: 1 handler, 2 res, 3 rej, 4 function, 5… arguments.
        let decoded = job.take_values(|start, len| {
            decode(lua, Source::new(start, len), &DecodeOptions::TRUSTED, &mut NoHandles)
        });
        if let Err(error) = decoded {
            lua_settop(lua, 0);
            push_text(lua, &format!("the job could not be received: {error}"));
            finish(lua, 1, 1, code(Kind::Error));
        }
        lua_pushvalue(lua, 4);
        lua_remove(lua, 4);
        lua_insert(lua, 2);
        // The stack: 1 handler, 2 function, 3 res, 4 rej, 5… arguments.
        let arguments = lua_gettop(lua) - 2;
        if lua_pcall(lua, arguments, LUA_MULTRET, 1) == LUA_OK {
            let count = lua_gettop(lua) - 1;
            if job.rehearsal {
                sys::flush_streams();
                // Not sent; what cannot be copied fails again when it matters.
                let _ = send(lua, job, 2, count, VALUES);
                return Ok(0);
            }
            finish(lua, 2, count, VALUES);
        }
        fail(lua)
    }
}

unsafe fn set_search_paths(lua: *mut lua_State, job: &Job) {
    // SAFETY: Lua's state; nothing of a job has run, so `package` is the library.
    unsafe {
        lua_getglobal(lua, c"package".as_ptr());
        for (field, value) in [(c"path", &job.settings.path), (c"cpath", &job.settings.cpath)] {
            if let Some(value) = value {
                push_bytes(lua, value);
                lua_setfield(lua, -2, field.as_ptr());
            }
        }
        lua_pop(lua, 1);
    }
}

/// Pushes `res`: callable, and the job's info.
unsafe fn push_res(lua: *mut lua_State, job: &Job) {
    // SAFETY: Lua's state below lua_pcall, with free slots.
    unsafe {
        lua_createtable(lua, 0, 5);
        lua_pushinteger(lua, lua_Integer::from(std::process::id()));
        lua_setfield(lua, -2, c"pid".as_ptr());
        lua_pushinteger(lua, job.id().cast_signed());
        lua_setfield(lua, -2, c"id".as_ptr());
        push_text(lua, &job.settings.name);
        lua_setfield(lua, -2, c"name".as_ptr());
        lua_pushcfunction(lua, testclose);
        lua_setfield(lua, -2, c"testclose".as_ptr());
        lua_pushcfunction(lua, autoclose);
        lua_setfield(lua, -2, c"autoclose".as_ptr());
        lua_createtable(lua, 0, 2);
        lua_pushcfunction(lua, res);
        lua_setfield(lua, -2, c"__call".as_ptr());
        push_text(lua, "llib.res");
        lua_setfield(lua, -2, c"__name".as_ptr());
        lua_setmetatable(lua, -2);
    }
}

lua_function!(res => res_body);
lua_function!(rej => rej_body);
lua_function!(testclose => testclose_body);
lua_function!(autoclose => autoclose_body);
lua_function!(explain => explain_body);

unsafe fn res_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state; index 1 is `res` itself.
    unsafe { finish(lua, 2, lua_gettop(lua) - 1, VALUES) }
}

unsafe fn rej_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state. `__tostring` of the first value may raise; that is the job's own error.
    unsafe {
        let count = lua_gettop(lua);
        luaL_checkstack(lua, 8, c"too many values".as_ptr());
        if count == 0 {
            push_text(lua, "rejected without a reason");
        } else {
            luaL_tolstring(lua, 1, std::ptr::null_mut());
        }
        lua_pushnil(lua);
        lua_rotate(lua, 1, 2);
        finish_failure(lua, count, code(Kind::Rejected))
    }
}

unsafe fn testclose_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state.
    unsafe {
        close_if_asked(lua);
        lua_pushboolean(lua, 0);
    }
    Ok(1)
}

unsafe fn autoclose_body(lua: *mut lua_State) -> Outcome {
    /// Instructions between two looks: fine enough for any patience, cheap enough to leave on.
    const STRIDE: c_int = 1000;
    // SAFETY: Lua's state; the hook lives as long as the program.
    unsafe {
        close_if_asked(lua);
        lua_sethook(lua, Some(on_count), LUA_MASKCOUNT, STRIDE);
    }
    Ok(0)
}

unsafe extern "C-unwind" fn on_count(lua: *mut lua_State, _: *mut lua_Debug) {
    // SAFETY: Lua's state; a hook may use the stack like a C function.
    unsafe { close_if_asked(lua) }
}

/// Ends the job here if `task:close` was called.
unsafe fn close_if_asked(lua: *mut lua_State) {
    let Some(job) = job::current() else { return };
    if job.mailbox.closing().load(Ordering::SeqCst) != 0 {
        // SAFETY: Lua's state, with the free slots that hooks and C functions have.
        unsafe {
            push_text(lua, "ended after task:close");
            finish(lua, lua_gettop(lua), 1, code(Kind::Closed));
        }
    }
}

/// The message handler: turns an error into a table of the error, its text and the traceback.
unsafe fn explain_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state; index 1 is the error. What `__tostring` raises is an error in error handling.
    unsafe {
        lua_createtable(lua, 3, 0);
        lua_pushvalue(lua, 1);
        lua_rawseti(lua, -2, 1);
        if lua_type(lua, 1) == LUA_TSTRING || luaL_getmetafield(lua, 1, c"__tostring".as_ptr()) != LUA_TNIL {
            if lua_type(lua, 1) != LUA_TSTRING {
                lua_pop(lua, 1);
            }
            luaL_tolstring(lua, 1, std::ptr::null_mut());
        } else {
            let kind = llib::lua::call::type_name(lua, 1);
            push_text(lua, &format!("(error object is a {kind} value)"));
        }
        lua_rawseti(lua, -2, 2);
        luaL_traceback(lua, lua, std::ptr::null(), 1);
        lua_rawseti(lua, -2, 3);
    }
    Ok(1)
}

/// Ends the job with the error that is on top of the stack.
unsafe fn fail(lua: *mut lua_State) -> ! {
    // SAFETY: the job's state after its call has ended.
    unsafe {
        if lua_type(lua, -1) == LUA_TTABLE {
            let explained = lua_gettop(lua);
            for position in [2, 3, 1] {
                lua_rawgeti(lua, explained, position);
            }
            // Below them are the handler and the table.
            lua_remove(lua, 1);
            lua_remove(lua, 1);
            finish_failure(lua, 1, code(Kind::Error));
        }
        // No memory, or an error in error handling: the handler did not run or did not end.
        luaL_tolstring(lua, -1, std::ptr::null_mut());
        finish(lua, lua_gettop(lua), 1, code(Kind::Error))
    }
}

/// Replies with message and traceback at 1 and 2, and `count` values after them; without the values, if they
/// cannot travel.
unsafe fn finish_failure(lua: *mut lua_State, count: c_int, code: u32) -> ! {
    let Some(job) = job::current() else { sys::exit_now(1) };
    sys::flush_streams();
    // SAFETY: the job's state with at least two values.
    unsafe {
        if send(lua, job, 1, 2 + count, code).is_ok() {
            reply::stall(job);
        }
        finish(lua, 1, 2, code)
    }
}

/// Replies with `count` values from `first` on, and never returns.
unsafe fn finish(lua: *mut lua_State, first: c_int, count: c_int, code: u32) -> ! {
    let Some(job) = job::current() else { sys::exit_now(1) };
    sys::flush_streams();
    // SAFETY: the job's state with these values.
    unsafe {
        if let Err(reason) = send(lua, job, first, count, code) {
            lua_settop(lua, 0);
            push_text(lua, &reason);
            let failed = self::code(Kind::Encode);
            if send(lua, job, 1, 1, failed).is_err() {
                sys::exit_now(1);
            }
        }
    }
    reply::stall(job)
}

unsafe fn send(lua: *mut lua_State, job: &Job, first: c_int, count: c_int, code: u32) -> Result<(), String> {
    // SAFETY: the caller has these values on the stack.
    let sent = unsafe {
        encode(lua, first, count, &results(), &mut NoHandles, |message| reply::publish(job, code, message))
    };
    match sent {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}
