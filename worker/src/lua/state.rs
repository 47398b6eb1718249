//! The Lua state that every worker starts with.

use std::ffi::{CStr, c_int};

use llib_core::shm::{Joined, Payload};
use llib_core::wire::settings::Settings;
use llib_lua::call::{Outcome, Raise, bytes, push_bytes};
use llib_lua::convert::{
    EncodeOptions, GlobalMode, Known, NoHandles, encode, know_functions, push_standard, set_own,
};
use llib_lua::ffi::*;
use llib_lua::hooks;
use llib_lua::lua_function;
use llib_lua::version::{collector, function, state};

use super::job::job_main;
use super::raw::{push_field, push_library, set_global};
use super::res::{autoclose, close_if_asked, rej, testclose};
use super::{loaders, memory, walls};

/// Header of this program's precompiled chunks.
pub(crate) fn bytecode(lua: *mut lua_State) -> Vec<u8> {
    // SAFETY: the zygote's own state, idle.
    unsafe { llib::bytecode(lua) }
}

/// The state that every worker starts with, and a job to rehearse.
pub(crate) fn prepare() -> Result<(*mut lua_State, Vec<u8>), String> {
    know_functions(&OWN);
    function::open_libraries_with(|lua| {
        // SAFETY: called with a new state, in a protected call.
        unsafe { luaL_openlibs(lua) }
    });
    // SAFETY: a fresh state; everything that can fail in it runs below lua_pcall.
    unsafe {
        let lua = memory::new_state();
        if lua.is_null() {
            return Err("not enough memory for a Lua state".to_owned());
        }
        lua_pushcfunction(lua, open_libraries);
        if lua_pcall(lua, 0, 1, 0) != LUA_OK {
            return Err("failed to open the Lua libraries".to_owned());
        }
        let options = EncodeOptions { globals: GlobalMode::None, ..EncodeOptions::default() };
        let settings = Settings { name: "worker".to_owned(), ..Settings::default() }.to_bytes();
        let rehearsal =
            encode(lua, 1, 1, &options, &mut NoHandles).map(|message| Joined([&settings, &message]).to_vec());
        lua_settop(lua, 0);
        settle(lua);
        hooks::on_pause(close_if_asked);
        rehearsal.map(|bytes| (lua, bytes)).map_err(|error| error.to_string())
    }
}

/// Functions that every job has: its own, and what a sandbox puts among a library's.
const OWN: [Known; 8] = [
    (rej, "llib", "rej"),
    (testclose, "llib", "res\0testclose"),
    (autoclose, "llib", "res\0autoclose"),
    (loaders::load, "_G", "load"),
    (loaders::load, "_G", "loadstring"),
    (loaders::loadfile, "_G", "loadfile"),
    (loaders::dofile, "_G", "dofile"),
    (walls::getenv, "os", "getenv"),
];

/// Stack slots that a job finds ready.
const STACK: c_int = 200;

lua_function!(open_libraries => open_libraries_body);

unsafe fn open_libraries_body(lua: *mut lua_State) -> Outcome {
    // Something of everything that a usual job holds.
    const REHEARSAL: &CStr = c"return function(_, _, ...) local t = {1, 2.5, 'text', name = {...}} \
        local s = tostring(t.name) .. string.format('%d', #t) return select('#', ...), t, s:upper() end";
    // SAFETY: Lua's state below lua_pcall.
    unsafe {
        luaL_openlibs(lua);
        state::load_library(lua, c"llib", llib::luaopen_llib);
        collector::usual_mode(lua);
        if luaL_loadstring(lua, REHEARSAL.as_ptr()) != LUA_OK {
            return Err(Raise::Object);
        }
        lua_call(lua, 0, 1);
    }
    Ok(1)
}

