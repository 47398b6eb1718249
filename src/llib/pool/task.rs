//! The task object of a pool's job. It looks like that of `async`.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_int};
use std::rc::Rc;
use std::time::Duration;

use llib_lua::ffi::*;

use super::Shared;
use llib_host::pool::{Ended, PoolWait, Ticket};
use llib_host::{PAUSE_LIMIT, PAUSE_ROUND};
use crate::await_call::{self, cleaned};
use crate::failure;
use crate::task::{LOCKED, push_paused, push_title, signal_argument};
use llib_lua::call::{Outcome, Raise, milliseconds, push_text, set_functions, wrong_type};
use llib_lua::convert::{DecodeOptions, Source, decode};
use llib_lua::hooks;
use llib_lua::types::{Objects, Sent};
use llib_lua::lua_function;
use llib_core::observe::trace;
use llib_core::shared::split_in_memory;
use llib_core::sys::clock;
use llib_core::wire::cause::Cause;
use llib_core::wire::kind::Kind;

/// The metatable's name in the registry.
const TASK: &CStr = c"llib.pool.task";

/// Code of a result with values.
const VALUES: u32 = 1;

/// The userdata's contents.
pub(super) struct Task {
    shared: Rc<Shared>,
    ticket: Cell<Option<Ticket>>,
    id: Cell<u64>,
    name: RefCell<Rc<str>>,
}

/// Pushes a task without a job yet.
///
/// # Safety
/// `lua` is a valid state with three free stack slots, in a protected call. The task has to stay reachable until it is
/// filled.
pub(super) unsafe fn push_empty(lua: *mut lua_State, shared: &Rc<Shared>) -> *const Task {
    const { assert!(align_of::<Task>() <= 8) };
    // SAFETY: userdata are aligned for pointers and numbers, and stay where they are. The metatable, and with it the
    // finalizer, comes only once the contents are there.
    unsafe {
        let place = lua_newuserdatauv(lua, size_of::<Task>(), 0).cast::<Task>();
        place.write(Task {
            shared: Rc::clone(shared),
            ticket: Cell::new(None),
            id: Cell::new(0),
            name: RefCell::new(Rc::from("")),
        });
        luaL_getmetatable(lua, TASK.as_ptr());
        lua_setmetatable(lua, -2);
        place
    }
}

/// Gives a task its job.
///
/// # Safety
/// `task` comes from [`push_empty`] and is still on the stack.
pub(super) unsafe fn fill(task: *const Task, ticket: Ticket, name: Rc<str>) {
    // SAFETY: the userdata lives, see above.
    let task = unsafe { &*task };
    task.ticket.set(Some(ticket));
    task.id.set(task.shared.pool.borrow().id(ticket));
    *task.name.borrow_mut() = name;
}

impl Task {
    fn ticket(&self) -> Result<Ticket, Raise> {
        self.ticket.get().ok_or_else(|| cleaned(&self.name.borrow()))
    }

    fn ended(&self) -> Result<Option<Ended>, Raise> {
        Ok(self.shared.pool.borrow_mut().ended(self.ticket()?))
    }

    fn forget(&self) {
        if let Some(ticket) = self.ticket.take() {
            self.shared.pool.borrow_mut().forget(ticket);
        }
    }

    /// Ends the job, if it is not over: its worker is gone when this returns, if it had one. Then forgets it.
    unsafe fn end(&self, lua: *mut lua_State) -> Result<(), Raise> {
        let Some(ticket) = self.ticket.get() else { return Ok(()) };
        // SAFETY: the caller's state with free slots.
        unsafe { kill(lua, &self.shared, ticket, libc::SIGKILL)? };
        self.forget();
        Ok(())
    }
}

/// Sends a signal to a job's worker. After SIGKILL the job is over when this returns.
///
/// # Safety
/// `lua` is a valid state with four free stack slots.
pub(super) unsafe fn kill(
    lua: *mut lua_State,
    shared: &Shared,
    ticket: Ticket,
    signal: i32,
) -> Result<(), Raise> {
    let kills = signal == libc::SIGKILL;
    loop {
        if shared.pool.borrow_mut().ended(ticket).is_some() {
            return Ok(());
        }
        // One that no worker has cannot notice any signal but those that end it.
        let ends =
            !matches!(signal, libc::SIGSTOP | libc::SIGCONT | libc::SIGCHLD | libc::SIGURG | libc::SIGWINCH);
        if ends && shared.pool.borrow_mut().cancel(ticket, Cause::Killed) {
            return Ok(());
        }
        let order = shared.pool.borrow().signal(ticket, signal, Cause::Killed);
        let Some(order) = order else { return Ok(()) };
        // SAFETY: as demanded.
        let sent = unsafe { hooks::patiently(lua, |patience| order.carry_out(patience))? };
        if !sent || !kills {
            return Ok(());
        }
        let waited = shared.pool.borrow_mut().wait(ticket, None);
        if waited == PoolWait::Pause {
            // SAFETY: as demanded.
            unsafe { hooks::run(lua)? };
        }
    }
}

