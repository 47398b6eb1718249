//! Making a pool.

use std::cell::RefCell;
use std::rc::Rc;

use llib_lua::ffi::*;

use super::functions;
use super::handle::Handle;
use super::options::{self, PoolOptions};
use crate::options::Options;
use crate::preload;
use crate::session::{session, settings};
use crate::task::Facts;
use llib_core::shm::Payload;
use llib_host::Session;
use llib_host::pool::{Plan, Pool, limit_time};
use llib_lua::call::{Outcome, Raise, bytes, is_absent, wrong_type};
use llib_lua::convert::{EncodeOptions, Roots};
use llib_lua::hooks;
use llib_lua::types::Outgoing;
use llib_lua::userdata;

/// `thread.pool([opts])`
///
/// # Safety
/// Called by Lua.
pub(crate) unsafe fn new(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state. The stack is arranged as 1 the options, 2 the pool, 3 what workers run first.
    unsafe {
        lua_settop(lua, 1);
        let options = match lua_type(lua, 1) {
            LUA_TTABLE => options::read(lua, 1)?,
            _ if is_absent(lua, 1) => PoolOptions::default(),
            _ => return Err(wrong_type(lua, 1, "table")),
        };
        let place = userdata::reserve::<Handle>(lua, 1);
        functions::push_table(lua);
        lua_setiuservalue(lua, 2, 1);
        let session = session(lua)?;
        push_init(lua, &session, options.has_preload)?;
        let PoolOptions { size, max_jobs, max_memory, jobs, .. } = options;
        let settings = settings(lua, &jobs, jobs.name.clone().unwrap_or_default());
        let choice = EncodeOptions { roots: Roots::Job, ..EncodeOptions::default() };
        let init = Outgoing::new(lua, 3, 1, &choice).map_err(|error| Raise::Message(error.to_string()))?;
        let Options { timeout, limits, globals, extra_globals, .. } = jobs;
        let (init, objects) = (init.to_vec(), init.into_objects());
        let plan = Plan { size, settings, init, objects, timeout, max_jobs, max_memory };
        let pool = Pool::start(session, plan).map_err(|error| Raise::Message(error.to_string()))?;
        let pool = Rc::new(RefCell::new(pool));
        let handle = Handle {
            pools: RefCell::new(vec![Rc::clone(&pool)]),
            name: jobs.name.as_deref().map(Rc::from),
            facts: Facts { name: Rc::from(""), timeout, limits, sandbox: None, captures: false },
            globals: globals.unwrap_or_default(),
            extra_globals,
        };
        lua_settop(lua, 2);
        userdata::complete(lua, place, handle);
        hooks::patiently(lua, |patience| limit_time(&pool, patience))?;
    }
    Ok(1)
}

/// Pushes the function that workers run first. Modules are loaded in a template, for all workers at once.
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
                        preload::load(lua, session, &name, preload::TIME)?;
                        lua_pop(lua, 1);
                    }
                }
                _ => preload::load(lua, session, bytes(lua, -1).unwrap_or_default(), preload::TIME)?,
            }
            lua_settop(lua, top);
        }
        if luaL_loadstring(lua, c"".as_ptr()) != LUA_OK { Err(Raise::Object) } else { Ok(()) }
    }
}
