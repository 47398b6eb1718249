//! The task object: a job as scripts hold it, with a worker of its own or one of a pool's.

use std::cell::{Cell, RefCell};
use std::ffi::CStr;
use std::rc::Rc;
use std::time::Duration;

use llib_lua::ffi::*;

use super::sandbox::Report;
use llib_core::wire::limits::Limits;
use llib_host::{Dispatched, Settled};
use llib_lua::call::{Raise, wrong_type};
use llib_lua::hooks;

/// The metatable's name in the registry.
pub const TASK: &CStr = c"llib.task";

/// What a task remembers of how it was started.
#[derive(Clone)]
pub(super) struct Facts {
    pub(super) name: Rc<str>,
    pub(super) timeout: Option<Duration>,
    pub(super) limits: Limits,
    /// For a sandboxed job: what was enforced, and what its result may contain.
    pub(super) sandbox: Option<Rc<Sandboxed>>,
    pub(super) captures: bool,
}

/// What a task remembers of its job's sandbox.
pub(super) struct Sandboxed {
    pub(super) report: Report,
    pub(super) functions: bool,
    pub(super) metatables: bool,
}

/// The userdata's contents.
pub(super) struct Task {
    pub(super) facts: Facts,
    job: RefCell<Option<Rc<dyn Dispatched>>>,
    pub(super) paused: Cell<bool>,
    pub(super) id: Cell<u64>,
}

impl Task {
    /// The job, unless the task was cleaned.
    pub(super) fn job(&self) -> Result<Rc<dyn Dispatched>, Raise> {
        let cleaned = || Raise::Message(format!("task '{}' has been cleaned", self.facts.name));
        self.job.borrow().clone().ok_or_else(cleaned)
    }

    /// Ends the job, if it runs: its process and all it started are gone when this returns. Then frees it.
    ///
    /// # Safety
    /// `lua` is a valid state with four free stack slots.
    pub(super) unsafe fn end(&self, lua: *mut lua_State) -> Result<(), Raise> {
        let gone = |job: &dyn Dispatched| matches!(job.settled(), Some(Settled::Death(_) | Settled::Lost));
        if let Some(job) = self.job().ok().filter(|job| !gone(&**job)) {
            // SAFETY: as demanded.
            unsafe { hooks::patiently(lua, |patience| job.signal(libc::SIGKILL, patience))? };
        }
        self.clean();
        Ok(())
    }

    /// Frees everything of the job, without waiting for its process to go.
    pub(super) fn clean(&self) {
        let job = self.job.borrow_mut().take();
        // Other holders are calls on this very task, which let go of it before they return: the last one frees it then.
        if let Some(mut job) = job
            && let Some(job) = Rc::get_mut(&mut job)
        {
            job.release();
        }
    }
}

/// Pushes a task without a job yet.
///
/// # Safety
/// `lua` is a valid state with three free stack slots, its metatable registered, in a protected call. The task has to stay
/// reachable until it is filled.
pub(super) unsafe fn push_empty(lua: *mut lua_State, facts: Facts) -> *const Task {
    let task = Task { facts, job: RefCell::new(None), paused: Cell::new(false), id: Cell::new(0) };
    const { assert!(align_of::<Task>() <= 8) };
    // SAFETY: userdata are aligned for pointers and numbers, and stay where they are. The metatable, and with it
    // the finalizer, comes only once the contents are there.
    unsafe {
        let place = lua_newuserdatauv(lua, size_of::<Task>(), 0).cast::<Task>();
        place.write(task);
        luaL_getmetatable(lua, TASK.as_ptr());
        lua_setmetatable(lua, -2);
        place
    }
}

/// Gives a task its job.
///
/// # Safety
/// `task` comes from [`push_empty`] and is still on the stack.
pub(super) unsafe fn fill(task: *const Task, job: impl Dispatched + 'static) {
    // SAFETY: the userdata lives, see above.
    let task = unsafe { &*task };
    task.id.set(job.id());
    *task.job.borrow_mut() = Some(Rc::new(job));
}

/// The task at index 1.
///
/// # Safety
/// `lua` is a valid state. The task has to stay on the stack while the reference is used.
pub(super) unsafe fn check<'a>(lua: *mut lua_State) -> Result<&'a Task, Raise> {
    // SAFETY: a userdata with this metatable was made by `push_empty`: scripts cannot reach the metatable
    // (`__metatable` hides it) without the debug library.
    unsafe {
        let task = luaL_testudata(lua, 1, TASK.as_ptr()).cast::<Task>();
        if task.is_null() { Err(wrong_type(lua, 1, "llib.task")) } else { Ok(&*task) }
    }
}

/// Drops the task at index 1. The collector calls this once and nobody reaches the userdata afterwards; a
/// script that calls it through the debug library finds it no task any more.
///
/// # Safety
/// `lua` is a valid state with a free stack slot; no reference to the task is left.
pub(super) unsafe fn collect(lua: *mut lua_State) {
    // SAFETY: as demanded, and see `check`.
    unsafe {
        let task = luaL_testudata(lua, 1, TASK.as_ptr()).cast::<Task>();
        if !task.is_null() {
            lua_pushnil(lua);
            lua_setmetatable(lua, 1);
            task.drop_in_place();
        }
    }
}
