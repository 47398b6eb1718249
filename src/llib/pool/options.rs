//! The options of `thread.pool`: its own, and those of `async` that make sense for jobs without a process of their own.

use std::ffi::c_int;

use llib_lua::ffi::*;

use crate::option::{each, expected, integer, size_up_to, unknown};
use crate::options::{self, Options};
use llib_core::shm::SEATS;
use llib_core::sys::cores;
use llib_core::wire::settings::Stdio;
use llib_core::wire::size::MOST_MEMORY;
use llib_lua::call::{Raise, bytes};

/// Checked options of a pool.
pub(super) struct PoolOptions {
    pub(super) size: usize,
    pub(super) max_jobs: u64,
    pub(super) max_memory: u64,
    /// Whether there is something to be loaded or run first; it is left in the options table.
    pub(super) has_preload: bool,
    pub(super) jobs: Options,
}

/// The most workers of a pool: each takes another seat while it goes.
const MOST: usize = SEATS / 2 - 2;

/// In the order in which the message for an unknown one lists them.
const KNOWN: [&str; 15] = [
    "size",
    "preload",
    "max_jobs",
    "max_memory",
    "name",
    "timeout",
    "cpu",
    "memory",
    "files",
    "fsize",
    "result_limit",
    "nice",
    "stdout",
    "stderr",
    "globals",
];

impl Default for PoolOptions {
    fn default() -> PoolOptions {
        let size = cores::count().min(MOST);
        PoolOptions { size, max_jobs: 0, max_memory: 0, has_preload: false, jobs: Options::default() }
    }
}

/// Reads the options table at `index`.
///
/// # Safety
/// `lua` is a valid state with eight free stack slots and a table at the absolute `index`.
pub(super) unsafe fn read(lua: *mut lua_State, index: c_int) -> Result<PoolOptions, Raise> {
    let mut read = PoolOptions::default();
    // SAFETY: as demanded; each value is on top while it is taken.
    unsafe { each(lua, index, |key| set(lua, &mut read, key))? };
    Ok(read)
}

unsafe fn set(lua: *mut lua_State, read: &mut PoolOptions, key: &str) -> Result<(), String> {
    // SAFETY: the caller has the value on top of the stack, and free slots.
    unsafe {
        let above_zero = |most: i64| integer(lua).filter(|value| (1..=most).contains(value));
        match key {
            "size" => {
                let size = above_zero(MOST as i64);
                read.size =
                    size.ok_or_else(|| expected(lua, key, &format!("an integer from 1 to {MOST}")))? as usize;
            }
            "max_jobs" => {
                let jobs = above_zero(i64::MAX);
                read.max_jobs =
                    jobs.ok_or_else(|| expected(lua, key, "an integer above zero"))?.cast_unsigned();
            }
            "max_memory" => read.max_memory = size_up_to(lua, key, MOST_MEMORY, "\"1T\"")?.max(1),
            "preload" => {
                let function = lua_type(lua, -1) == LUA_TFUNCTION && lua_iscfunction(lua, -1) == 0;
                if !function && lua_type(lua, -1) != LUA_TTABLE && bytes(lua, -1).is_none() {
                    return Err(expected(lua, key, "a module's name, a table of names or a Lua function"));
                }
                read.has_preload = true;
            }
            // A job of a pool takes its arguments from `submit`.
            "args" | "capture_limit" => return Err(unknown(key, &KNOWN)),
            "sandbox" | "functions" | "metatables" => {
                return Err(format!(
                    "option '{key}': the jobs of a pool are trusted; thread.async runs one in a sandbox"
                ));
            }
            _ => {
                if !options::set(lua, &mut read.jobs, key)? {
                    return Err(unknown(key, &KNOWN));
                }
                if read.jobs.stdout == Stdio::Capture || read.jobs.stderr == Stdio::Capture {
                    return Err(format!(
                        "option '{key}': the jobs of a pool share their workers' streams, which cannot be captured"
                    ));
                }
            }
        }
    }
    Ok(())
}
