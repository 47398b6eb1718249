//! `thread.async(f [, opts])`.

use std::ffi::c_int;
use std::rc::Rc;
use std::sync::Arc;

use llib_lua::ffi::*;

use super::options::{self, Options};
use super::session::{session, settings};
use super::source::{check_function, source_of};
use super::task::{self, Facts, Sandboxed};
use super::{inherit, nested, option, sandbox};
use llib_core::shm::Joined;
use llib_core::wire::limits::{IN_SANDBOX, Limits};
use llib_core::wire::sandbox::SandboxPolicy;
use llib_core::wire::settings::{Settings, Stdio};
use llib_host::{Broker, Job, Launch, Session, Walls};
use llib_lua::call::{Outcome, Raise, is_absent, wrong_type};
use llib_lua::convert::{EncodeOptions, GlobalMode, Roots};
use llib_lua::types::Outgoing;

/// # Safety
/// Called by Lua.
pub(super) unsafe fn body(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state. The stack is arranged as 1 the function, 2 the options, 3 the task, and from
    // there on what is sent.
    unsafe {
        let options = match lua_type(lua, 2) {
            LUA_TTABLE => options::read(lua, 2)?,
            _ if is_absent(lua, 2) => Options::default(),
            _ => return Err(wrong_type(lua, 2, "table")),
        };
        // Nobody that the host trusts has written it: it does not choose what it is given.
        let foreign = options.sandbox.is_some() && lua_type(lua, 1) == LUA_TSTRING;
        let usual = if foreign { GlobalMode::None } else { GlobalMode::Named };
        let options = inherit::complete(options).map_err(|problem| Raise::Argument(2, problem))?;
        check_function(lua, 1)?;
        lua_settop(lua, 2);
        let name = match &options.name {
            Some(name) => name.clone(),
            None => source_of(lua, 1)?,
        };
        let sandbox = match &options.sandbox {
            Some(policy) => Some(Rc::new(Sandboxed {
                report: sandbox::check(policy).map_err(Raise::Message)?,
                functions: options.functions,
                metatables: options.metatables,
            })),
            None => None,
        };
        let facts = Facts {
            name: name.as_str().into(),
            timeout: options.timeout,
            limits: options.limits,
            sandbox,
            captures: !options.capture().is_none(),
        };
        // Before the job exists, so that running out of memory here loses nothing.
        let task = task::push_empty(lua, facts);
        lua_pushvalue(lua, 1);
        let arguments = if options.has_args { push_arguments(lua)? } else { 0 };
        let choice = EncodeOptions {
            roots: Roots::Job,
            globals: options.globals.unwrap_or(usual),
            extra_globals: &options.extra_globals,
            ..EncodeOptions::default()
        };
        let count = 1 + arguments;
        let job = match Broker::current() {
            Some(broker) => nested::send(lua, broker, 4, count, &options, &choice, name)?,
            None => {
                let session = session(lua)?;
                let settings = settings(lua, &options, name);
                send(lua, &session, 4, count, &options, &choice, &settings)?
            }
        };
        task::fill(task, job);
        lua_settop(lua, 3);
    }
    Ok(1)
}

/// Pushes what `opts.args` holds; returns how many values that are.
unsafe fn push_arguments(lua: *mut lua_State) -> Result<c_int, Raise> {
    // SAFETY: index 2 holds the options table with a table `args`, as `options::read` saw; raw access
    // runs nothing that could have changed that.
    unsafe {
        lua_pushstring(lua, c"args".as_ptr());
        lua_rawget(lua, 2);
        let table = lua_gettop(lua);
        lua_pushstring(lua, c"n".as_ptr());
        lua_rawget(lua, table);
        let count = if is_absent(lua, -1) {
            lua_rawlen(lua, table) as lua_Integer
        } else {
            let given = option::integer(lua).filter(|count| *count >= 0);
            let problem = || option::expected(lua, "args.n", "an integer from 0 on");
            given.ok_or_else(|| Raise::Argument(2, problem()))?
        };
        lua_pop(lua, 1);
        let room =
            c_int::try_from(count).ok().filter(|count| lua_checkstack(lua, count.saturating_add(20)) != 0);
        let Some(room) = room else {
            return Err(Raise::Argument(2, format!("option 'args' holds too many arguments ({count})")));
        };
        for position in 1..=count {
            lua_rawgeti(lua, table, position);
        }
        lua_remove(lua, table);
        Ok(room)
    }
}

/// Whether a worker will do that has a sandbox already.
fn walls(options: &Options) -> Walls {
    let Some(policy) = &options.sandbox else { return Walls::None };
    let plain = *policy == SandboxPolicy { best_effort: policy.best_effort, ..SandboxPolicy::default() };
    // What else happens before walls are raised.
    let streams = options.stdout == Stdio::Inherit && options.stderr == Stdio::Inherit;
    let Limits { files, fsize, result, .. } = options.limits;
    let room = result.is_some_and(|result| Some(result) <= IN_SANDBOX.result);
    // What its own jobs may have of files is written down before the walls rise.
    let files = (files, fsize) == (IN_SANDBOX.files, IN_SANDBOX.fsize);
    if plain && streams && room && files && options.nice == 0 { Walls::Plain } else { Walls::Own }
}

unsafe fn send(
    lua: *mut lua_State,
    session: &Arc<Session>,
    first: c_int,
    count: c_int,
    options: &Options,
    choice: &EncodeOptions<'_>,
    settings: &Settings,
) -> Result<Job, Raise> {
    let launch = Launch {
        timeout: options.timeout,
        capture: options.capture(),
        sandbox: walls(options),
        limits: options.limits,
        pool: 0,
    };
    // SAFETY: the caller has `count` values from `first` on.
    let values = unsafe { Outgoing::new(lua, first, count, choice) };
    let values = values.map_err(|error| Raise::Message(error.to_string()))?;
    let objects = values.objects();
    // What such a job can write nobody takes for more than plain data from now on.
    if options.sandbox.is_some() {
        let distrusted = objects.iter().try_for_each(|object| object.distrust());
        distrusted.map_err(|error| Raise::Message(error.to_string()))?;
    }
    let settings = settings.to_bytes();
    let payload = Joined([&settings, &values]);
    session.dispatch(&payload, &objects, &launch).map_err(|error| Raise::Message(error.to_string()))
}
