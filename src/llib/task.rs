//! The task object: a job as scripts hold it, with a worker of its own or one of a pool's.

use std::cell::{Cell, RefCell};
use std::ffi::CStr;
use std::rc::Rc;
use std::time::Duration;

use llib_lua::ffi::*;

use super::sandbox::Report;
use llib_core::wire::limits::Limits;
use llib_host::{Dispatched, Settled};
use llib_lua::call::Raise;
use llib_lua::hooks;
use llib_lua::userdata::{self, Userdata};

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
    pub(super) id: Cell<u64>,
}

impl Userdata for Task {
    const NAME: &CStr = c"llib.task";
}

impl Task {
    /// The job, unless the task was cleaned, or is another process's.
    pub(super) fn job(&self) -> Result<Rc<dyn Dispatched>, Raise> {
        let problem = match &*self.job.borrow() {
            Some(job) if job.is_ours() => return Ok(Rc::clone(job)),
            Some(_) => "belongs to the process that this one was forked from",
            None => "has been cleaned",
        };
        Err(Raise::Message(format!("task '{}' {problem}", self.facts.name)))
    }

    /// Whether it is that of a process from which this one was forked.
    pub(super) fn is_foreign(&self) -> bool {
        self.job.borrow().as_ref().is_some_and(|job| !job.is_ours())
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
/// As for [`userdata::push`]. The task has to stay reachable until it is filled.
pub(super) unsafe fn push_empty(lua: *mut lua_State, facts: Facts) -> *const Task {
    let task = Task { facts, job: RefCell::new(None), id: Cell::new(0) };
    // SAFETY: as demanded.
    unsafe { userdata::push(lua, task) }
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
/// As for [`userdata::check`].
pub(super) unsafe fn check<'a>(lua: *mut lua_State) -> Result<&'a Task, Raise> {
    // SAFETY: as demanded.
    unsafe { userdata::check(lua, 1) }
}