/// The task at index 1.
unsafe fn check<'a>(lua: *mut lua_State) -> Result<&'a Task, Raise> {
    // SAFETY: a userdata with this metatable was made by `push_empty`: scripts cannot reach the metatable
    // (`__metatable` hides it) without the debug library. The caller keeps it on the stack.
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
    let methods: [(&CStr, lua_CFunction); 14] = [
        (c"await", await_entry),
        (c"clean", clean),
        (c"close", close),
        (c"getfd", getfd),
        (c"id", id),
        (c"kill", kill_entry),
        (c"name", name),
        (c"output", output),
        (c"pause", pause),
        (c"pid", pid),
        (c"resume", resume),
        (c"sandbox", sandbox),
        (c"status", status),
        (c"usage", usage),
    ];
    let metamethods: [(&CStr, lua_CFunction); 3] =
        [(c"__close", clean), (c"__gc", collect), (c"__tostring", to_string)];
    // SAFETY: as demanded; balanced.
    unsafe {
        if luaL_newmetatable(lua, TASK.as_ptr()) != 0 {
            set_functions(lua, &metamethods);
            lua_createtable(lua, 0, methods.len() as c_int);
            set_functions(lua, &methods);
            lua_setfield(lua, -2, c"__index".as_ptr());
            for key in [c"__metatable", c"__name"] {
                push_text(lua, "llib.task");
                lua_setfield(lua, -2, key.as_ptr());
            }
        }
        lua_pop(lua, 1);
    }
}

lua_function!(await_entry => await_body);
lua_function!(clean => clean_body);
lua_function!(collect => collect_body);
lua_function!(close => close_body);
lua_function!(getfd => getfd_body);
lua_function!(id => id_body);
lua_function!(kill_entry => kill_body);
lua_function!(name => name_body);
lua_function!(output => output_body);
lua_function!(pause => pause_body);
lua_function!(pid => pid_body);
lua_function!(resume => resume_body);
lua_function!(sandbox => sandbox_body);
lua_function!(status => status_body);
lua_function!(to_string => to_string_body);
lua_function!(usage => usage_body);

// Every body below is called by Lua with its state, and keeps the task at index 1 while it uses it: that is the SAFETY
// argument of each.

unsafe fn await_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let task = check(lua)?;
        let time = milliseconds(lua, 2)?;
        let keep = match lua_type(lua, 3) {
            LUA_TBOOLEAN => Some(lua_toboolean(lua, 3) != 0),
            kind if kind <= LUA_TNIL => None,
            _ => return Err(wrong_type(lua, 3, "boolean")),
        };
        lua_settop(lua, 1);
        let limit = time.map(clock::after);
        let waiting = trace::span("wait", || format!("await {}", task.name.borrow()));
        loop {
            // Taken anew each round: a hook may have cleaned the task meanwhile.
            let ticket = task.ticket()?;
            let waited = task.shared.pool.borrow_mut().wait(ticket, limit);
            match waited {
                PoolWait::Ready => break,
                PoolWait::TimedOut => {
                    let pid = task.shared.pool.borrow().pid(ticket);
                    if keep == Some(false) {
                        task.end(lua)?;
                    }
                    let waited = time.unwrap_or_default().as_secs_f64() * 1000.0;
                    lua_pushnil(lua);
                    failure::push(lua, Kind::Timeout, &format!("no result within {waited} ms"));
                    add_identity(lua, &task.name.borrow(), pid);
                    return Ok(2);
                }
                PoolWait::Pause => hooks::run(lua)?,
            }
        }
        drop(waiting);
        let results = deliver(lua, &task.shared, task.ticket()?, &task.name.borrow())?;
        if keep != Some(true) {
            task.forget();
        }
        Ok(results)
    }
}

