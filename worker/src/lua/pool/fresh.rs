//! A state as good as new after each job.
//!
//! What a script can reach without the debug library, and change, is: the globals, the tables of the libraries and of
//! loaded modules with their metatables, `package.loaded` and its relatives, the metatables of files and strings; and
//! behind functions of C: default files, hooks, the collector's settings, the locale, the random numbers, the working
//! directory, open files, children, and what the process inherits or was told of signals; environments before Lua 5.2, and what LuaJIT has. All of it is compared with how it was
//! before the first job. What differs is put back; what cannot be put back makes the worker go.

use std::ffi::{CString, OsString, c_int};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use llib_core::shm::SharedBytes;
use llib_core::sync::holds_any;
use llib_lua::convert::{may_have_finalizers, push_standard};
use llib_lua::ffi::*;
use llib_lua::version::collector::{self, Pace};
use llib_lua::version::environment::{self, Environments};
use llib_lua::version::jit::Engine;
use llib_lua::version::state;

use super::process::Process;
use super::watched::{Watched, metatable};
use crate::lua::{explain, memory};
use llib_worker_sys as sys;

/// Everything as it should be.
pub(super) struct Fresh {
    /// Reference of a table in the registry: watched tables and their copies, in pairs.
    anchor: c_int,
    tables: Vec<Watched>,
    /// Address of `package.loaded`.
    loaded: usize,
    /// Whether the last job changed it.
    modules: bool,
    /// Addresses of the metatables of the basic types.
    basic: [usize; BASIC.len()],
    /// Whether modules beside the standard library are loaded, whose functions may do anything.
    foreign: bool,
    descriptor: c_int,
    locale: CString,
    process: Process,
    directory: Option<PathBuf>,
    /// The directory of jobs that name none.
    base: Option<PathBuf>,
    /// Whether a job has named another.
    moved: bool,
    /// Reference of `math.randomseed`.
    seed: c_int,
    /// Reference of `debug.sethook`.
    sethook: c_int,
    random: u64,
    pace: Pace,
    environments: Environments,
    engine: Engine,
}

/// Types that have one metatable each; tables and full userdata have their own.
const BASIC: [c_int; 7] =
    [LUA_TNIL, LUA_TBOOLEAN, LUA_TLIGHTUSERDATA, LUA_TNUMBER, LUA_TSTRING, LUA_TFUNCTION, LUA_TTHREAD];

/// Libraries of any version, in a line.
const STANDARD: &str = "_G package string table math io os debug coroutine utf8 bit32 bit jit jit.opt llib";

impl Fresh {
    /// The state as it is now.
    ///
    /// # Safety
    /// `lua` is the worker's state below a protected call, its stack empty.
    pub(super) unsafe fn of(lua: *mut lua_State) -> Fresh {
        // SAFETY: as demanded. What may raise for want of memory ends the worker.
        unsafe {
            lua_checkstack(lua, 40);
            // Garbage may hold descriptors, and what is young would be looked at again and again.
            collector::collect(lua);
            llib_lua::types::register_all(lua);
            lua_createtable(lua, 64, 0);
            lua_pushvalue(lua, -1);
            let anchor = luaL_ref(lua, LUA_REGISTRYINDEX);
            let [seed, sethook] = [("math", "randomseed"), ("debug", "sethook")].map(|(module, field)| {
                if !push_standard(lua, module, field) {
                    lua_pushnil(lua);
                }
                luaL_ref(lua, LUA_REGISTRYINDEX)
            });
            lua_settop(lua, 0);
            let mut bytes = [0; 8];
            let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
            let directory = std::env::current_dir().ok();
            let mut fresh = Fresh {
                anchor,
                tables: Vec::new(),
                loaded: 0,
                modules: false,
                basic: [0; BASIC.len()],
                foreign: false,
                descriptor: sys::free_descriptor(),
                locale: sys::locale().to_owned(),
                process: Process::now(),
                base: directory.clone(),
                moved: false,
                directory,
                seed,
                sethook,
                random: u64::from_ne_bytes(bytes),
                pace: Pace::of(lua),
                environments: Environments::of_thread(lua),
                engine: Engine::of(lua),
            };
            for (place, kind) in BASIC.into_iter().enumerate() {
                push_sample(lua, kind);
                fresh.basic[place] = metatable(lua);
                lua_pop(lua, 1);
            }
            fresh.watch_all(lua);
            fresh
        }
    }

