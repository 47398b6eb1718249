//! The mutex object.

use crate::ffi::*;

use super::{handle, outcome};
use crate::call::{Outcome, Raise, milliseconds, set_functions, wrong_type};
use crate::lua_function;
use llib_core::observe::trace;
use llib_core::shared::{Guard, Kind, Object};
use llib_core::sync::Unlocked;

lua_function!(free => free_body);
lua_function!(lock => lock_body);
lua_function!(trylock => trylock_body);
lua_function!(unlock => unlock_body);
lua_function!(with => with_body);

/// Completes the metatable on top.
pub(super) unsafe fn add_methods(lua: *mut lua_State) {
    // SAFETY: called with the metatable on top and free slots, in a protected call.
    unsafe {
        lua_createtable(lua, 0, 5);
        set_functions(
            lua,
            &[(c"free", free), (c"lock", lock), (c"trylock", trylock), (c"unlock", unlock), (c"with", with)],
        );
        lua_setfield(lua, -2, c"__index".as_ptr());
        outcome::add_identity(lua);
    }
}

/// `thread.mutex()`
///
/// # Safety
/// Called by Lua.
pub unsafe fn new(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state. The userdata is there before the object is.
    unsafe {
        let slot = handle::push_empty(lua, Kind::Mutex);
        let object = handle::create(lua, Kind::Mutex)?;
        handle::fill(slot, object);
    }
    Ok(1)
}

// Every body below is called by Lua with its state: that is the SAFETY argument of each.

unsafe fn free_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe { handle::clean(lua, Kind::Mutex) }
}

unsafe fn lock_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let object = handle::object(lua, 1, Kind::Mutex)?;
        let time = milliseconds(lua, 2)?;
        match handle::lock(lua, &object, handle::end_of(time))? {
            Some(guard) => {
                let abandoned = guard.abandoned();
                guard.keep();
                trace::held(|| object.title(), abandoned);
                Ok(outcome::push_locked(lua, abandoned))
            }
            None => Ok(outcome::push_timeout(lua, "the mutex could not be had", time)),
        }
    }
}

unsafe fn trylock_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let object = handle::object(lua, 1, Kind::Mutex)?;
        let now = Some(std::time::Duration::ZERO);
        match handle::lock(lua, &object, handle::end_of(now))? {
            Some(guard) => {
                let abandoned = guard.abandoned();
                guard.keep();
                trace::held(|| object.title(), abandoned);
                Ok(outcome::push_locked(lua, abandoned))
            }
            None => {
                lua_pushboolean(lua, 0);
                Ok(1)
            }
        }
    }
}

unsafe fn unlock_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    let object = unsafe { handle::object(lua, 1, Kind::Mutex)? };
    release(&object)?;
    Ok(0)
}

fn release(object: &Object) -> Result<(), Raise> {
    match object.unlock() {
        Unlocked::NotHeld => Err(Raise::Message("this process does not hold the mutex".to_owned())),
        Unlocked::Yes => {
            trace::released(|| object.title());
            Ok(())
        }
        Unlocked::Still => Ok(()),
    }
}

/// `m:with(f, ...)`: calls `f(...)` with the mutex held, and returns what that returns.
unsafe fn with_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above. What the function raises ends at the protected call.
    unsafe {
        let object = handle::object(lua, 1, Kind::Mutex)?;
        if lua_type(lua, 2) != LUA_TFUNCTION {
            return Err(wrong_type(lua, 2, "function"));
        }
        let guard = handle::lock(lua, &object, None)?;
        trace::held(|| object.title(), guard.as_ref().is_some_and(Guard::abandoned));
        let status = lua_pcall(lua, lua_gettop(lua) - 2, LUA_MULTRET, 0);
        // Gives back what the function left; one that it gave back itself is not there any more.
        drop(guard);
        if trace::on() && !object.is_locked_here() {
            trace::released(|| object.title());
        }
        if status == LUA_OK { Ok(lua_gettop(lua) - 1) } else { Err(Raise::Object) }
    }
}