/// Loads a module as `require` does, with these search paths. On failure the reason, in a sentence.
pub(crate) fn preload(
    lua: *mut lua_State,
    name: &[u8],
    path: Option<&[u8]>,
    cpath: Option<&[u8]>,
) -> Result<(), String> {
    let wanted: Wanted<'_> = (name, path, cpath);
    // SAFETY: the state is idle; what a module raises ends at the protected calls, and what memory there is not does so
    // in the first.
    unsafe {
        lua_settop(lua, 0);
        lua_pushcfunction(lua, preload_entry);
        lua_pushlightuserdata(lua, (&raw const wanted).cast_mut().cast());
        let status = llib::loading(|| lua_pcall(lua, 1, 0, 0));
        let problem = (status != LUA_OK).then(|| {
            llib_lua::call::push_description(lua, -1);
            bytes(lua, -1).map(|text| String::from_utf8_lossy(text).into_owned()).unwrap_or_default()
        });
        lua_settop(lua, 0);
        settle(lua);
        problem.map_or(Ok(()), Err)
    }
}

lua_function!(name_places => name_places_body);

/// Sets what each job sets before it runs to nil, or with an argument to something.
unsafe fn name_places_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state below lua_pcall.
    unsafe {
        let filled = lua_gettop(lua) > 0;
        let push = || if filled { lua_pushboolean(lua, 1) } else { lua_pushnil(lua) };
        for name in [c"res", c"rej"] {
            push();
            set_global(lua, name);
        }
        push();
        push();
        set_own(lua);
    }
    Ok(0)
}

/// Leaves the state as forked processes find it best: a page to which they need not write is one less to copy.
///
/// # Safety
/// The state is idle.
unsafe fn settle(lua: *mut lua_State) {
    // SAFETY: as demanded. Without memory for the names jobs make room for them themselves.
    unsafe {
        // No worker has to enlarge a table for them: it keeps its length when they are gone.
        lua_pushcfunction(lua, name_places);
        lua_pushboolean(lua, 1);
        lua_pcall(lua, 1, 0, 0);
        // What is garbage now would be copied into every worker that collects it.
        collector::collect(lua);
        lua_pushcfunction(lua, name_places);
        lua_pcall(lua, 0, 0, 0);
        lua_settop(lua, 0);
        // What decoding and encoding ask for.
        lua_checkstack(lua, STACK);
        memory::settle(lua);
    }
}

/// What [`preload`] hands to the function below.
type Wanted<'a> = (&'a [u8], Option<&'a [u8]>, Option<&'a [u8]>);

lua_function!(preload_entry => preload_body);

unsafe fn preload_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state below lua_pcall; the argument is the address that `preload` passes, which waits.
    unsafe {
        let (name, path, cpath) = *lua_touserdata(lua, 1).cast::<Wanted<'_>>();
        push_library(lua, c"package");
        let library = lua_type(lua, 2) == LUA_TTABLE;
        for (field, value) in [(c"path", path), (c"cpath", cpath)] {
            // As it was, for what comes afterwards.
            lua_pushvalue(lua, 2);
            push_field(lua, field.as_ptr());
            lua_remove(lua, -2);
            if let Some(value) = value.filter(|_| library) {
                push_bytes(lua, value);
                lua_setfield(lua, 2, field.as_ptr());
            }
        }
        if !push_standard(lua, "_G", "require") {
            lua_pushnil(lua);
        }
        push_bytes(lua, name);
        let status = lua_pcall(lua, 1, 0, 0);
        for (field, place) in [(c"path", 3), (c"cpath", 4)].into_iter().filter(|_| library) {
            lua_pushvalue(lua, place);
            lua_setfield(lua, 2, field.as_ptr());
        }
        if status == LUA_OK { Ok(0) } else { Err(Raise::Object) }
    }
}

/// Gives this process random numbers of its own: forked states would all draw the same.
pub(crate) fn reseed(lua: *mut lua_State) {
    let mut bytes = [0; 16];
    if rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).is_err() {
        bytes[..4].copy_from_slice(&std::process::id().to_ne_bytes());
    }
    // SAFETY: the worker's state, idle. Modules that were preloaded may have taken the function out of its table.
    unsafe {
        if push_standard(lua, "math", "randomseed") {
            let arguments = state::push_seed(lua, bytes);
            lua_pcall(lua, arguments, 0, 0);
        }
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
