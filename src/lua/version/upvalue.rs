//! The variables of a Lua function that it does not make itself: its upvalues.
//!
//! Before Lua 5.2 the table of a function's globals is no upvalue but its *environment*. Here it is upvalue 0
//! of such a version, named `_ENV`: whoever walks the upvalues from [`FIRST`] on meets it in any version.

use std::ffi::{c_char, c_int};

use super::ffi::*;

/// Number of a function's first upvalue.
pub const FIRST: c_int = if cfg!(any(feature = "lua51", feature = "luajit")) { 0 } else { 1 };

/// Pushes upvalue `number` and returns its name; null, with nothing pushed, where there is none.
///
/// # Safety
/// `lua` is a valid state with a free stack slot, and a Lua function at `function`.
pub unsafe fn get(lua: *mut lua_State, function: c_int, number: c_int) -> *const c_char {
    // SAFETY: as demanded; a number out of range gives null.
    unsafe {
        #[cfg(any(feature = "lua51", feature = "luajit"))]
        if number == 0 {
            lua_getfenv(lua, function);
            return c"_ENV".as_ptr();
        }
        lua_getupvalue(lua, function, number)
    }
}

/// Whether there is an upvalue of this number.
///
/// # Safety
/// As for [`get`].
pub unsafe fn exists(lua: *mut lua_State, function: c_int, number: c_int) -> bool {
    // SAFETY: as demanded.
    unsafe {
        let exists = !get(lua, function, number).is_null();
        if exists {
            lua_pop(lua, 1);
        }
        exists
    }
}

/// Number of upvalues of the Lua function on top. Environments do not count.
///
/// # Safety
/// `lua` is a valid state with a free stack slot and a Lua function on top.
pub unsafe fn count(lua: *mut lua_State) -> c_int {
    // SAFETY: as demanded; the record is plain data, and `u` fills in the field that is read.
    unsafe {
        let mut about: lua_Debug = std::mem::zeroed();
        lua_pushvalue(lua, -1);
        lua_getinfo(lua, c">u".as_ptr(), &mut about);
        about.nups as c_int
    }
}

/// Sets upvalue `number` to the value on top, which is popped. False, with nothing popped, where it cannot be
/// set: there is none, or the value is no table for an environment.
///
/// # Safety
/// As for [`get`]; `function` is not the top itself.
pub unsafe fn set(lua: *mut lua_State, function: c_int, number: c_int) -> bool {
    // SAFETY: as demanded; a number out of range gives null.
    unsafe {
        #[cfg(any(feature = "lua51", feature = "luajit"))]
        if number == 0 {
            return lua_type(lua, -1) == LUA_TTABLE && lua_setfenv(lua, function) != 0;
        }
        !lua_setupvalue(lua, function, number).is_null()
    }
}

/// What tells the variable of an upvalue from all others; `None` where it is known to be nobody else's.
///
/// # Safety
/// As for [`get`]; the upvalue exists.
pub unsafe fn identity(lua: *mut lua_State, function: c_int, number: c_int) -> Option<usize> {
    if number < 1 {
        return None;
    }
    // SAFETY: as demanded.
    unsafe { raw::identity(lua, function, number) }
}

/// Makes upvalue `number` of `function` the same variable as upvalue `other_number` of `other`.
///
/// # Safety
/// `lua` is a valid state with two free stack slots; both are Lua functions and both upvalues exist.
pub unsafe fn join(lua: *mut lua_State, function: c_int, number: c_int, other: c_int, other_number: c_int) {
    if number >= 1 && other_number >= 1 {
        // SAFETY: as demanded.
        unsafe { raw::join(lua, function, number, other, other_number) }
    }
}

#[cfg(feature = "lua51")]
use super::closure as raw;

#[cfg(not(feature = "lua51"))]
mod raw {
    use super::*;

    // `mlua` declares the functions of Lua 5.2, which LuaJIT has too, for the versions from 5.2 on alone.
    #[cfg(feature = "luajit")]
    unsafe extern "C-unwind" {
        fn lua_upvalueid(lua: *mut lua_State, function: c_int, number: c_int) -> *mut std::ffi::c_void;
        fn lua_upvaluejoin(lua: *mut lua_State, a: c_int, na: c_int, b: c_int, nb: c_int);
    }

    pub(super) unsafe fn identity(lua: *mut lua_State, function: c_int, number: c_int) -> Option<usize> {
        // SAFETY: the caller's function has this upvalue.
        Some(unsafe { lua_upvalueid(lua, function, number) } as usize)
    }

    pub(super) unsafe fn join(lua: *mut lua_State, a: c_int, na: c_int, b: c_int, nb: c_int) {
        // SAFETY: the caller's functions have these upvalues.
        unsafe { lua_upvaluejoin(lua, a, na, b, nb) }
    }
}
