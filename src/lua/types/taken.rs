//! The locks that a Lua state has taken and not given back, by number or of mutexes: whoever closes the state gives them
//! back. A program may have several states, and lives on when one is closed.

use std::cell::RefCell;
use std::ffi::CStr;
use std::sync::{Arc, Weak};

use rustc_hash::FxHashMap;

use crate::call::Outcome;
use crate::ffi::*;
use crate::lua_function;
use llib_core::shared::Object;
use llib_core::shm::Tree;
use llib_core::sync::Unlocked;

/// Where the record stands in the registry.
const TAKEN: &CStr = c"llib.taken";

/// Which lock it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Number(i64),
    /// Of the object with this id.
    Mutex(u64),
}

/// How often it was taken, and the mutex.
#[derive(Default)]
struct Times {
    count: u64,
    object: Option<Weak<Object>>,
}

/// The userdata's contents. None once the state is being closed.
type Record = RefCell<Option<FxHashMap<Key, Times>>>;

/// Which lock is meant.
#[derive(Clone, Copy)]
pub(super) enum Which<'a> {
    Number(i64),
    Mutex(&'a Arc<Object>),
}

impl Which<'_> {
    fn key(self) -> Key {
        match self {
            Which::Number(id) => Key::Number(id),
            Which::Mutex(object) => Key::Mutex(object.id()),
        }
    }
}

/// Makes the state's record, where there is none.
///
/// # Safety
/// `lua` is a valid state with four free stack slots, in a protected call.
pub unsafe fn register(lua: *mut lua_State) {
    const { assert!(align_of::<Record>() <= 8) };
    // SAFETY: userdata are aligned for pointers and numbers, and stay where they are. The finalizer comes once the contents
    // are there; balanced.
    unsafe {
        if lua_getfield(lua, LUA_REGISTRYINDEX, TAKEN.as_ptr()) == LUA_TNIL {
            let place = lua_newuserdatauv(lua, size_of::<Record>(), 0).cast::<Record>();
            place.write(RefCell::new(Some(FxHashMap::default())));
            lua_createtable(lua, 0, 1);
            lua_pushcfunction(lua, close);
            lua_setfield(lua, -2, c"__gc".as_ptr());
            lua_setmetatable(lua, -2);
            lua_setfield(lua, LUA_REGISTRYINDEX, TAKEN.as_ptr());
        }
        lua_pop(lua, 1);
    }
}

/// The state's record.
unsafe fn record<'a>(lua: *mut lua_State) -> Option<&'a Record> {
    // SAFETY: the caller's state with a free slot. The registry keeps the userdata, which nobody else can reach, until the
    // state is closed; there it loses its contents and not its place.
    unsafe {
        lua_getfield(lua, LUA_REGISTRYINDEX, TAKEN.as_ptr());
        let place = lua_touserdata(lua, -1).cast::<Record>().cast_const();
        lua_pop(lua, 1);
        place.as_ref()
    }
}

/// Notes that a lock was taken once more.
///
/// # Safety
/// `lua` is a valid state with a free stack slot, in a protected call.
pub(super) unsafe fn note(lua: *mut lua_State, which: Which<'_>) {
    // SAFETY: as demanded.
    let Some(record) = (unsafe { record(lua) }) else { return };
    let mut record = record.borrow_mut();
    let Some(locks) = record.as_mut() else { return };
    let times = locks.entry(which.key()).or_default();
    times.count += 1;
    if let (Which::Mutex(object), 1) = (which, times.count) {
        times.object = Some(Arc::downgrade(object));
    }
}

/// Notes that a lock was given back once.
///
/// # Safety
/// As [`note`].
pub(super) unsafe fn forget(lua: *mut lua_State, which: Which<'_>) {
    // SAFETY: as demanded.
    let Some(record) = (unsafe { record(lua) }) else { return };
    let mut record = record.borrow_mut();
    let Some(locks) = record.as_mut() else { return };
    // Another state of this thread may have taken it.
    let Some(times) = locks.get_mut(&which.key()) else { return };
    times.count -= 1;
    if times.count == 0 {
        locks.remove(&which.key());
    }
}

lua_function!(close => close_body);

unsafe fn close_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state, which calls this with the userdata when it is closed; what has reached it by the debug library
    // gets at no other with this finalizer.
    let record = unsafe { lua_touserdata(lua, 1).cast::<Record>().as_ref() };
    let locks = record.and_then(|record| record.borrow_mut().take()).unwrap_or_default();
    // A process that was forked has its parent's record, and none of the locks.
    let Some(tree) = Tree::joined() else { return Ok(0) };
    let (Ok(owners), Ok(table), Ok(me)) = (tree.owners(), tree.locks(), tree.me()) else { return Ok(0) };
    for (key, times) in locks {
        for _ in 0..times.count {
            let unlocked = match key {
                Key::Number(id) => table.release(id, owners, me).unwrap_or(Unlocked::NotHeld),
                Key::Mutex(_) => {
                    let object = times.object.as_ref().and_then(Weak::upgrade);
                    object.map_or(Unlocked::NotHeld, |object| object.unlock())
                }
            };
            if unlocked == Unlocked::NotHeld {
                break;
            }
        }
    }
    Ok(0)
}
