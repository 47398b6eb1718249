//! `thread.async(f [, opts])`.

use std::ffi::c_int;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::lua::ffi::*;

use super::options::{self, Options};
use super::task::{self, Facts, Sandboxed};
use super::{nested, sandbox, signature};
use crate::dispatch::{self, Broker, Host, Job, Launch, Session, Walls};
use crate::lua::call::{Outcome, Raise, bytes, is_absent, wrong_type};
use crate::lua::convert::{EncodeOptions, Roots, encode};
use crate::lua::types::{Objects, Sent};
use crate::shm::Joined;
use crate::wire::limits::{IN_SANDBOX, Limits};
use crate::wire::sandbox::SandboxPolicy;
use crate::wire::settings::{Settings, Stdio};

/// # Safety
/// Called by Lua.
pub(super) unsafe fn body(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state. The stack is arranged as 1 the function, 2 the options, 3 the task, and from
    // there on what is sent.
    unsafe {
        let options = match lua_type(lua, 2) {
            LUA_TTABLE => options::read(lua, 2)?,
            _ if is_absent(lua, 2) => options::complete(Options::default(), 2)?,
            _ => return Err(wrong_type(lua, 2, "table")),
        };
        if lua_type(lua, 1) != LUA_TFUNCTION && bytes(lua, 1).is_none() {
            return Err(wrong_type(lua, 1, "function or string"));
        }
        lua_settop(lua, 2);
        let name = options.name.clone();
        if bytes(lua, 1).is_some() {
            compile(lua, 1, name.as_deref())?;
        }
        if lua_iscfunction(lua, 1) != 0 {
            return Err(Raise::Argument(1, "Lua function expected, got a C function".to_owned()));
        }
        let name = name.unwrap_or_else(|| source_of(lua, 1));
        let sandbox = match &options.sandbox {
            Some(policy) => Some(Sandboxed {
                report: sandbox::check(policy).map_err(Raise::Message)?,
                functions: options.functions,
                metatables: options.metatables,
            }),
            None => None,
        };
        let facts = Facts {
            name: name.clone(),
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
            globals: options.globals,
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

/// Replaces the source text at `index` by its function. Compiled here, so that a syntax error is raised here.
///
/// # Safety
/// `lua` is a valid state with free slots and a string at the absolute `index`.
pub(super) unsafe fn compile(lua: *mut lua_State, index: c_int, name: Option<&str>) -> Result<(), Raise> {
    /// First byte of every precompiled chunk.
    const ESCAPE: u8 = 0x1b;
    // SAFETY: the caller's state.
    if unsafe { bytes(lua, index) }.is_some_and(|text| text.first() == Some(&ESCAPE)) {
        return Err(Raise::Argument(index, "source text expected, got precompiled code".to_owned()));
    }
    // SAFETY: the index holds a string, which stays there while it is read; the name ends with a zero byte.
    unsafe {
        let mut len = 0;
        let text = lua_tolstring(lua, index, &mut len);
        let label = match name {
            Some(name) => std::ffi::CString::new(format!("={}", name.replace('\0', ""))).unwrap_or_default(),
            None => Default::default(),
        };
        let label = if name.is_some() { label.as_ptr() } else { text };
        if luaL_loadbufferx(lua, text, len, label, c"t".as_ptr()) != LUA_OK {
            return Err(Raise::Object);
        }
        lua_replace(lua, index);
    }
    Ok(())
}

/// `script.lua:12`, where the function at `index` was written.
///
/// # Safety
/// `lua` is a valid state with a free slot and a function at `index`.
pub(super) unsafe fn source_of(lua: *mut lua_State, index: c_int) -> String {
    // SAFETY: with `>` the call takes the function that is pushed for it, and fills in what is read here:
    // `short_src` is a string with its end inside the array.
    unsafe {
        let mut about: lua_Debug = std::mem::zeroed();
        lua_pushvalue(lua, index);
        lua_getinfo(lua, c">S".as_ptr(), &mut about);
        let source = std::ffi::CStr::from_ptr(about.short_src.as_ptr()).to_string_lossy();
        if about.linedefined > 0 { format!("{source}:{}", about.linedefined) } else { source.into_owned() }
    }
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
        let given = lua_isinteger(lua, -1) != 0;
        let counted = lua_tointegerx(lua, -1, std::ptr::null_mut());
        lua_pop(lua, 1);
        let count = if given { counted } else { lua_rawlen(lua, table) as lua_Integer };
        let room =
            c_int::try_from(count).ok().filter(|count| *count >= 0 && lua_checkstack(lua, *count + 20) != 0);
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

/// The process's session.
///
/// # Safety
/// `lua` is a valid state with free slots.
pub(super) unsafe fn session(lua: *mut lua_State) -> Result<Arc<Session>, Raise> {
    if Broker::current().is_some() {
        let reason =
            "a sandboxed job has no pools and preloads nothing: its walls stand around one process each";
        return Err(Raise::Message(reason.to_owned()));
    }
    let host = || Host {
        program: dispatch::find_worker(),
        // SAFETY: the caller's state, with free slots.
        bytecode: unsafe { signature::bytecode(lua) },
    };
    Session::current(host).map_err(|error| Raise::Message(error.to_string()))
}

/// What a worker needs to know of a job with these options.
///
/// # Safety
/// `lua` is a valid state with free slots.
pub(super) unsafe fn settings(lua: *mut lua_State, options: &Options, name: String) -> Settings {
    // SAFETY: the caller's state, with free slots.
    let (path, cpath) = unsafe { (package_field(lua, c"path"), package_field(lua, c"cpath")) };
    Settings {
        name,
        path,
        cpath,
        directory: std::env::current_dir().ok().map(PathBuf::into_os_string).map(OsStringExt::into_vec),
        nice: options.nice,
        stdout: options.stdout,
        stderr: options.stderr,
        limits: options.limits,
        sandbox: options.sandbox.clone(),
        pool: None,
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

/// A field of `package`, if it is a string.
///
/// # Safety
/// `lua` is a valid state with free slots.
pub(super) unsafe fn package_field(lua: *mut lua_State, field: &std::ffi::CStr) -> Option<Vec<u8>> {
    // SAFETY: the caller's state, with free slots; raw access raises nothing on tables, and the types are
    // checked on the way.
    unsafe {
        let top = lua_gettop(lua);
        lua_getfield(lua, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
        lua_pushstring(lua, c"package".as_ptr());
        lua_rawget(lua, -2);
        let mut found = None;
        if lua_type(lua, -1) == LUA_TTABLE {
            lua_pushstring(lua, field.as_ptr());
            lua_rawget(lua, -2);
            found = bytes(lua, -1).map(<[u8]>::to_vec);
        }
        lua_settop(lua, top);
        found
    }
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
    let settings = settings.to_bytes();
    let sent = Sent::default();
    // SAFETY: the caller has `count` values from `first` on.
    let dispatched = unsafe {
        encode(lua, first, count, choice, &mut Objects(&sent), |values| {
            sent.with(|objects, tail| {
                // What such a job can write nobody takes for more than plain data from now on.
                if options.sandbox.is_some() {
                    objects
                        .iter()
                        .try_for_each(|object| object.distrust())
                        .map_err(|error| error.to_string())?;
                }
                let payload = Joined([&&settings[..], values, &tail]);
                session.dispatch(&payload, objects, &launch).map_err(|error| error.to_string())
            })
        })
    };
    match dispatched {
        Ok(Ok(job)) => Ok(job),
        Ok(Err(reason)) => Err(Raise::Message(reason)),
        Err(error) => Err(Raise::Message(error.to_string())),
    }
}
