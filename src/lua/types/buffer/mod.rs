//! The buffer: one value in shared memory.

mod access;
mod operators;
mod store;

use std::ffi::CStr;

use crate::ffi::*;

use super::handle;
use crate::call::{Outcome, Raise, bytes, set_functions, wrong_type};
use crate::lua_function;
use crate::version::operator;
use llib_core::observe::trace;
use llib_core::shared::Kind;

/// The methods that win over fields of the value.
const METHODS: [(&CStr, lua_CFunction); 4] =
    [(c"clean", clean), (c"get", get), (c"mod", mod_entry), (c"set", set)];

/// Completes the metatable on top.
pub(super) unsafe fn add_methods(lua: *mut lua_State) {
    // SAFETY: called with the metatable on top and free slots, in a protected call.
    unsafe {
        lua_createtable(lua, 0, METHODS.len() as _);
        set_functions(lua, &METHODS);
        lua_pushcclosure(lua, access::index, 1);
        lua_setfield(lua, -2, c"__index".as_ptr());
        set_functions(lua, &[(c"__newindex", access::new_index), (c"__pairs", access::pairs)]);
        operators::add(lua);
    }
}

/// `thread.buffer(value)`
///
/// # Safety
/// Called by Lua.
pub unsafe fn new(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state. The userdata is there before the object is.
    unsafe {
        lua_settop(lua, 1);
        let slot = handle::push_empty(lua, Kind::Buffer);
        let object = handle::create(lua, Kind::Buffer)?;
        handle::fill(slot, object.clone());
        store::replace(lua, &object, 1)?;
        lua_settop(lua, 2);
    }
    Ok(1)
}

/// The error on top of the stack. Those that Lua raises itself for operands of a C function have no position; they
/// get that of the script.
///
/// # Safety
/// `lua` is a valid state with a value on top.
unsafe fn located(lua: *mut lua_State) -> Raise {
    // SAFETY: as demanded; the text is copied.
    let text = unsafe { bytes(lua, -1) };
    text.and_then(operator::message).map_or(Raise::Object, Raise::Message)
}

lua_function!(clean => clean_body);
lua_function!(get => get_body);
lua_function!(mod_entry => modify_body);
lua_function!(set => set_body);

// Every body below is called by Lua with its state: that is the SAFETY argument of each.

unsafe fn clean_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe { handle::clean(lua, Kind::Buffer) }
}

unsafe fn get_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let object = handle::object(lua, 1, Kind::Buffer)?;
        store::push_copy(lua, &object)?;
    }
    Ok(1)
}

unsafe fn set_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let object = handle::object(lua, 1, Kind::Buffer)?;
        if lua_gettop(lua) < 2 {
            return Err(wrong_type(lua, 2, "value"));
        }
        store::replace(lua, &object, 2)?;
    }
    Ok(0)
}

unsafe fn modify_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above. What the function raises ends at the protected call.
    unsafe {
        let object = handle::object(lua, 1, Kind::Buffer)?;
        if lua_type(lua, 2) != LUA_TFUNCTION {
            return Err(wrong_type(lua, 2, "function"));
        }
        lua_settop(lua, 2);
        let _span = trace::span("buffer", || format!("mod {}", object.title()));
        let change = store::lock_to_change(lua, &object)?;
        store::push_copy(lua, &object)?;
        if lua_pcall(lua, 1, 1, 0) != LUA_OK {
            return Err(Raise::Object);
        }
        if lua_type(lua, -1) == LUA_TNIL {
            // As it was. The new value is the old one.
            lua_settop(lua, 1);
            store::push_copy(lua, &object)?;
        } else {
            store::replace_locked(lua, change.guard(), 2)?;
        }
    }
    Ok(1)
}
