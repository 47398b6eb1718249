//! The task object: a job as scripts hold it.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_int};
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use llib_lua::ffi::*;

use super::await_call::{self, cleaned};
use super::failure;
use super::sandbox::{self, Report};
use llib_host::{Job, Paused, Settled, Waited};
use llib_lua::call::{Outcome, Raise, bytes, is_absent, milliseconds, push_bytes, push_text, wrong_type};
use llib_lua::hooks;
use llib_lua::lua_function;
use llib_core::observe::trace;
use llib_core::sys::signal;
use llib_core::wire::cause::Cause;
use llib_core::wire::kind::Kind;
use llib_core::wire::limits::Limits;

/// The metatable's name in the registry.
pub const TASK: &CStr = c"llib.task";

/// What a task remembers of how it was started.
pub(super) struct Facts {
    pub(super) name: String,
    pub(super) timeout: Option<Duration>,
    pub(super) limits: Limits,
    /// For a sandboxed job: what was enforced, and what its result may contain.
    pub(super) sandbox: Option<Sandboxed>,
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
    job: RefCell<Option<Rc<Job>>>,
    watch: RefCell<Option<OwnedFd>>,
    id: Cell<u64>,
}

impl Task {
    /// The job, unless the task was cleaned.
    pub(super) fn job(&self) -> Result<Rc<Job>, Raise> {
        self.job.borrow().clone().ok_or_else(|| cleaned(&self.facts.name))
    }

    /// Ends the job, if it runs: its process and all it started are gone when this returns. Then frees it.
    ///
    /// # Safety
    /// `lua` is a valid state with four free stack slots.
    pub(super) unsafe fn end(&self, lua: *mut lua_State) -> Result<(), Raise> {
        let gone = |job: &Job| matches!(job.settled(), Some(Settled::Death(_) | Settled::Lost));
        if let Some(job) = self.job().ok().filter(|job| !gone(job)) {
            // SAFETY: as demanded.
            unsafe { hooks::patiently(lua, |patience| job.signal(libc::SIGKILL, patience))? };
        }
        self.clean();
        Ok(())
    }

    /// Frees everything of the job, without waiting for its process to go.
    pub(super) fn clean(&self) {
        *self.watch.borrow_mut() = None;
        let job = self.job.borrow_mut().take();
        // Nobody else holds the job: other holders are calls on this very task, which let go of it before
        // anything can run that could clean it.
        if let Some(job) = job.and_then(|job| Rc::try_unwrap(job).ok()) {
            job.release();
        }
    }
}

