//! What a script can ask of its process: who it is, what there is.

use std::ffi::CStr;

use llib_lua::ffi::*;

use llib_host::Session;
use llib_lua::call::Outcome;

/// Where a worker keeps the job's `res`, for `thread.self()`.
const SELF: &CStr = c"llib.self";

/// Sets what `thread.self()` returns: the value on top, which is popped.
///
/// # Safety
/// `lua` is a valid state with a value on top.
pub unsafe fn set_self(lua: *mut lua_State) {
    // SAFETY: as demanded.
    unsafe { lua_setfield(lua, LUA_REGISTRYINDEX, SELF.as_ptr()) }
}

/// `thread.cores()`
///
/// # Safety
/// Called by Lua.
pub(super) unsafe fn cores(lua: *mut lua_State) -> Outcome {
    let cores = llib_core::sys::cores::count();
    // SAFETY: Lua's state.
    unsafe { lua_pushinteger(lua, cores as lua_Integer) };
    Ok(1)
}

/// `thread.self()`
///
/// # Safety
/// Called by Lua.
pub(super) unsafe fn own(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state.
    unsafe { lua_getfield(lua, LUA_REGISTRYINDEX, SELF.as_ptr()) };
    Ok(1)
}

/// `thread.stats()`: process ids of the supervisors and numbers of the slot table; an empty table before the first job.
///
/// # Safety
/// Called by Lua.
pub(super) unsafe fn stats(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state.
    unsafe {
        lua_createtable(lua, 0, 4);
        if let Some(stats) = Session::current_stats() {
            let fields = [
                (c"guard", i64::from(stats.guard)),
                (c"zygote", i64::from(stats.zygote)),
                (c"spares", stats.spares as i64),
                (c"jobs", stats.jobs as i64),
            ];
            for (name, value) in fields {
                lua_pushinteger(lua, value);
                lua_setfield(lua, -2, name.as_ptr());
            }
        }
    }
    Ok(1)
}
