//! What a script can ask of its process: who it is, what there is.

use llib_lua::ffi::*;

use llib_host::Session;
use llib_lua::call::Outcome;
use llib_lua::convert::push_own;
use llib_lua::hooks;

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
    unsafe { push_own(lua, 0) };
    Ok(1)
}

/// `thread.close()`: ends the supervisors. A sandboxed job has none of its own.
///
/// # Safety
/// Called by Lua.
pub(super) unsafe fn close(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state.
    unsafe { hooks::patiently(lua, |patience| Session::close_current(patience))? };
    Ok(0)
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