/// Pushes a task without a job yet.
///
/// # Safety
/// `lua` is a valid state with three free stack slots, its metatable registered. The task has to stay
/// reachable until it is filled.
pub(super) unsafe fn push_empty(lua: *mut lua_State, facts: Facts) -> *const Task {
    let task = Task { facts, job: RefCell::new(None), watch: RefCell::new(None), id: Cell::new(0) };
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
pub(super) unsafe fn fill(task: *const Task, job: Job) {
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

/// Registers the metatable.
///
/// # Safety
/// `lua` is a valid state with five free stack slots, in a protected call.
pub(super) unsafe fn register(lua: *mut lua_State) {
    let methods: [(&CStr, lua_CFunction); 16] = [
        (c"await", await_entry),
        (c"clean", clean),
        (c"close", close),
        (c"getfd", getfd),
        (c"id", id),
        (c"kill", kill),
        (c"name", name),
        (c"output", output),
        (c"pause", pause),
        (c"pid", pid),
        (c"resume", resume),
        (c"sandbox", sandbox_entry),
        (c"status", status),
        (c"usage", usage),
        (c"__close", clean),
        (c"__gc", collect),
    ];
    // SAFETY: as demanded; balanced.
    unsafe {
        if luaL_newmetatable(lua, TASK.as_ptr()) != 0 {
            lua_createtable(lua, 0, methods.len() as c_int);
            for (key, function) in methods {
                lua_pushcfunction(lua, function);
                let target = if key.to_bytes().starts_with(b"__") { -3 } else { -2 };
                lua_setfield(lua, target, key.as_ptr());
            }
            lua_setfield(lua, -2, c"__index".as_ptr());
            lua_pushcfunction(lua, to_string);
            lua_setfield(lua, -2, c"__tostring".as_ptr());
            push_text(lua, "llib.task");
            lua_setfield(lua, -2, c"__metatable".as_ptr());
        }
        lua_pop(lua, 1);
    }
}

lua_function!(await_entry => await_call::body);
lua_function!(clean => clean_body);
lua_function!(collect => collect_body);
lua_function!(close => close_body);
lua_function!(getfd => getfd_body);
lua_function!(id => id_body);
lua_function!(kill => kill_body);
lua_function!(name => name_body);
lua_function!(output => output_body);
lua_function!(pause => pause_body);
lua_function!(pid => pid_body);
lua_function!(resume => resume_body);
lua_function!(sandbox_entry => sandbox_body);
lua_function!(status => status_body);
lua_function!(to_string => to_string_body);
lua_function!(usage => usage_body);

// Every body below is called by Lua with its state, and keeps the task at index 1 while it uses it: that is
// the SAFETY argument of each.

unsafe fn clean_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe { check(lua)?.end(lua)? };
    Ok(0)
}

unsafe fn collect_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above. The collector calls this once and nobody reaches the userdata afterwards; a
    // script that calls it through the debug library finds the task empty and then no task.
    unsafe {
        let task = luaL_testudata(lua, 1, TASK.as_ptr()).cast::<Task>();
        if !task.is_null() {
            lua_pushnil(lua);
            lua_setmetatable(lua, 1);
            task.drop_in_place();
        }
    }
    Ok(0)
}

unsafe fn close_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    let (task, grace) = unsafe { (check(lua)?, milliseconds(lua, 2)?) };
    let job = task.job()?;
    let _span = trace::span("close", || format!("close {}", task.facts.name));
    // SAFETY: see above.
    unsafe { hooks::patiently(lua, |patience| job.close(grace, patience))? };
    Ok(0)
}

unsafe fn kill_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    let (task, number, grace) = unsafe { (check(lua)?, signal_argument(lua, 2)?, milliseconds(lua, 3)?) };
    if number == libc::SIGSTOP {
        // SAFETY: see above.
        return unsafe { pause_body(lua) };
    }
    let job = task.job()?;
    let _span = trace::span("kill", || format!("SIG{} to {}", signal::name(number), task.facts.name));
    // SAFETY: see above.
    unsafe { hooks::patiently(lua, |patience| job.signal(number, patience))? };
    if let Some(grace) = grace {
        // SAFETY: see above.
        unsafe { hooks::patiently(lua, |patience| job.kill_after(grace, Cause::Killed, patience))? };
    }
    Ok(0)
}

/// The signal that is named or numbered at `index`; SIGKILL where nothing is.
///
/// # Safety
/// `lua` is a valid state with free slots.
pub(super) unsafe fn signal_argument(lua: *mut lua_State, index: c_int) -> Result<i32, Raise> {
    // SAFETY: see above; the type is checked before a value is read.
    unsafe {
        if is_absent(lua, index) {
            return Ok(libc::SIGKILL);
        }
        if let Some(name) = bytes(lua, index) {
            let name = String::from_utf8_lossy(name);
            return signal::number(&name)
                .ok_or_else(|| Raise::Argument(index, format!("unknown signal '{name}'")));
        }
        let mut exact = 0;
        let number = lua_tointegerx(lua, index, &mut exact);
        if exact == 0 {
            return Err(wrong_type(lua, index, "signal name or number"));
        }
        i32::try_from(number)
            .ok()
            .filter(|number| signal::exists(*number))
            .ok_or_else(|| Raise::Argument(index, format!("unknown signal {number}")))
    }
}

unsafe fn pause_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    let task = unsafe { check(lua)? };
    let job = task.job()?;
    // SAFETY: see above.
    unsafe {
        let paused = hooks::patiently(lua, |patience| job.pause(patience))?;
        Ok(push_paused(lua, paused == Paused::Yes, LOCKED))
    }
}

