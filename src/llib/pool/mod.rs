//! `thread.pool(opts)`: the pool object.

mod functions;
mod map;
mod options;
mod submit;
mod task;

use std::cell::RefCell;
use std::ffi::{CStr, c_int};
use std::rc::Rc;
use std::time::Duration;

use llib_lua::ffi::*;

use self::options::PoolOptions;
use super::{async_call, await_call, preload};
use llib_host::Session;
use llib_host::pool::{Plan, Pool, PoolWait};
use crate::task::Facts;
use llib_lua::call::{
    Outcome, Raise, bytes, is_absent, milliseconds, push_text, set_functions, wrong_type,
};
use llib_lua::convert::{EncodeOptions, GlobalMode, Roots, encode};
use llib_lua::hooks;
use llib_lua::types::{Objects, Sent};
use llib_lua::lua_function;
use llib_core::shm::Payload;
use llib_core::sys::clock;
use llib_core::wire::cause::Cause;
use llib_core::wire::limits::Limits;

/// The metatable's name in the registry.
const POOL: &CStr = c"llib.pool";

/// What tasks and pool have in common.
pub(super) struct Shared {
    pool: RefCell<Pool>,
    options: Defaults,
}

/// What holds for each job of a pool.
#[derive(Clone)]
struct Defaults {
    name: Option<Rc<str>>,
    timeout: Option<Duration>,
    limits: Limits,
    globals: GlobalMode,
    extra_globals: Rc<[Vec<u8>]>,
}

impl Shared {
    fn encoding(&self) -> EncodeOptions<'_> {
        EncodeOptions {
            roots: Roots::Job,
            globals: self.options.globals,
            extra_globals: &self.options.extra_globals,
            ..EncodeOptions::default()
        }
    }
}

/// The userdata's contents.
struct Handle {
    shared: RefCell<Rc<Shared>>,
}

impl Handle {
    fn shared(&self) -> Rc<Shared> {
        Rc::clone(&self.shared.borrow())
    }

    /// The pool, if it takes jobs.
    unsafe fn serving(&self, lua: *mut lua_State) -> Result<Rc<Shared>, Raise> {
        let shared = self.shared();
        let stopped = {
            let pool = shared.pool.borrow();
            if pool.is_open() && !pool.is_lost() {
                None
            } else if !pool.is_ours() {
                return Err(Raise::Message(
                    "the pool belongs to the process that this one was forked from".to_owned(),
                ));
            } else if pool.is_lost() {
                return Err(Raise::Message(
                    "the pool is lost: the supervisor of its workers died".to_owned(),
                ));
            } else {
                Some(pool.stopped())
            }
        };
        let Some(stopped) = stopped else { return Ok(shared) };
        let Some((job, settled)) = stopped else {
            return Err(Raise::Message("the pool is closed".to_owned()));
        };
        // SAFETY: the caller's state with free slots. The failure takes the place of everything, since an error is
        // raised.
        unsafe {
            lua_settop(lua, 1);
            let facts = shared.facts("");
            await_call::deliver(lua, &facts, &job, settled)?;
            push_text(lua, "the pool has stopped, since its workers die at their start: ");
            llib_lua::call::push_description(lua, -2);
            lua_concat(lua, 2);
            let message =
                llib_lua::call::bytes(lua, -1).map(|text| String::from_utf8_lossy(text).into_owned());
            Err(Raise::Message(message.unwrap_or_default()))
        }
    }
}

impl Shared {
    fn facts(&self, name: &str) -> Facts {
        let Defaults { timeout, limits, .. } = self.options;
        Facts { name: name.to_owned(), timeout, limits, captures: false, sandbox: None }
    }
}

