//! Environments before Lua 5.2: each function has a table of globals of its own, which `setfenv` changes, and so has the
//! thread. Later versions have none, and nothing to do here.

use std::ffi::c_int;

use super::ffi::*;

/// Whether there are environments.
const EXIST: bool = cfg!(any(feature = "lua51", feature = "luajit"));

/// Which environments the main thread and some Lua functions had.
pub struct Environments {
    /// Reference of a list in the registry: the globals, then functions and their environments in turns.
    list: c_int,
    functions: lua_Integer,
}

impl Environments {
    /// The thread's, and no function's yet.
    ///
    /// # Safety
    /// `lua` is the main thread of a valid state with three free stack slots, in a protected call.
    pub unsafe fn of_thread(lua: *mut lua_State) -> Environments {
        if !EXIST {
            return Environments { list: LUA_NOREF, functions: 0 };
        }
        // SAFETY: as demanded; balanced.
        unsafe {
            lua_createtable(lua, 1, 0);
            lua_pushglobaltable(lua);
            lua_rawseti(lua, -2, 1);
            Environments { list: luaL_ref(lua, LUA_REGISTRYINDEX), functions: 0 }
        }
    }

    /// Notes that of the value on top, if that is a Lua function.
    ///
    /// # Safety
    /// As for [`Environments::of_thread`].
    pub unsafe fn note(&mut self, lua: *mut lua_State) {
        // SAFETY: as demanded; balanced.
        unsafe {
            if !EXIST || lua_type(lua, -1) != LUA_TFUNCTION || lua_iscfunction(lua, -1) != 0 {
                return;
            }
            let function = lua_gettop(lua);
            lua_rawgeti(lua, LUA_REGISTRYINDEX, self.list.into());
            lua_pushvalue(lua, function);
            lua_rawseti(lua, -2, self.functions * 2 + 2);
            raw::push(lua, function);
            lua_rawseti(lua, -2, self.functions * 2 + 3);
            lua_settop(lua, function);
            self.functions += 1;
        }
    }

    /// Gives each its environment again.
    ///
    /// # Safety
    /// `lua` is the main thread of the same state, with four free stack slots.
    pub unsafe fn restore(&self, lua: *mut lua_State) {
        if !EXIST {
            return;
        }
        // SAFETY: as demanded; balanced. The list holds what `note` has put there.
        unsafe {
            lua_rawgeti(lua, LUA_REGISTRYINDEX, self.list.into());
            let list = lua_gettop(lua);
            lua_rawgeti(lua, list, 1);
            raw::make_globals(lua);
            for pair in 0..self.functions {
                lua_rawgeti(lua, list, pair * 2 + 2);
                lua_rawgeti(lua, list, pair * 2 + 3);
                raw::push(lua, list + 1);
                if lua_rawequal(lua, -1, -2) == 0 {
                    lua_pop(lua, 1);
                    raw::set(lua, list + 1);
                }
                lua_settop(lua, list);
            }
            lua_settop(lua, list - 1);
        }
    }
}

/// Pushes the environment of the value on top, if that is a C function which has one for itself: a place where libraries
/// of Lua 5.1 keep what others keep in the registry.
///
/// # Safety
/// `lua` is a valid state with two free stack slots.
pub unsafe fn push_private(lua: *mut lua_State) -> bool {
    // SAFETY: as demanded.
    unsafe {
        if !EXIST || lua_iscfunction(lua, -1) == 0 {
            return false;
        }
        raw::push(lua, lua_gettop(lua));
        lua_pushglobaltable(lua);
        let shared = lua_rawequal(lua, -1, -2) != 0;
        lua_pop(lua, if shared { 2 } else { 1 });
        !shared
    }
}

#[cfg(any(feature = "lua51", feature = "luajit"))]
mod raw {
    use super::*;

    pub(super) unsafe fn push(lua: *mut lua_State, function: c_int) {
        // SAFETY: the callers have a function there and a free slot.
        unsafe { lua_getfenv(lua, function) }
    }

    /// Pops it from the top.
    pub(super) unsafe fn set(lua: *mut lua_State, function: c_int) {
        // SAFETY: the callers have a function there, and a table on top.
        unsafe { lua_setfenv(lua, function) };
    }

    /// Pops them from the top.
    pub(super) unsafe fn make_globals(lua: *mut lua_State) {
        // SAFETY: the caller has a table on top.
        unsafe { lua_replace(lua, LUA_GLOBALSINDEX) }
    }
}

/// Never called.
#[cfg(not(any(feature = "lua51", feature = "luajit")))]
mod raw {
    use super::*;

    pub(super) unsafe fn push(_: *mut lua_State, _: c_int) {}
    pub(super) unsafe fn set(_: *mut lua_State, _: c_int) {}
    pub(super) unsafe fn make_globals(_: *mut lua_State) {}
}