    unsafe fn watch_all(&mut self, lua: *mut lua_State) {
        // SAFETY: the worker's state with free slots; every index was pushed just before.
        unsafe {
            lua_rawgeti(lua, LUA_REGISTRYINDEX, self.anchor.into());
            let anchor = lua_gettop(lua);
            lua_pushglobaltable(lua);
            self.watch(lua, anchor, false, 0);
            lua_getfield(lua, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
            let loaded = lua_gettop(lua);
            self.loaded = lua_topointer(lua, loaded).addr();
            lua_pushnil(lua);
            while lua_next(lua, loaded) != 0 {
                let name =
                    if lua_type(lua, -2) == LUA_TSTRING { llib_lua::call::bytes(lua, -2) } else { None };
                let known =
                    name.is_some_and(|name| STANDARD.split(' ').any(|known| known.as_bytes() == name));
                self.foreign |= !known;
                // Fields of the library's tables are tables in turn; those of others are their own affair.
                let deep = if known { 2 } else { 0 };
                self.watch(lua, anchor, false, deep);
            }
            self.watch(lua, anchor, false, 0);
            push_sample(lua, LUA_TSTRING);
            if lua_getmetatable(lua, -1) != 0 {
                self.watch(lua, anchor, false, 1);
            }
            lua_getfield(lua, LUA_REGISTRYINDEX, c"FILE*".as_ptr());
            self.watch(lua, anchor, false, 1);
            lua_pushvalue(lua, LUA_REGISTRYINDEX);
            self.watch(lua, anchor, true, 0);
            lua_settop(lua, 0);
        }
    }

    /// Watches the table on top, and pops it; and those in it, `depth` levels deep. Of what is no table functions alone count,
    /// for their environments.
    unsafe fn watch(&mut self, lua: *mut lua_State, anchor: c_int, named: bool, depth: u32) {
        // SAFETY: as for `watch_all`; the depth is bounded, and with it the stack.
        unsafe {
            lua_checkstack(lua, 20);
            let table = lua_gettop(lua);
            if lua_type(lua, table) != LUA_TTABLE {
                if environment::push_private(lua) {
                    self.watch(lua, anchor, false, 0);
                }
                lua_settop(lua, table - 1);
                return;
            }
            // One that is watched already may have been reached from elsewhere, where it did not matter what is in it.
            if !self.is_watched(lua, anchor, table) {
                let place = self.tables.len() as lua_Integer * 3 + 1;
                self.tables.push(Watched::new(lua, anchor, place, named));
                self.note_environments(lua);
            }
            if depth > 0 {
                lua_pushnil(lua);
                while lua_next(lua, table) != 0 {
                    self.watch(lua, anchor, false, depth - 1);
                }
            }
            if lua_getmetatable(lua, table) != 0 {
                self.watch(lua, anchor, false, depth.saturating_sub(1));
            }
            lua_settop(lua, table - 1);
        }
    }

    /// Notes the environments of the functions in the table on top.
    unsafe fn note_environments(&mut self, lua: *mut lua_State) {
        // SAFETY: as above; the table does not change meanwhile.
        unsafe {
            lua_pushnil(lua);
            while lua_next(lua, -2) != 0 {
                self.environments.note(lua);
                lua_pop(lua, 1);
            }
        }
    }

    unsafe fn is_watched(&self, lua: *mut lua_State, anchor: c_int, table: c_int) -> bool {
        // SAFETY: as above.
        unsafe {
            self.tables.iter().any(|watched| {
                watched.push(lua, anchor);
                let same = lua_rawequal(lua, -1, table) != 0;
                lua_pop(lua, 1);
                same
            })
        }
    }

    /// Puts everything back that a job has changed; false if that cannot be.
    ///
    /// # Safety
    /// As for [`Fresh::of`].
    pub(super) unsafe fn restore(&mut self, lua: *mut lua_State) -> bool {
        // SAFETY: as demanded.
        unsafe {
            let mut changed = false;
            if may_have_finalizers() {
                // They are the job's code, and run now. What they leave is put back with the rest.
                let Some(tables) = self.restore_tables(lua) else { return false };
                changed = tables;
                collector::collect(lua);
            }
            if holds_any() || sys::has_children() {
                return false;
            }
            self.unhook(lua);
            self.pace.restore(lua);
            self.environments.restore(lua);
            if !self.engine.restore(lua) {
                return false;
            }
            let Some(tables) = self.restore_tables(lua) else { return false };
            changed |= tables;
            if !self.restore_basic(lua) {
                return false;
            }
            self.reseed(lua);
            lua_warning(lua, c"@off".as_ptr(), 0);
            let locale = sys::locale();
            if locale != self.locale.as_c_str() {
                sys::set_locale(&self.locale);
            }
            let touched = changed || self.foreign;
            if touched && !self.process.restore() {
                return false;
            }
            if touched && std::env::current_dir().ok() != self.directory {
                let back =
                    self.directory.as_ref().is_some_and(|path| std::env::set_current_dir(path).is_ok());
                if !back {
                    return false;
                }
            }
            if sys::free_descriptor() != self.descriptor {
                // Files that were left open are garbage now.
                collector::collect(lua);
                return sys::free_descriptor() == self.descriptor;
            }
            true
        }
    }

    /// Whether a job has loaded or replaced modules since this was last asked, up to the last call of [`Fresh::restore`].
    pub(super) fn loaded_modules(&mut self) -> bool {
        std::mem::take(&mut self.modules)
    }

    /// Puts the tables back; whether one was another than it should be, and none if one cannot be put back.
    unsafe fn restore_tables(&mut self, lua: *mut lua_State) -> Option<bool> {
        let mut changed = false;
        // SAFETY: as for `restore`.
        unsafe {
            lua_rawgeti(lua, LUA_REGISTRYINDEX, self.anchor.into());
            // The registry is the last one: what leads to a library's objects is gone by then.
            for at in 0..self.tables.len() {
                if self.tables[at].is_untouched(lua) {
                    continue;
                }
                changed = true;
                self.modules |= self.tables[at].address(lua) == self.loaded;
                if self.tables[at].serves_finalizers(lua) {
                    collect_all(lua);
                    // Finalizers are the job's code, and have run just now.
                    let mut again = self.tables[..at].iter_mut();
                    if !again.all(|table| table.is_untouched(lua) || table.restore(lua)) {
                        return None;
                    }
                }
                if !self.tables[at].restore(lua) {
                    return None;
                }
            }
            lua_pop(lua, 1);
        }
        Some(changed)
    }

    /// Goes to a job's directory; an empty name is the one where the worker began to serve. One that is gone is gone for the
    /// host as well: relative names fail there and here.
    pub(super) fn enter(&mut self, name: SharedBytes<'_>) {
        let wanted = if !name.is_empty() {
            Some(PathBuf::from(OsString::from_vec(name.copy())))
        } else if std::mem::take(&mut self.moved) {
            self.base.clone()
        } else {
            return;
        };
        self.moved |= !name.is_empty();
        if wanted != self.directory
            && wanted.as_ref().is_some_and(|directory| std::env::set_current_dir(directory).is_ok())
        {
            self.directory = wanted;
        }
    }

    unsafe fn unhook(&self, lua: *mut lua_State) {
        // SAFETY: the worker's state with free slots; its stack is empty.
        unsafe {
            if lua_gethookmask(lua) != 0 {
                lua_sethook(lua, None, 0, 0);
                // Some versions of the debug library tell of the hook that was there until they are asked to take it off.
                lua_rawgeti(lua, LUA_REGISTRYINDEX, self.sethook.into());
                lua_pcall(lua, 0, 0, 0);
                lua_settop(lua, 0);
            }
        }
    }

    unsafe fn restore_basic(&self, lua: *mut lua_State) -> bool {
        // SAFETY: the worker's state with free slots.
        unsafe {
            for (kind, meta) in BASIC.into_iter().zip(self.basic) {
                push_sample(lua, kind);
                let now = metatable(lua);
                if now != meta {
                    if meta != 0 {
                        // That of strings is the only one, and only the debug library takes it off.
                        return false;
                    }
                    lua_pushnil(lua);
                    lua_setmetatable(lua, -2);
                }
                lua_pop(lua, 1);
            }
        }
        true
    }

    /// The next job draws numbers that nobody can tell from those of others.
    unsafe fn reseed(&mut self, lua: *mut lua_State) {
        // A sequence of Weyl, mixed by Lua's own generator.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        // SAFETY: the worker's state with free slots.
        unsafe {
            lua_rawgeti(lua, LUA_REGISTRYINDEX, self.seed.into());
            let bytes = u128::from(self.random) | u128::from(self.random.rotate_left(32)) << 64;
            let arguments = state::push_seed(lua, bytes.to_le_bytes());
            lua_pcall(lua, arguments, 0, 0);
            lua_settop(lua, 0);
        }
    }
}

/// Collects what a job left behind, as long as there is more to find: an object that is finalized may let go of another, as a
/// connection of its driver, and its own memory is found to be free the next time.
unsafe fn collect_all(lua: *mut lua_State) {
    /// Finalizers take memory as well, so one round that frees none says little.
    const LEAST: usize = 4;
    /// More than libraries have objects one behind the other.
    const MOST: usize = 10;
    let mut before = usize::MAX;
    // SAFETY: the worker's state with free slots, in a protected call, where finalizers may run.
    unsafe {
        for round in 1..=MOST {
            collector::collect(lua);
            let now = memory::standing(lua).used;
            if round >= LEAST && now >= before {
                break;
            }
            before = now;
        }
    }
}

/// Pushes a value of a basic type.
unsafe fn push_sample(lua: *mut lua_State, kind: c_int) {
    // SAFETY: the caller has a free slot. The empty string is there since the state is.
    unsafe {
        match kind {
            LUA_TBOOLEAN => lua_pushboolean(lua, 1),
            LUA_TLIGHTUSERDATA => lua_pushlightuserdata(lua, std::ptr::null_mut()),
            LUA_TNUMBER => lua_pushinteger(lua, 0),
            LUA_TSTRING => {
                lua_pushlstring(lua, c"".as_ptr(), 0);
            }
            LUA_TFUNCTION => lua_pushcfunction(lua, explain::note),
            LUA_TTHREAD => {
                lua_pushthread(lua);
            }
            _ => lua_pushnil(lua),
        }
    }
}