/// Pushes the values of a job that is over, or `nil, err`.
///
/// # Safety
/// `lua` is a valid state with free slots, in a protected call.
pub(super) unsafe fn deliver(lua: *mut lua_State, shared: &Shared, ticket: Ticket, name: &str) -> Outcome {
    let ended = shared.pool.borrow_mut().ended(ticket);
    // SAFETY: as demanded.
    unsafe {
        let top = lua_gettop(lua);
        match ended {
            Some(Ended::Reply(VALUES)) => match decode_result(lua, shared, ticket) {
                Ok(count) => return Ok(count),
                Err(problem) => damaged(lua, top, &problem),
            },
            Some(Ended::Reply(code)) => {
                let decoded = decode_result(lua, shared, ticket);
                if let Err(problem) = await_call::report(lua, top + 1, &shared.options.limits, code, decoded)
                {
                    damaged(lua, top, &problem);
                }
            }
            Some(Ended::Death { death, .. }) => {
                await_call::tell_death(lua, &shared.facts(name), None, 0, death);
            }
            Some(Ended::Cancelled(cause)) => {
                let (kind, how) = match cause {
                    Cause::Closed => (Kind::Closed, "closed"),
                    _ => (Kind::Killed, "killed"),
                };
                lua_pushnil(lua);
                failure::push(lua, kind, &format!("{how} before a worker had it"));
            }
            Some(Ended::Stopped(job, settled)) => {
                await_call::deliver(lua, &shared.facts(name), &job, settled)?;
                lua_getfield(lua, -1, c"message".as_ptr());
                push_text(lua, "the pool has stopped, since its workers die at their start: ");
                lua_insert(lua, -2);
                lua_concat(lua, 2);
                lua_setfield(lua, -2, c"message".as_ptr());
                return Ok(2);
            }
            Some(Ended::Lost) | None => await_call::lost(lua),
        }
        let (wall, pid) = {
            let mut pool = shared.pool.borrow_mut();
            (pool.wall(ticket), pool.pid(ticket))
        };
        add_identity(lua, name, pid);
        push_usage(lua, wall);
        lua_setfield(lua, -2, c"usage".as_ptr());
    }
    Ok(2)
}

/// Decodes a result and pushes its values.
///
/// # Safety
/// As for [`deliver`].
pub(super) unsafe fn decode_result(
    lua: *mut lua_State,
    shared: &Shared,
    ticket: Ticket,
) -> Result<c_int, String> {
    let bytes = shared.pool.borrow_mut().bytes(ticket).ok_or("its bytes are gone")?;
    // SAFETY: `bytes` keeps them mapped until the end of this function.
    unsafe {
        let split = if bytes.carries { split_in_memory(bytes.start, bytes.len) } else { None };
        let len = split.map_or(bytes.len, |(values, _)| values);
        let most = shared.options.limits.result.unwrap_or(u64::MAX);
        let options =
            DecodeOptions { max_len: usize::try_from(most).unwrap_or(usize::MAX), ..DecodeOptions::TRUSTED };
        decode(lua, Source::new(bytes.start, len), &options, &mut Objects(&Sent::default()))
            .map_err(|error| error.to_string())
    }
}

unsafe fn damaged(lua: *mut lua_State, top: c_int, problem: &str) {
    // SAFETY: the caller's state with free slots.
    unsafe {
        lua_settop(lua, top);
        lua_pushnil(lua);
        failure::push(lua, Kind::Encode, &format!("the result could not be received: {problem}"));
    }
}

unsafe fn add_identity(lua: *mut lua_State, name: &str, pid: Option<i32>) {
    // SAFETY: the caller has a failure on top of the stack.
    unsafe {
        failure::set_text(lua, c"name", name);
        if let Some(pid) = pid {
            failure::set_integer(lua, c"pid", i64::from(pid));
        }
    }
}

unsafe fn push_usage(lua: *mut lua_State, wall: Duration) {
    // SAFETY: the caller has free slots.
    unsafe {
        lua_createtable(lua, 0, 1);
        lua_pushnumber(lua, wall.as_secs_f64() * 1000.0);
        lua_setfield(lua, -2, c"wall".as_ptr());
    }
}

unsafe fn clean_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe { check(lua)?.end(lua)? };
    Ok(0)
}

unsafe fn collect_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above. The collector calls this once.
    unsafe {
        let task = luaL_testudata(lua, 1, TASK.as_ptr()).cast::<Task>();
        if !task.is_null() {
            lua_pushnil(lua);
            lua_setmetatable(lua, 1);
            let last = &*task;
            if let Some(ticket) = last.ticket.take() {
                last.shared.pool.borrow_mut().detach(ticket);
            }
            task.drop_in_place();
        }
    }
    Ok(0)
}

