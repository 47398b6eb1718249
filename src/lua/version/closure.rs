//! The variables of closures in Lua 5.1, whose C API cannot tell whether two closures share one.
//!
//! So this file looks into the closures themselves. Their layout (lobject.h, `LClosure`) is the same in every
//! build of Lua 5.1 for one kind of machine, but nobody promised that; it is tried out once a process, on a state
//! made for it. Where it is another one nothing is read, and shared variables arrive as copies.

use std::ffi::{c_int, c_void};
use std::sync::OnceLock;

use super::collector;
use super::ffi::*;

/// A Lua closure; as many `variables` follow as it has upvalues.
#[repr(C)]
struct Closure {
    next: *mut c_void,
    kind: u8,
    marked: u8,
    is_c: u8,
    upvalues: u8,
    gray: *mut c_void,
    environment: *const c_void,
    prototype: *mut c_void,
    variables: [*mut c_void; 0],
}

/// Of `marked`: the collector has been through with it (lgc.h, `BLACKBIT`).
const BLACK: u8 = 1 << 2;

/// The variables of the closure at `function`.
///
/// # Safety
/// `lua` is a valid state with a Lua function there, and the layout is known to be right.
unsafe fn closure(lua: *mut lua_State, function: c_int) -> (*mut Closure, *mut *mut c_void) {
    // SAFETY: Lua gives the closure's address; its variables lie behind it.
    unsafe {
        let closure = lua_topointer(lua, function).cast_mut().cast::<Closure>();
        (closure, (&raw mut (*closure).variables).cast::<*mut c_void>())
    }
}

/// See [`super::upvalue::identity`].
pub(super) unsafe fn identity(lua: *mut lua_State, function: c_int, number: c_int) -> Option<usize> {
    if !is_known() {
        return None;
    }
    // SAFETY: the caller's function has this upvalue, and the layout was tried out.
    unsafe {
        let (_, variables) = closure(lua, function);
        Some(*variables.offset(number as isize - 1) as usize)
    }
}

/// See [`super::upvalue::join`].
pub(super) unsafe fn join(
    lua: *mut lua_State,
    function: c_int,
    number: c_int,
    other: c_int,
    other_number: c_int,
) {
    if is_known() {
        // SAFETY: the caller's functions have these upvalues, and the layout was tried out.
        unsafe { join_raw(lua, function, number, other, other_number) }
    }
}

unsafe fn join_raw(lua: *mut lua_State, function: c_int, number: c_int, other: c_int, other_number: c_int) {
    // SAFETY: as for `join`. A closure that the collector is through with must not get a reference to something
    // it has not seen; after a full cycle, and before the next begins, it is through with nothing. Only code that
    // ran while a message was decoded can have brought the collector that far, so this is rare.
    unsafe {
        let (target, variables) = closure(lua, function);
        if (*target).marked & BLACK != 0 {
            collector::collect(lua);
        }
        let (_, source) = closure(lua, other);
        *variables.offset(number as isize - 1) = *source.offset(other_number as isize - 1);
    }
}

/// Whether closures look as this file believes.
fn is_known() -> bool {
    static KNOWN: OnceLock<bool> = OnceLock::new();
    // SAFETY: the state is new, and closed here.
    *KNOWN.get_or_init(|| unsafe {
        let lua = luaL_newstate();
        if lua.is_null() {
            return false;
        }
        let known = try_out(lua);
        lua_close(lua);
        known
    })
}

/// Makes closures that share variables and looks whether they do where they should; then joins two variables and
/// looks whether they are one.
///
/// # Safety
/// `lua` is a new state.
unsafe fn try_out(lua: *mut lua_State) -> bool {
    const MAKE: &std::ffi::CStr = c"local a, b = 1, 2 \
        return function(x) a = x or a return a, b end, function() return b end, function() return a end";
    // SAFETY: closures are read where they say they have variables, of which none lies outside of what the
    // smallest of them takes up in any layout; written only once that looks right.
    unsafe {
        for _ in 0..2 {
            if luaL_loadstring(lua, MAKE.as_ptr()) != LUA_OK || lua_pcall(lua, 0, 3, 0) != LUA_OK {
                return false;
            }
        }
        lua_pushvalue(lua, LUA_GLOBALSINDEX);
        let globals = lua_topointer(lua, -1);
        let looks_right = |index: c_int, count: u8| {
            let (closure, _) = closure(lua, index);
            let closure = &*closure;
            c_int::from(closure.kind) == LUA_TFUNCTION
                && closure.is_c == 0
                && closure.upvalues == count
                && closure.environment == globals
        };
        if !(looks_right(1, 2) && looks_right(2, 1) && looks_right(3, 1) && looks_right(6, 1)) {
            return false;
        }
        let variable = |index: c_int, number: isize| *closure(lua, index).1.offset(number - 1);
        let shared = variable(1, 1) == variable(3, 1) && variable(1, 2) == variable(2, 1);
        let distinct = variable(1, 1) != variable(1, 2) && variable(4, 1) != variable(1, 1);
        if !(shared && distinct) {
            return false;
        }
        // The second set's third closure gets the first set's variable `a`.
        join_raw(lua, 6, 1, 1, 1);
        lua_pushvalue(lua, 1);
        lua_pushnumber(lua, 7.0);
        if lua_pcall(lua, 1, 0, 0) != LUA_OK {
            return false;
        }
        lua_pushvalue(lua, 6);
        lua_pcall(lua, 0, 1, 0) == LUA_OK && lua_tonumber(lua, -1) == 7.0
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_layout_of_closures_is_the_known_one() {
        assert!(super::is_known());
    }
}