/// Why a job was not stopped.
pub(super) const LOCKED: &str = "the job runs on: it has held a lock of something shared for a second";

/// Pushes what `pause` returns; how many values.
///
/// # Safety
/// `lua` is a valid state with free slots, in a protected call.
pub(super) unsafe fn push_paused(lua: *mut lua_State, paused: bool, reason: &str) -> c_int {
    // SAFETY: as demanded.
    unsafe {
        if paused {
            lua_pushboolean(lua, 1);
            return 1;
        }
        lua_pushnil(lua);
        failure::push(lua, Kind::Busy, reason);
    }
    2
}

unsafe fn resume_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    let task = unsafe { check(lua)? };
    let job = task.job()?;
    // SAFETY: see above.
    unsafe { hooks::patiently(lua, |patience| job.signal(libc::SIGCONT, patience))? };
    Ok(0)
}

/// `running`, `paused`, `done`, `failed` or `cleaned`.
fn word(task: &Task) -> &'static str {
    let Ok(job) = task.job() else { return "cleaned" };
    let polled = task.watch.borrow().is_some();
    match if polled { job.settled_by_now() } else { job.settled() } {
        Some(Settled::Reply(1)) => "done",
        Some(_) => "failed",
        None if job.is_paused() => "paused",
        None => "running",
    }
}

/// A table of what was enforced; nil for a job without a sandbox.
unsafe fn sandbox_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        match &check(lua)?.facts.sandbox {
            Some(sandboxed) => sandbox::push_report(lua, &sandboxed.report),
            None => lua_pushnil(lua),
        }
    }
    Ok(1)
}

unsafe fn status_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let task = check(lua)?;
        push_text(lua, word(task));
    }
    Ok(1)
}

unsafe fn to_string_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let task = check(lua)?;
        let pid = task.job().ok().and_then(|job| job.pid());
        push_title(lua, &task.facts.name, word(task), pid);
    }
    Ok(1)
}

/// Pushes what `tostring` gives for a task, also one of a pool.
///
/// # Safety
/// `lua` is a valid state with a free stack slot.
pub(super) unsafe fn push_title(lua: *mut lua_State, name: &str, status: &str, pid: Option<i32>) {
    let pid = pid.map(|pid| format!(", pid {pid}")).unwrap_or_default();
    // SAFETY: as demanded.
    unsafe { push_text(lua, &format!("llib.task: {name} ({status}{pid})")) }
}

unsafe fn name_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let task = check(lua)?;
        push_text(lua, &task.facts.name);
    }
    Ok(1)
}

unsafe fn id_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let task = check(lua)?;
        lua_pushinteger(lua, task.id.get().cast_signed());
    }
    Ok(1)
}

unsafe fn pid_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let task = check(lua)?;
        loop {
            // A job that found no spare gets its process a moment after `async` has returned.
            match task.job()?.wait_for_pid() {
                Ok(pid) => lua_pushinteger(lua, i64::from(pid)),
                Err(Waited::Pause) => {
                    hooks::run(lua)?;
                    continue;
                }
                Err(_) => lua_pushnil(lua),
            }
            return Ok(1);
        }
    }
}

unsafe fn usage_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let job = check(lua)?.job()?;
        failure::push_usage(lua, job.wall(), job.usage());
    }
    Ok(1)
}

unsafe fn output_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let job = check(lua)?.job()?;
        let output = hooks::patiently(lua, |patience| job.output(patience))?;
        for stream in [&output.stdout, &output.stderr] {
            match stream {
                Some(text) => push_bytes(lua, text),
                None => lua_pushnil(lua),
            }
        }
    }
    Ok(2)
}

unsafe fn getfd_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let task = check(lua)?;
        let job = task.job()?;
        let mut watch = task.watch.borrow_mut();
        if watch.is_none() {
            let made = job.watch();
            *watch =
                Some(made.map_err(|error| Raise::Message(format!("failed to make a descriptor: {error}")))?);
        }
        let number = watch.as_ref().map_or(-1, |watch| watch.as_raw_fd());
        lua_pushinteger(lua, i64::from(number));
    }
    Ok(1)
}