/// `thread.pool([opts])`
///
/// # Safety
/// Called by Lua.
pub(super) unsafe fn new(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state. The stack is arranged as 1 the options, 2 the pool, 3 what workers run first.
    unsafe {
        lua_settop(lua, 1);
        let options = match lua_type(lua, 1) {
            LUA_TTABLE => options::read(lua, 1)?,
            _ if is_absent(lua, 1) => PoolOptions::default(),
            _ => return Err(wrong_type(lua, 1, "table")),
        };
        let place = lua_newuserdatauv(lua, size_of::<Handle>(), 1).cast::<Handle>();
        functions::push_table(lua);
        lua_setiuservalue(lua, 2, 1);
        let session = async_call::session(lua)?;
        push_init(lua, &session, options.has_preload)?;
        let settings =
            async_call::settings(lua, &options.jobs, options.jobs.name.clone().unwrap_or_default());
        let choice = EncodeOptions { roots: Roots::Job, ..EncodeOptions::default() };
        let sent = Sent::default();
        let encoded = encode(lua, 3, 1, &choice, &mut Objects(&sent), |message| message.to_vec());
        let init = encoded.map_err(|error| Raise::Message(error.to_string()))?;
        let defaults = Defaults {
            name: options.jobs.name.as_deref().map(Rc::from),
            timeout: options.jobs.timeout,
            limits: options.jobs.limits,
            globals: options.jobs.globals,
            extra_globals: options.jobs.extra_globals.clone().into(),
        };
        let plan = Plan {
            size: options.size,
            settings,
            init,
            objects: sent.objects(),
            timeout: options.jobs.timeout,
            max_jobs: options.max_jobs,
            max_memory: options.max_memory,
        };
        let pool = Pool::start(session, plan).map_err(|error| Raise::Message(error.to_string()))?;
        let order = pool.limit_time();
        place.write(Handle {
            shared: RefCell::new(Rc::new(Shared { pool: RefCell::new(pool), options: defaults })),
        });
        luaL_getmetatable(lua, POOL.as_ptr());
        lua_setmetatable(lua, 2);
        if let Some(order) = order {
            hooks::patiently(lua, |patience| order.carry_out(patience))?;
        }
        lua_settop(lua, 2);
    }
    Ok(1)
}

/// Pushes the function that workers run first. Modules are loaded in the zygote, for all workers at once.
unsafe fn push_init(lua: *mut lua_State, session: &Session, has_preload: bool) -> Result<(), Raise> {
    // SAFETY: the caller's state with the options at index 1, if there are any, and free slots.
    unsafe {
        let top = lua_gettop(lua);
        if has_preload {
            lua_pushstring(lua, c"preload".as_ptr());
            lua_rawget(lua, 1);
            match lua_type(lua, -1) {
                LUA_TFUNCTION => return Ok(()),
                LUA_TTABLE => {
                    for place in 1..=lua_rawlen(lua, -1) {
                        lua_rawgeti(lua, top + 1, place as lua_Integer);
                        let name = bytes(lua, -1).map(<[u8]>::to_vec);
                        let problem =
                            || format!("option 'preload': a table holds names, and entry {place} is none");
                        let name = name.ok_or_else(|| Raise::Argument(1, problem()))?;
                        preload::load(lua, session, &name)?;
                        lua_pop(lua, 1);
                    }
                }
                _ => preload::load(lua, session, bytes(lua, -1).unwrap_or_default())?,
            }
            lua_settop(lua, top);
        }
        if luaL_loadstring(lua, c"".as_ptr()) != LUA_OK { Err(Raise::Object) } else { Ok(()) }
    }
}

/// The pool at index 1.
unsafe fn check<'a>(lua: *mut lua_State) -> Result<&'a Handle, Raise> {
    // SAFETY: a userdata with this metatable was made by `new`: scripts cannot reach the metatable
    // (`__metatable` hides it) without the debug library. The caller keeps it on the stack.
    unsafe {
        let handle = luaL_testudata(lua, 1, POOL.as_ptr()).cast::<Handle>();
        if handle.is_null() { Err(wrong_type(lua, 1, "llib.pool")) } else { Ok(&*handle) }
    }
}

/// Registers the metatables.
///
/// # Safety
/// `lua` is a valid state with five free stack slots, in a protected call.
pub(super) unsafe fn register(lua: *mut lua_State) {
    let methods: [(&CStr, lua_CFunction); 4] =
        [(c"close", close), (c"map", map_entry), (c"stats", stats), (c"submit", submit_entry)];
    let metamethods: [(&CStr, lua_CFunction); 3] =
        [(c"__close", end), (c"__gc", collect), (c"__tostring", to_string)];
    // SAFETY: as demanded; balanced.
    unsafe {
        functions::register(lua);
        task::register(lua);
        if luaL_newmetatable(lua, POOL.as_ptr()) != 0 {
            set_functions(lua, &metamethods);
            lua_createtable(lua, 0, methods.len() as c_int);
            set_functions(lua, &methods);
            lua_setfield(lua, -2, c"__index".as_ptr());
            push_text(lua, "llib.pool");
            lua_setfield(lua, -2, c"__metatable".as_ptr());
        }
        lua_pop(lua, 1);
    }
}

