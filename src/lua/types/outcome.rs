//! What waiting calls return, and what mutexes and channels have in common.

use std::time::Duration;

use crate::ffi::*;

use super::{failure, handle};
use crate::call::{Outcome, push_text, set_functions};
use crate::lua_function;
use llib_core::shared::Kind;
use llib_core::wire::kind::Kind as Failure;

/// Pushes what a successful `lock` returns.
///
/// # Safety
/// `lua` is a valid state with two free stack slots.
pub(super) unsafe fn push_locked(lua: *mut lua_State, abandoned: bool) -> std::ffi::c_int {
    // SAFETY: as demanded.
    unsafe {
        lua_pushboolean(lua, 1);
        if !abandoned {
            return 1;
        }
        push_text(lua, "abandoned");
    }
    2
}

/// Pushes `nil` and a failure of kind `timeout`.
///
/// # Safety
/// `lua` is a valid state with five free stack slots, in a protected call.
pub(super) unsafe fn push_timeout(
    lua: *mut lua_State,
    what: &str,
    time: Option<Duration>,
) -> std::ffi::c_int {
    let waited = time.unwrap_or_default().as_secs_f64() * 1000.0;
    // SAFETY: as demanded.
    unsafe {
        lua_pushnil(lua);
        failure::register(lua);
        failure::push(lua, Failure::Timeout, &format!("{what} within {waited} ms"));
    }
    2
}

lua_function!(eq => eq_body);
lua_function!(to_string => to_string_body);

/// Sets `__eq` and `__tostring` of the metatable on top: two handles of an object are equal.
///
/// # Safety
/// `lua` is a valid state with a table on top and a free slot, in a protected call.
pub(super) unsafe fn add_identity(lua: *mut lua_State) {
    // SAFETY: as demanded.
    unsafe { set_functions(lua, &[(c"__eq", eq), (c"__tostring", to_string)]) }
}

unsafe fn eq_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state with two operands.
    unsafe {
        let id = |index| {
            [Kind::Mutex, Kind::Channel].into_iter().find_map(|kind| {
                let slot = handle::test(lua, index, kind);
                if slot.is_null() { None } else { (*slot).borrow().as_ref().map(|object| object.id()) }
            })
        };
        let same = id(1).is_some() && id(1) == id(2);
        lua_pushboolean(lua, same.into());
    }
    Ok(1)
}

unsafe fn to_string_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state.
    unsafe {
        for kind in [Kind::Mutex, Kind::Channel] {
            let slot = handle::test(lua, 1, kind);
            if !slot.is_null() {
                let name = handle::name(kind).to_string_lossy();
                let id = (*slot).borrow().as_ref().map(|object| object.id());
                push_text(lua, &id.map_or(format!("{name}: cleaned"), |id| format!("{name}: {id:016x}")));
                return Ok(1);
            }
        }
        push_text(lua, "llib object");
    }
    Ok(1)
}
