//! The options of `async`: as given, checked, as settings.

use std::ffi::c_int;
use std::time::Duration;

use llib_lua::ffi::*;

use super::option::{boolean, each, expected, integer, size_up_to, text, time, unknown};
use super::sandbox;
use llib_core::wire::limits::Limits;
use llib_core::wire::sandbox::SandboxPolicy;
use llib_core::wire::settings::{Capture, Stdio};
use llib_core::wire::size::MOST_MEMORY;
use llib_lua::call::{Raise, bytes};
use llib_lua::convert::GlobalMode;

/// Checked options.
pub(super) struct Options {
    pub(super) name: Option<String>,
    pub(super) timeout: Option<Duration>,
    pub(super) stdout: Stdio,
    pub(super) stderr: Stdio,
    pub(super) capture_limit: u32,
    /// `None`: what is usual for such a job.
    pub(super) globals: Option<GlobalMode>,
    pub(super) extra_globals: Vec<Vec<u8>>,
    pub(super) nice: i32,
    pub(super) limits: Limits,
    pub(super) sandbox: Option<SandboxPolicy>,
    /// Whether functions and metatables that come back from a sandbox are taken as what they are.
    pub(super) functions: bool,
    pub(super) metatables: bool,
    /// Whether there is a table of arguments; it is left in the options table.
    pub(super) has_args: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            name: None,
            timeout: None,
            stdout: Stdio::Inherit,
            stderr: Stdio::Inherit,
            capture_limit: 1 << 20,
            globals: None,
            extra_globals: Vec::new(),
            nice: 0,
            limits: Limits::default(),
            sandbox: None,
            functions: false,
            metatables: false,
            has_args: false,
        }
    }
}

impl Options {
    pub(super) fn capture(&self) -> Capture {
        let captured = |stdio| stdio == Stdio::Capture;
        Capture { limit: self.capture_limit, stdout: captured(self.stdout), stderr: captured(self.stderr) }
    }
}

/// In the order in which the message for an unknown one lists them.
const KNOWN: [&str; 16] = [
    "args",
    "name",
    "timeout",
    "cpu",
    "memory",
    "files",
    "fsize",
    "result_limit",
    "stdout",
    "stderr",
    "capture_limit",
    "globals",
    "nice",
    "sandbox",
    "functions",
    "metatables",
];

/// Reads the options table at `index`.
///
/// # Safety
/// `lua` is a valid state with six free stack slots and a table at the absolute `index`.
pub(super) unsafe fn read(lua: *mut lua_State, index: c_int) -> Result<Options, Raise> {
    let mut options = Options::default();
    // SAFETY: as demanded; each value is on top while it is taken.
    unsafe {
        each(lua, index, |key| match set(lua, &mut options, key) {
            Ok(true) => Ok(()),
            Ok(false) => Err(unknown(key, &KNOWN)),
            Err(problem) => Err(problem),
        })?;
    }
    Ok(options)
}

/// Takes the value on top of the stack as option `key`; false if there is none of that name.
///
/// # Safety
/// `lua` is a valid state with a value on top and free slots.
pub(super) unsafe fn set(lua: *mut lua_State, options: &mut Options, key: &str) -> Result<bool, String> {
    // SAFETY: the caller has a value on top of the stack and free slots.
    unsafe {
        match key {
            "args" => {
                if lua_type(lua, -1) != LUA_TTABLE {
                    return Err(expected(lua, key, "a table"));
                }
                options.has_args = true;
            }
            "name" => options.name = Some(text(lua, key)?),
            "timeout" => {
                options.timeout = Some(time(lua, key)?);
            }
            "cpu" => options.limits.cpu = Some(cpu_time(time(lua, key)?)),
            "memory" => options.limits.memory = Some(size_up_to(lua, key, MOST_MEMORY, "\"1T\"")?),
            "sandbox" => options.sandbox = sandbox::read(lua)?,
            "functions" => options.functions = boolean(lua, key)?,
            "metatables" => options.metatables = boolean(lua, key)?,
            "result_limit" => options.limits.result = Some(size_up_to(lua, key, MOST_MEMORY, "\"1T\"")?),
            "fsize" => {
                options.limits.fsize = Some(size_up_to(lua, key, i64::MAX as u64, "the largest integer")?)
            }
            "files" => {
                let files = integer(lua).filter(|files| (0..=1 << 20).contains(files));
                let files = files.ok_or_else(|| expected(lua, key, "an integer from 0 to 1048576"))?;
                options.limits.files = Some(files.cast_unsigned());
            }
            "stdout" => options.stdout = stdio(lua, key)?,
            "stderr" => options.stderr = stdio(lua, key)?,
            "capture_limit" => options.capture_limit = size(lua, key)?,
            "globals" => globals(lua, options, key)?,
            "nice" => {
                options.nice = integer(lua)
                    .filter(|nice| (0..=19).contains(nice))
                    .ok_or_else(|| expected(lua, key, "an integer from 0 to 19"))?
                    as i32;
            }
            _ => return Ok(false),
        }
    }
    Ok(true)
}

unsafe fn stdio(lua: *mut lua_State, key: &str) -> Result<Stdio, String> {
    // SAFETY: the caller has the value on top of the stack.
    unsafe {
        match bytes(lua, -1) {
            Some(b"inherit") => Ok(Stdio::Inherit),
            Some(b"null") => Ok(Stdio::Null),
            Some(b"capture") => Ok(Stdio::Capture),
            _ => Err(expected(lua, key, "\"inherit\", \"null\" or \"capture\"")),
        }
    }
}

/// Whole microseconds, at least one.
fn cpu_time(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1)
}

unsafe fn size(lua: *mut lua_State, key: &str) -> Result<u32, String> {
    // SAFETY: the caller has the value on top of the stack.
    let size = unsafe { size_up_to(lua, key, 1 << 30, "\"1G\"")? };
    Ok((size as u32).min(Capture::MAX))
}

unsafe fn globals(lua: *mut lua_State, options: &mut Options, key: &str) -> Result<(), String> {
    // SAFETY: the caller has the value on top of the stack and free slots.
    unsafe {
        match bytes(lua, -1) {
            Some(b"named") => options.globals = Some(GlobalMode::Named),
            Some(b"all") => options.globals = Some(GlobalMode::All),
            Some(b"none") => options.globals = Some(GlobalMode::None),
            None if lua_type(lua, -1) == LUA_TTABLE => {
                for position in 1..=lua_rawlen(lua, -1) {
                    lua_rawgeti(lua, -1, position as lua_Integer);
                    let name = bytes(lua, -1).map(<[u8]>::to_vec);
                    lua_pop(lua, 1);
                    let problem =
                        || format!("option '{key}': a table holds names, and entry {position} is none");
                    options.extra_globals.push(name.ok_or_else(problem)?);
                }
            }
            _ => return Err(expected(lua, key, "\"named\", \"all\", \"none\" or a table of names")),
        }
    }
    Ok(())
}