lua_function!(close => close_body);
lua_function!(collect => collect_body);
lua_function!(end => end_body);
lua_function!(map_entry => map::body);
lua_function!(stats => stats_body);
lua_function!(submit_entry => submit::body);
lua_function!(to_string => to_string_body);

// Every body below is called by Lua with its state, and keeps the pool at index 1 while it uses it: that is the SAFETY
// argument of each.

unsafe fn collect_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above. The collector calls this once.
    unsafe {
        let handle = luaL_testudata(lua, 1, POOL.as_ptr()).cast::<Handle>();
        if !handle.is_null() {
            lua_pushnil(lua);
            lua_setmetatable(lua, 1);
            handle.drop_in_place();
        }
    }
    Ok(0)
}

/// `pool:close([ms])`: true if all jobs came to their own end.
unsafe fn close_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let (shared, time) = (check(lua)?.shared(), milliseconds(lua, 2)?);
        let by_themselves = close_pool(lua, &shared, time)?;
        lua_pushboolean(lua, by_themselves.into());
    }
    Ok(1)
}

/// A pool that goes out of scope is closed at once.
unsafe fn end_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let shared = check(lua)?.shared();
        close_pool(lua, &shared, Some(Duration::ZERO))?;
    }
    Ok(0)
}

unsafe fn close_pool(lua: *mut lua_State, shared: &Shared, time: Option<Duration>) -> Result<bool, Raise> {
    let limit = time.map(clock::after);
    let mut by_themselves = true;
    if !shared.pool.borrow().is_ours() {
        return Ok(true);
    }
    shared.pool.borrow_mut().shut();
    loop {
        let waited = shared.pool.borrow_mut().wait_for_all(if by_themselves { limit } else { None });
        match waited {
            PoolWait::Ready => break,
            // SAFETY: the caller's state with free slots.
            PoolWait::Pause => unsafe { hooks::run(lua)? },
            PoolWait::TimedOut => {
                by_themselves = false;
                let left = shared.pool.borrow_mut().give_up(Cause::Closed);
                for ticket in left {
                    let order = shared.pool.borrow().kill_after(ticket, Duration::ZERO, Cause::Closed);
                    if let Some(order) = order {
                        // SAFETY: as above.
                        unsafe { hooks::patiently(lua, |patience| order.carry_out(patience))? };
                    }
                }
            }
        }
    }
    shared.pool.borrow_mut().leave();
    Ok(by_themselves)
}

unsafe fn stats_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let shared = check(lua)?.shared();
        let mut pool = shared.pool.borrow_mut();
        pool.attend();
        let (counts, standing, size) = (pool.counts(), pool.standing(), pool.size());
        drop(pool);
        let fields = [
            (c"size", size as u64),
            (c"workers", standing.workers as u64),
            (c"running", standing.running as u64),
            (c"queued", standing.queued as u64),
            (c"done", counts.done),
            (c"failed", counts.failed),
            (c"died", counts.died),
            (c"recycled", counts.recycled),
        ];
        lua_createtable(lua, 0, fields.len() as c_int);
        for (name, value) in fields {
            lua_pushinteger(lua, value.cast_signed());
            lua_setfield(lua, -2, name.as_ptr());
        }
    }
    Ok(1)
}

unsafe fn to_string_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let shared = check(lua)?.shared();
        let pool = shared.pool.borrow();
        let state = if pool.is_lost() {
            "lost"
        } else if pool.stopped().is_some() {
            "stopped"
        } else if pool.is_open() {
            "open"
        } else {
            "closed"
        };
        let text = format!("llib.pool: {} workers ({state})", pool.size());
        // What Lua allocates may collect tasks, which come to the pool.
        drop(pool);
        push_text(lua, &text);
    }
    Ok(1)
}
