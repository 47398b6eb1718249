//! What a job can call: `res`, `rej`, and how it lets itself be closed.

use std::ffi::c_int;
use std::sync::atomic::Ordering;

use llib_core::wire::kind::Kind;
use llib_lua::call::{Outcome, bytes, push_description, push_text};
use llib_lua::ffi::*;
use llib_lua::lua_function;
use llib_lua::version::{jit, state};

use super::outcome::{VALUES, code, finish, finish_failure};
use crate::job::{self, Job};
use crate::pool;

/// Pushes `res`: callable, and the job's info.
pub(super) unsafe fn push(lua: *mut lua_State, job: &Job) {
    // SAFETY: Lua's state below lua_pcall, with free slots.
    unsafe {
        lua_createtable(lua, 0, 5);
        lua_pushinteger(lua, lua_Integer::from(std::process::id()));
        lua_setfield(lua, -2, c"pid".as_ptr());
        if job.settings.pool.is_none() {
            lua_pushinteger(lua, job.id().cast_signed());
            lua_setfield(lua, -2, c"id".as_ptr());
            push_text(lua, &job.settings.name);
            lua_setfield(lua, -2, c"name".as_ptr());
        }
        lua_pushcfunction(lua, testclose);
        lua_setfield(lua, -2, c"testclose".as_ptr());
        lua_pushcfunction(lua, autoclose);
        lua_setfield(lua, -2, c"autoclose".as_ptr());
        lua_createtable(lua, 0, 2);
        lua_pushcfunction(lua, res);
        lua_setfield(lua, -2, c"__call".as_ptr());
        if job.settings.pool.is_some() {
            // The same table serves all of a pool's jobs.
            lua_pushcfunction(lua, pooled_field);
            lua_setfield(lua, -2, c"__index".as_ptr());
        }
        push_text(lua, "llib.res");
        lua_setfield(lua, -2, c"__name".as_ptr());
        lua_setmetatable(lua, -2);
    }
}

lua_function!(res => res_body);
lua_function!(pub(super) rej => rej_body);
lua_function!(pooled_field => pooled_field_body);
lua_function!(testclose => testclose_body);
lua_function!(autoclose => autoclose_body);

unsafe fn res_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state; index 1 is `res` itself.
    unsafe { finish(lua, 2, lua_gettop(lua) - 1, VALUES) }
}

/// `res.id` and `res.name` of the job that a pool's worker has just now.
unsafe fn pooled_field_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state with table and key.
    unsafe {
        match (bytes(lua, 2), pool::current()) {
            (Some(b"id"), Some(post)) => lua_pushinteger(lua, post.number().cast_signed()),
            (Some(b"name"), _) => push_name(lua),
            _ => lua_pushnil(lua),
        }
    }
    Ok(1)
}

/// Pushes the name that was given to the pool's jobs, or else where the running one's function was written.
unsafe fn push_name(lua: *mut lua_State) {
    let given = job::current().map(|job| job.settings.name.as_str()).filter(|name| !name.is_empty());
    if let Some(name) = given {
        // SAFETY: the caller's state with a free slot.
        return unsafe { push_text(lua, name) };
    }
    // SAFETY: the record is filled in by the calls before it is read; `short_src` ends inside its array.
    unsafe {
        let mut about: lua_Debug = std::mem::zeroed();
        let (mut level, mut name) = (0, String::new());
        // The outermost function in Lua is the job's.
        while lua_getstack(lua, level, &mut about) != 0 {
            level += 1;
            if lua_getinfo(lua, c"S".as_ptr(), &mut about) != 0 && about.linedefined >= 0 {
                let source = std::ffi::CStr::from_ptr(about.short_src.as_ptr()).to_string_lossy();
                name = format!("{source}:{}", about.linedefined);
            }
        }
        push_text(lua, &name);
    }
}

unsafe fn rej_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state.
    unsafe {
        let count = lua_gettop(lua);
        luaL_checkstack(lua, 8, c"too many values".as_ptr());
        if count == 0 {
            push_text(lua, "rejected without a reason");
        } else {
            push_description(lua, 1);
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
        if let Some(post) = pool::current() {
            post.allow_autoclose();
        } else if let Some(job) = job::current() {
            job.mailbox.autoclose().store(1, Ordering::SeqCst);
        }
        close_if_asked(lua);
        // Hooks belong to a coroutine; later ones inherit them. For what these two miss the host has the job
        // killed.
        jit::make_hooks_reliable(lua);
        lua_sethook(lua, Some(on_count), LUA_MASKCOUNT, STRIDE);
        lua_sethook(state::main_thread(lua), Some(on_count), LUA_MASKCOUNT, STRIDE);
    }
    Ok(0)
}

unsafe extern "C-unwind" fn on_count(lua: *mut lua_State, _: *mut lua_Debug) {
    // SAFETY: Lua's state; a hook may use the stack like a C function.
    unsafe { close_if_asked(lua) }
}

/// Ends the job here if `task:close` was called.
pub(super) unsafe fn close_if_asked(lua: *mut lua_State) {
    let Some(job) = job::current() else { return };
    let closing = match pool::current() {
        Some(post) => post.is_closing(),
        None => job.mailbox.closing().load(Ordering::SeqCst) != 0,
    };
    if closing {
        // SAFETY: Lua's state, with the free slots that hooks and C functions have.
        unsafe {
            push_text(lua, "ended after task:close");
            finish(lua, lua_gettop(lua), 1, code(Kind::Closed));
        }
    }
}
