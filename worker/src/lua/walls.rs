//! The walls of the language: takes away what of the libraries a sandboxed job must not have.
//!
//! They come before the kernel's, since modules that were granted are found and read here; nothing of a
//! job has run or been decoded yet. What stays is listed in `sandbox::language`.

use std::ffi::{CString, c_int};

use llib_core::wire::charter::Module;
use llib_core::wire::sandbox::SandboxPolicy;
use llib_lua::call::{Outcome, Raise, bytes, push_bytes, push_text};
use llib_lua::convert::confine_names;
use llib_lua::ffi::*;
use llib_lua::lua_function;
use llib_lua::version::jit;

use super::granted;
use super::job::set_search_paths;
use super::loaders::{replace_loaders, replace_searchers};
use crate::job::Job;
use llib_sandbox::language::{LIBRARIES, Library};

lua_function!(pub(super) build => build_body);

/// What walls are built of, and what was found on the way.
pub(super) struct Plan<'a> {
    pub(super) policy: &'a SandboxPolicy,
    /// The job, if there is one already.
    pub(super) job: Option<&'a Job>,
    /// The modules that the policy grants.
    pub(super) modules: Vec<Module>,
}

/// Builds the walls of a plan: the argument.
unsafe fn build_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: `confine::build` passes it, nobody else uses it until this returns.
    let Some(plan) = (unsafe { lua_touserdata(lua, 1).cast::<Plan<'_>>().as_mut() }) else { return Ok(0) };
    let (policy, job) = (plan.policy, plan.job);
    let starter = job.and_then(|job| job.desk.errand.as_ref());
    // SAFETY: Lua's state below lua_pcall, with the standard libraries as Lua made them: nothing of a job has run.
    unsafe {
        luaL_checkstack(lua, 20, c"the sandbox".as_ptr());
        lua_settop(lua, 0);
        if let Some(job) = job {
            set_search_paths(lua, job);
        }
        if !jit::tame(lua) {
            return Err(Raise::Message("the FFI library cannot be walled off".to_owned()));
        }
        lua_getfield(lua, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
        strip_metatables(lua);
        clear_preload(lua);
        for name in &policy.libs {
            let Some(errand) = starter else {
                granted::find(lua, name, &mut plan.modules)?;
                continue;
            };
            // The policies were compared before, so it is there.
            let known = errand.charter.modules.iter().find(|module| module.name == *name);
            if let Some(module) = known {
                plan.modules.push(module.clone());
                granted::load_again(lua, module, errand.charter.writes)?;
            }
            lua_settop(lua, 1);
        }
        replace_loaders(lua, policy);
        replace_searchers(lua, policy);
        seal_strings(lua);
        set_variables(lua, policy);
        for library in LIBRARIES.iter().filter(|library| library.needs.granted(policy)) {
            // Empty for what takes care of itself.
            if !library.fields.is_empty() && lua_getfield(lua, 1, name(library.name).as_ptr()) == LUA_TTABLE {
                prune(lua, |field| keeps(library, field, policy));
            }
            lua_settop(lua, 1);
        }
        prune(lua, |name| library(name, policy).is_some());
        // What was taken away is not to be had by its name either.
        confine_names(lua);
    }
    Ok(0)
}

/// Takes away the metatables that preloaded modules may have given to libraries, to the globals, and to all values of a type:
/// what they do is not for the job to reach, nor may it get between the walls and what they read.
unsafe fn strip_metatables(lua: *mut lua_State) {
    // SAFETY: the caller's state with `package.loaded` at index 1; balanced.
    unsafe {
        let strip = |lua| {
            lua_pushnil(lua);
            lua_setmetatable(lua, -2);
        };
        strip(lua);
        for library in LIBRARIES.iter().filter(|library| !library.fields.is_empty()) {
            if lua_getfield(lua, 1, name(library.name).as_ptr()) == LUA_TTABLE {
                strip(lua);
            }
            lua_settop(lua, 1);
        }
        lua_pushnil(lua);
        strip(lua);
        lua_pushboolean(lua, 0);
        strip(lua);
        lua_pushinteger(lua, 0);
        strip(lua);
        lua_pushlightuserdata(lua, std::ptr::null_mut());
        strip(lua);
        lua_pushcfunction(lua, build);
        strip(lua);
        lua_pushthread(lua);
        strip(lua);
        // Strings keep theirs, with what the library put there: functions of C, and itself.
        lua_settop(lua, 1);
        push_text(lua, "");
        if lua_getmetatable(lua, 2) != 0 {
            lua_pushnil(lua);
            while lua_next(lua, 3) != 0 {
                if lua_iscfunction(lua, -1) == 0 {
                    lua_pushvalue(lua, -2);
                    lua_pushnil(lua);
                    lua_rawset(lua, 3);
                }
                lua_settop(lua, 4);
            }
            lua_getfield(lua, 1, c"string".as_ptr());
            lua_setfield(lua, 3, c"__index".as_ptr());
        }
        lua_settop(lua, 1);
    }
}

fn name(text: &str) -> CString {
    CString::new(text).unwrap_or_default()
}

fn library(name: &[u8], policy: &SandboxPolicy) -> Option<&'static Library> {
    LIBRARIES.iter().find(|library| library.name.as_bytes() == name && library.needs.granted(policy))
}

/// Whether a field of a library stays. The globals have the libraries among their fields.
fn keeps(of: &Library, field: &[u8], policy: &SandboxPolicy) -> bool {
    let listed = of.fields.iter().find(|(name, _)| name.as_bytes() == field);
    listed.is_some_and(|(_, needs)| needs.granted(policy))
        || (of.name == "_G" && library(field, policy).is_some())
        || (of.name == "os" && field == b"getenv" && !policy.env.is_empty())
}

/// Removes the fields of the table on top that are not to be kept.
unsafe fn prune(lua: *mut lua_State, keep: impl Fn(&[u8]) -> bool) {
    // SAFETY: the caller has a table on top and free slots. Clearing fields while they are visited is allowed.
    unsafe {
        lua_pushnil(lua);
        while lua_next(lua, -2) != 0 {
            lua_settop(lua, -2);
            if !bytes(lua, -1).is_some_and(&keep) {
                lua_pushvalue(lua, -1);
                lua_pushnil(lua);
                lua_rawset(lua, -4);
            }
        }
    }
}

/// Takes away modules that come with the program and wait to be required.
unsafe fn clear_preload(lua: *mut lua_State) {
    // SAFETY: the caller's state with `package.loaded` at index 1; balanced.
    unsafe {
        lua_getfield(lua, 1, c"package".as_ptr());
        if lua_getfield(lua, -1, c"preload".as_ptr()) == LUA_TTABLE {
            prune(lua, |_| false);
        }
        lua_settop(lua, 1);
    }
}

/// Makes the metatable that all strings share read-only: scripts get a stand-in to read from.
unsafe fn seal_strings(lua: *mut lua_State) {
    // SAFETY: the caller's state; strings have a metatable, the string library's.
    unsafe {
        push_text(lua, "");
        if lua_getmetatable(lua, -1) != 0 {
            lua_createtable(lua, 0, 0);
            // The stand-in is empty, so that every store meets its own metatable.
            lua_createtable(lua, 0, 3);
            lua_createtable(lua, 0, 1);
            lua_getfield(lua, -4, c"__index".as_ptr());
            lua_setfield(lua, -2, c"__index".as_ptr());
            lua_setfield(lua, -2, c"__index".as_ptr());
            lua_pushcfunction(lua, refuse_strings);
            lua_setfield(lua, -2, c"__newindex".as_ptr());
            lua_pushboolean(lua, 0);
            lua_setfield(lua, -2, c"__metatable".as_ptr());
            lua_setmetatable(lua, -2);
            lua_setfield(lua, -2, c"__metatable".as_ptr());
        }
        lua_settop(lua, 1);
    }
}

lua_function!(refuse_strings => refuse_strings_body);

unsafe fn refuse_strings_body(_: *mut lua_State) -> Outcome {
    Err(Raise::Message("the string metatable is read-only in a sandbox".to_owned()))
}

/// Makes `os.getenv` know the granted variables and no others.
unsafe fn set_variables(lua: *mut lua_State, policy: &SandboxPolicy) {
    if policy.env.is_empty() {
        return;
    }
    // SAFETY: the caller's state with `package.loaded` at index 1.
    unsafe {
        lua_getfield(lua, 1, c"os".as_ptr());
        lua_createtable(lua, 0, policy.env.len() as c_int);
        for (name, value) in &policy.env {
            push_bytes(lua, name);
            push_bytes(lua, value);
            lua_rawset(lua, -3);
        }
        lua_pushcclosure(lua, getenv, 1);
        lua_setfield(lua, -2, c"getenv".as_ptr());
        lua_settop(lua, 1);
    }
}

lua_function!(pub(super) getenv => getenv_body);

unsafe fn getenv_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state; the upvalue is the table of variables.
    unsafe {
        luaL_checklstring(lua, 1, std::ptr::null_mut());
        lua_settop(lua, 1);
        lua_rawget(lua, lua_upvalueindex(1));
    }
    Ok(1)
}
