//! Handles: userdata that stand for an object in shared memory, and how they travel.

use std::cell::RefCell;
use std::ffi::{CStr, c_int};
use std::sync::Arc;

use crate::ffi::*;

use crate::call::{Outcome, Raise, wrong_type};
use crate::convert::Handles;
use crate::hooks;
use crate::lua_function;
use crate::version::collector;
use llib_core::shared::{Guard, Kind, LockError, MOST_HANDLES, Object, ObjectError, attach};
use llib_core::sys::clock;

/// The userdata's contents: the object, until the handle is cleaned.
pub(super) type Slot = RefCell<Option<Arc<Object>>>;

/// The metatable's name in the registry.
pub(super) fn name(kind: Kind) -> &'static CStr {
    match kind {
        Kind::Buffer => c"llib.buffer",
        Kind::Mutex => c"llib.mutex",
        Kind::Channel => c"llib.channel",
    }
}

/// What errors call it.
fn noun(kind: Kind) -> &'static str {
    match kind {
        Kind::Buffer => "buffer",
        Kind::Mutex => "mutex",
        Kind::Channel => "channel",
    }
}

/// Pushes a userdata that has no object yet.
///
/// # Safety
/// `lua` is a valid state with eight free stack slots, in a protected call.
pub(super) unsafe fn push_empty(lua: *mut lua_State, kind: Kind) -> *const Slot {
    const { assert!(align_of::<Slot>() <= 8) };
    // SAFETY: userdata are aligned for pointers and numbers, and stay where they are. The metatable, and with it
    // the finalizer, comes only once the contents are there.
    unsafe {
        let place = lua_newuserdatauv(lua, size_of::<Slot>(), 0).cast::<Slot>();
        place.write(RefCell::new(None));
        push_metatable(lua, kind);
        lua_setmetatable(lua, -2);
        place
    }
}

/// Gives a userdata its object.
///
/// # Safety
/// `slot` comes from [`push_empty`] and is still on the stack.
pub(super) unsafe fn fill(slot: *const Slot, object: Arc<Object>) {
    // SAFETY: the userdata lives, see above.
    unsafe { *(*slot).borrow_mut() = Some(object) };
}

unsafe fn push_metatable(lua: *mut lua_State, kind: Kind) {
    // SAFETY: the caller's state with free slots, in a protected call. A table that was not finished, for want of
    // memory, is none of these names yet: `luaL_newmetatable` would leave it, so it is entered last.
    unsafe {
        if lua_getfield(lua, LUA_REGISTRYINDEX, name(kind).as_ptr()) == LUA_TTABLE {
            return;
        }
        lua_pop(lua, 1);
        lua_createtable(lua, 0, 24);
        lua_pushstring(lua, name(kind).as_ptr());
        lua_pushvalue(lua, -1);
        lua_setfield(lua, -3, c"__name".as_ptr());
        lua_setfield(lua, -2, c"__metatable".as_ptr());
        lua_pushcfunction(lua, collect);
        lua_setfield(lua, -2, c"__gc".as_ptr());
        match kind {
            Kind::Buffer => super::buffer::add_methods(lua),
            Kind::Mutex => super::mutex::add_methods(lua),
            Kind::Channel => super::channel::add_methods(lua),
        }
        lua_pushvalue(lua, -1);
        lua_setfield(lua, LUA_REGISTRYINDEX, name(kind).as_ptr());
    }
}

/// Makes every metatable that objects may come to need.
///
/// # Safety
/// `lua` is a valid state with eight free stack slots, in a protected call.
pub unsafe fn register_all(lua: *mut lua_State) {
    for kind in [Kind::Buffer, Kind::Mutex, Kind::Channel] {
        // SAFETY: as demanded; balanced.
        unsafe {
            push_metatable(lua, kind);
            lua_pop(lua, 1);
        }
    }
}

/// The slot of the userdata at `index`, null for any other value.
///
/// # Safety
/// `lua` is a valid state with two free stack slots. The userdata has to stay on the stack while it is used.
pub(super) unsafe fn test(lua: *mut lua_State, index: c_int, kind: Kind) -> *const Slot {
    // SAFETY: a userdata with this metatable was made by `push_empty`: scripts cannot reach the metatable
    // (`__metatable` hides it) without the debug library. One of another size was given it by such means.
    unsafe {
        let slot = luaL_testudata(lua, index, name(kind).as_ptr()).cast::<Slot>();
        if slot.is_null() || lua_rawlen(lua, index) as usize != size_of::<Slot>() {
            return std::ptr::null();
        }
        slot
    }
}

/// The object of the handle at `index`.
///
/// # Safety
/// As [`test`].
pub(super) unsafe fn object(lua: *mut lua_State, index: c_int, kind: Kind) -> Result<Arc<Object>, Raise> {
    // SAFETY: as demanded.
    unsafe {
        let slot = test(lua, index, kind);
        if slot.is_null() {
            return Err(wrong_type(lua, index, &name(kind).to_string_lossy()));
        }
        let object = (*slot).borrow().clone();
        object.ok_or_else(|| Raise::Message(format!("this handle of a {} has been cleaned", noun(kind))))
    }
}

/// Frees the handle at index 1 now.
///
/// # Safety
/// As [`test`].
pub(super) unsafe fn clean(lua: *mut lua_State, kind: Kind) -> Outcome {
    // SAFETY: as demanded.
    unsafe {
        let slot = test(lua, 1, kind);
        if slot.is_null() {
            return Err(wrong_type(lua, 1, &name(kind).to_string_lossy()));
        }
        let object = (*slot).borrow_mut().take();
        drop(object);
    }
    Ok(0)
}

