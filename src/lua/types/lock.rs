//! `thread.lock` and `thread.unlock`: locks by number.

use crate::ffi::*;

use super::{handle, outcome};
use crate::call::{Outcome, Raise, milliseconds, wrong_type};
use crate::hooks;
use llib_core::observe::trace;
use llib_core::shm::{LOCKS, LockTable, LockTableError, Seeker, Tree, TreeError};
use llib_core::sync::{Acquired, Unlocked};

fn raise(error: TreeError) -> Raise {
    Raise::Message(format!("locks cannot be used: {error}"))
}

fn raise_table(error: LockTableError) -> Raise {
    match error {
        LockTableError::Full => Raise::Message(format!(
            "too many locks are held at once: the table has room for {LOCKS}, and none is left for this one"
        )),
        LockTableError::Memory(error) => Raise::Message(format!("the table of locks cannot grow: {error}")),
        LockTableError::Stopped => Raise::Message("waiting for the lock was interrupted".to_owned()),
    }
}

unsafe fn number(lua: *mut lua_State) -> Result<i64, Raise> {
    // SAFETY: Lua's state. A string is none, also one of digits.
    unsafe {
        let mut is_integer = 0;
        let id = lua_tointegerx(lua, 1, &mut is_integer);
        if lua_type(lua, 1) != LUA_TNUMBER {
            return Err(wrong_type(lua, 1, "integer"));
        }
        if is_integer == 0 {
            return Err(Raise::Argument(1, "number has no integer representation".to_owned()));
        }
        Ok(id)
    }
}

fn table() -> Result<(&'static Tree, &'static LockTable), Raise> {
    let tree = Tree::current().map_err(raise)?;
    Ok((tree, tree.locks().map_err(raise)?))
}

/// `thread.lock(id [, ms])`
///
/// # Safety
/// Called by Lua.
pub unsafe fn lock(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state.
    unsafe {
        let (id, time) = (number(lua)?, milliseconds(lua, 2)?);
        let (tree, table) = table()?;
        let owners = tree.owners().map_err(raise)?;
        let seeker = Seeker { owners, me: tree.me().map_err(raise)?, end: handle::end_of(time) };
        let acquired = hooks::patiently(lua, |patience| table.acquire(id, &seeker, patience))?;
        match acquired.map_err(raise_table)? {
            acquired @ (Acquired::Yes | Acquired::Abandoned) => {
                let abandoned = acquired == Acquired::Abandoned;
                trace::held(|| format!("lock {id}"), abandoned);
                Ok(outcome::push_locked(lua, abandoned))
            }
            Acquired::TimedOut => {
                Ok(outcome::push_timeout(lua, &format!("lock {id} could not be had"), time))
            }
            Acquired::Stopped => Err(raise_table(LockTableError::Stopped)),
        }
    }
}

/// `thread.unlock(id)`
///
/// # Safety
/// Called by Lua.
pub unsafe fn unlock(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state.
    let id = unsafe { number(lua)? };
    let (tree, table) = table()?;
    let owners = tree.owners().map_err(raise)?;
    match table.release(id, owners, tree.me().map_err(raise)?).map_err(raise_table)? {
        Unlocked::Yes => {
            trace::released(|| format!("lock {id}"));
            Ok(0)
        }
        Unlocked::Still => Ok(0),
        Unlocked::NotHeld => Err(Raise::Message(format!("lock {id} is not held by this process"))),
    }
}