unsafe fn close_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let (task, grace) = (check(lua)?, milliseconds(lua, 2)?);
        let ticket = task.ticket()?;
        let order = task.shared.pool.borrow_mut().close_job(ticket, grace);
        let paused = task.shared.pool.borrow().is_paused(ticket);
        if paused {
            // Stopped it could not see that it is asked.
            kill(lua, &task.shared, ticket, libc::SIGCONT)?;
        }
        if let Some(order) = order {
            hooks::patiently(lua, |patience| order.carry_out(patience))?;
        }
    }
    Ok(0)
}

unsafe fn kill_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let (task, number, grace) = (check(lua)?, signal_argument(lua, 2)?, milliseconds(lua, 3)?);
        let ticket = task.ticket()?;
        if number == libc::SIGSTOP {
            return pause_body(lua);
        }
        kill(lua, &task.shared, ticket, number)?;
        if let Some(grace) = grace {
            let order = task.shared.pool.borrow().kill_after(ticket, grace, Cause::Killed);
            if let Some(order) = order {
                hooks::patiently(lua, |patience| order.carry_out(patience))?;
            }
        }
    }
    Ok(0)
}

unsafe fn pause_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let task = check(lua)?;
        let end = clock::after(PAUSE_LIMIT);
        loop {
            let ticket = task.ticket()?;
            kill(lua, &task.shared, ticket, libc::SIGSTOP)?;
            if task.shared.pool.borrow_mut().ended(ticket).is_some()
                || task.shared.pool.borrow().is_paused(ticket)
            {
                return Ok(push_paused(lua, true, ""));
            }
            if !task.shared.pool.borrow().is_running(ticket) {
                return Ok(push_paused(lua, false, "no worker has the job yet"));
            }
            if clock::until(end).is_zero() {
                return Ok(push_paused(lua, false, LOCKED));
            }
            let waited = task.shared.pool.borrow_mut().wait(ticket, Some(clock::after(PAUSE_ROUND)));
            if waited == PoolWait::Pause {
                hooks::run(lua)?;
            }
        }
    }
}

unsafe fn resume_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let task = check(lua)?;
        kill(lua, &task.shared, task.ticket()?, libc::SIGCONT)?;
    }
    Ok(0)
}

unsafe fn getfd_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let task = check(lua)?;
        let watch = task.shared.pool.borrow_mut().watch(task.ticket()?);
        let number =
            watch.map_err(|error| Raise::Message(format!("failed to make a descriptor: {error}")))?;
        lua_pushinteger(lua, i64::from(number));
    }
    Ok(1)
}

/// `running`, `paused`, `done`, `failed` or `cleaned`.
fn word(task: &Task) -> &'static str {
    if let Some(ticket) = task.ticket.get() {
        task.shared.pool.borrow_mut().look_after(ticket);
    }
    let is_paused = task.ticket.get().is_some_and(|ticket| task.shared.pool.borrow().is_paused(ticket));
    match task.ended() {
        Err(_) => "cleaned",
        Ok(Some(Ended::Reply(VALUES))) => "done",
        Ok(Some(_)) => "failed",
        Ok(None) if is_paused => "paused",
        Ok(None) => "running",
    }
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
        let word = word(task);
        let pid = task.ticket.get().and_then(|ticket| task.shared.pool.borrow().pid(ticket));
        push_title(lua, &task.name.borrow(), word, pid);
    }
    Ok(1)
}

unsafe fn name_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let task = check(lua)?;
        push_text(lua, &task.name.borrow());
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

/// That of the worker, once one has the job.
unsafe fn pid_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let task = check(lua)?;
        let ticket = task.ticket()?;
        let pid = {
            let mut pool = task.shared.pool.borrow_mut();
            pool.attend();
            pool.pid(ticket)
        };
        match pid {
            Some(pid) => lua_pushinteger(lua, i64::from(pid)),
            None => lua_pushnil(lua),
        }
    }
    Ok(1)
}

unsafe fn usage_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let task = check(lua)?;
        let wall = task.shared.pool.borrow_mut().wall(task.ticket()?);
        push_usage(lua, wall);
    }
    Ok(1)
}

/// There is none around a pool's jobs.
unsafe fn sandbox_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        check(lua)?;
        lua_pushnil(lua);
    }
    Ok(1)
}

/// Nothing is captured of a pool's jobs.
unsafe fn output_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        check(lua)?.ticket()?;
        lua_pushnil(lua);
        lua_pushnil(lua);
    }
    Ok(2)
}