lua_function!(collect => collect_body);

unsafe fn collect_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state. The collector calls this once; a script that calls it through the debug library
    // finds a cleaned handle afterwards, which has nothing to drop.
    unsafe {
        for kind in [Kind::Buffer, Kind::Mutex, Kind::Channel] {
            let slot = test(lua, 1, kind);
            if !slot.is_null() {
                let object = (*slot).borrow_mut().take();
                drop(object);
            }
        }
    }
    Ok(0)
}

/// Takes an object's lock; waits until the time `end`, if there is one. `None`: the time is over.
///
/// # Safety
/// `lua` is a valid state with four free stack slots.
pub(super) unsafe fn lock<'a>(
    lua: *mut lua_State,
    object: &'a Object,
    end: Option<u64>,
) -> Result<Option<Guard<'a>>, Raise> {
    if let Some(guard) = object.try_lock() {
        return Ok(Some(guard));
    }
    // SAFETY: as demanded.
    outcome_of(unsafe { hooks::patiently(lua, |patience| object.lock(end, patience))? })
}

/// The same for a lock that its owner is about to give back, see [`llib_core::sync::LockRef::acquire_brief`]. `None`: it does not.
///
/// # Safety
/// As [`lock`].
pub(super) unsafe fn lock_brief<'a>(
    lua: *mut lua_State,
    object: &'a Object,
    end: Option<u64>,
) -> Result<Option<Guard<'a>>, Raise> {
    if let Some(guard) = object.try_lock() {
        return Ok(Some(guard));
    }
    // SAFETY: as demanded.
    outcome_of(unsafe { hooks::patiently(lua, |patience| object.lock_brief(end, patience))? })
}

fn outcome_of(outcome: Result<Guard<'_>, LockError>) -> Result<Option<Guard<'_>>, Raise> {
    match outcome {
        Ok(guard) => Ok(Some(guard)),
        Err(LockError::TimedOut) => Ok(None),
        Err(LockError::NoOwner(error)) => Err(Raise::Message(error.to_string())),
        Err(LockError::Stopped) => Err(Raise::Message("waiting for the lock was interrupted".to_owned())),
    }
}

/// When a wait of an optional number of milliseconds ends.
pub(super) fn end_of(time: Option<std::time::Duration>) -> Option<u64> {
    time.map(clock::after)
}

/// Creates an object. Handles that nobody uses may take up what is missing, so a failure is tried again after a
/// collection.
///
/// # Safety
/// `lua` is a valid state.
pub(super) unsafe fn create(lua: *mut lua_State, kind: Kind) -> Result<Arc<Object>, Raise> {
    let created = llib_core::shared::create(kind).or_else(|error| match error {
        ObjectError::Tree(llib_core::shm::TreeError::Memory(_)) => {
            // SAFETY: as demanded.
            unsafe { collector::collect(lua) };
            llib_core::shared::create(kind)
        }
        error => Err(error),
    });
    created.map_err(|error| Raise::Message(format!("failed to create a {}: {error}", noun(kind))))
}

/// Handles in messages, for the codec. The objects of those that are sent are noted, each as often as it is.
#[derive(Default)]
pub struct Objects(pub(super) Vec<Arc<Object>>);

impl Handles for Objects {
    unsafe fn export(&mut self, lua: *mut lua_State, index: c_int) -> Option<Result<(u8, Vec<u8>), String>> {
        for kind in [Kind::Buffer, Kind::Channel, Kind::Mutex] {
            // SAFETY: the codec calls this with a userdata there and free slots; nothing here raises but
            // for want of memory, which `luaL_testudata` does not need.
            let slot = unsafe { test(lua, index, kind) };
            if slot.is_null() {
                continue;
            }
            // SAFETY: the userdata is on the stack.
            let object = unsafe { (*slot).borrow().clone() };
            let Some(object) = object else {
                return Some(Err(format!("this handle of a {} has been cleaned", noun(kind))));
            };
            if !object.can_travel() {
                let noun = noun(kind);
                return Some(Err(format!(
                    "this {noun} was made before this process changed its user or root directory, and jobs cannot open it; they could if \
                     a job had been started before the change"
                )));
            }
            if self.0.len() >= MOST_HANDLES {
                return Some(Err(format!("there are more than {MOST_HANDLES} handles")));
            }
            let id = object.id().to_le_bytes().to_vec();
            self.0.push(object);
            return Some(Ok((kind as u8, id)));
        }
        None
    }

    unsafe fn import(&mut self, lua: *mut lua_State, kind: u8, bytes: &[u8]) -> Result<(), String> {
        let known = Kind::from_code(u32::from(kind));
        let (Some(kind), Ok(id)) = (known, <[u8; 8]>::try_from(bytes)) else {
            return Err(format!("the message is damaged: a handle of an unknown kind ({kind})"));
        };
        // SAFETY: below `lua_pcall` with free slots. The userdata comes first, so that no object is on this frame
        // when Lua raises for want of memory.
        unsafe {
            let slot = push_empty(lua, kind);
            match attach(u64::from_le_bytes(id)) {
                Ok(object) if object.kind() == kind => fill(slot, object),
                other => {
                    lua_pop(lua, 1);
                    let reason =
                        other.err().map_or("it is something else".to_owned(), |error| error.to_string());
                    return Err(format!("a handle of a {}: {reason}", noun(kind)));
                }
            }
        }
        Ok(())
    }

    fn exported(&self) -> usize {
        self.0.len()
    }

    fn withdraw(&mut self, keep: usize) {
        self.0.truncate(keep);
    }
}
