//! What LuaJIT keeps in no table: the compiler's switch, the profiler, default files, the types of the FFI library. Other
//! versions have nothing to do here.

use std::ffi::c_int;

use super::ffi::*;

/// Has hooks called everywhere from now on: LuaJIT does not look for them in compiled code, so it compiles no
/// more, and forgets what it has compiled.
///
/// # Safety
/// `lua` is a valid state.
pub unsafe fn make_hooks_reliable(lua: *mut lua_State) {
    // SAFETY: as demanded.
    unsafe {
        flush(lua);
        set_mode(lua, 0, ENGINE | OFF);
    }
}

/// Drops all compiled code, and the values that it has as constants.
///
/// # Safety
/// `lua` is a valid state.
pub unsafe fn flush(lua: *mut lua_State) {
    // SAFETY: as demanded.
    unsafe { set_mode(lua, 0, ENGINE | FLUSH) }
}

/// Turns compilation on again for the Lua function on top and its inner functions. `jit.off` turns it off for all closures
/// of a prototype.
///
/// # Safety
/// `lua` is a valid state with a Lua function on top.
pub unsafe fn compile_again(lua: *mut lua_State) {
    // SAFETY: as demanded.
    unsafe { set_mode(lua, -1, FUNCTIONS | ON) }
}

/// Whether a script has loaded `jit.util`, which lets it modify the constants of functions.
///
/// # Safety
/// `lua` is a valid state with three free stack slots.
pub unsafe fn was_looked_into(lua: *mut lua_State) -> bool {
    if !super::IS_JIT {
        return false;
    }
    // SAFETY: as demanded. Balanced.
    unsafe {
        let top = lua_gettop(lua);
        lua_getfield(lua, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
        lua_pushstring(lua, c"jit.util".as_ptr());
        let loaded = lua_type(lua, top + 1) == LUA_TTABLE && lua_rawget(lua, top + 1) != LUA_TNIL;
        lua_settop(lua, top);
        loaded
    }
}

/// luajit.h
const ENGINE: c_int = 0;
const FUNCTIONS: c_int = 3;
const OFF: c_int = 0;
const ON: c_int = 0x100;
const FLUSH: c_int = 0x200;

unsafe fn set_mode(lua: *mut lua_State, index: c_int, mode: c_int) {
    #[cfg(feature = "luajit")]
    {
        unsafe extern "C-unwind" {
            fn luaJIT_setmode(lua: *mut lua_State, index: c_int, mode: c_int) -> c_int;
        }
        // SAFETY: the caller's state and index.
        unsafe { luaJIT_setmode(lua, index, mode) };
    }
    let _ = (lua, index, mode);
}

/// Compiles nothing from now on, which takes memory that is written and then executed, and has the FFI library open:
/// a number such as `1LL` opens it for whoever asks first. Who calls this takes its table away. False if that failed.
///
/// # Safety
/// `lua` is a valid state with three free stack slots, with the libraries as they were opened.
pub unsafe fn tame(lua: *mut lua_State) -> bool {
    if !super::IS_JIT {
        return true;
    }
    // SAFETY: as demanded; balanced.
    unsafe {
        make_hooks_reliable(lua);
        let opened = luaL_loadstring(lua, c"return require 'ffi'".as_ptr()) == LUA_OK
            && lua_pcall(lua, 0, 1, 0) == LUA_OK
            && lua_type(lua, -1) == LUA_TTABLE;
        lua_pop(lua, 1);
        opened
    }
}

/// How this stood at some time.
pub struct Engine {
    /// Reference of a function that puts it back.
    restore: c_int,
}

impl Engine {
    /// As it stands now.
    ///
    /// # Safety
    /// `lua` is a valid state with some free stack slots, in a protected call, with the libraries as they were opened.
    pub unsafe fn of(lua: *mut lua_State) -> Engine {
        /// Gives a function that returns whether everything is as it was. A second opening of the FFI library in one state
        /// would mix up its types with those that are there, so the first one is final.
        const NOTE: &std::ffi::CStr = c"local rawget, loaded = rawget, package.loaded \
            local set, compiles = {[true] = jit.on, [false] = jit.off}, jit.status() \
            local input, output = io.input, io.output \
            local stdin, stdout, ffi = input(), output(), loaded.ffi \
            return function() \
                set[compiles]() input(stdin) output(stdout) \
                return rawget(loaded, 'ffi') == ffi \
            end";
        if !super::IS_JIT {
            return Engine { restore: LUA_NOREF };
        }
        // SAFETY: as demanded; balanced.
        unsafe {
            if luaL_loadstring(lua, NOTE.as_ptr()) != LUA_OK || lua_pcall(lua, 0, 1, 0) != LUA_OK {
                // Some of it is gone already: nobody can tell what is put back.
                lua_pop(lua, 1);
                return Engine { restore: LUA_NOREF };
            }
            Engine { restore: luaL_ref(lua, LUA_REGISTRYINDEX) }
        }
    }

    /// Puts it back; false if that cannot be.
    ///
    /// # Safety
    /// `lua` is the same state with some free stack slots.
    pub unsafe fn restore(&self, lua: *mut lua_State) -> bool {
        #[cfg(feature = "luajit")]
        // SAFETY: as demanded; balanced. The reference is this struct's own.
        unsafe {
            unsafe extern "C-unwind" {
                fn luaJIT_profile_stop(lua: *mut lua_State);
            }
            luaJIT_profile_stop(lua);
            lua_rawgeti(lua, LUA_REGISTRYINDEX, self.restore.into());
            let whole = lua_pcall(lua, 0, 1, 0) == LUA_OK && lua_toboolean(lua, -1) != 0;
            lua_pop(lua, 1);
            whole
        }
        #[cfg(not(feature = "luajit"))]
        {
            let _ = (lua, self.restore);
            true
        }
    }
}
