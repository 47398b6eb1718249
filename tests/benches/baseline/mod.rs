//! What the operating system alone costs: fork, spawn and memcpy, measured in a small process of its own.
//!
//! `jobs.lua` starts this process, writes a command a line and reads one line of numbers for each, in
//! nanoseconds. The time is taken here, so that the pipe between the two is never part of it.
//!
//! | command | answer |
//! |---|---|
//! | `function SOURCE` | an empty line; SOURCE is what `fork` runs |
//! | `fork COUNT PAUSE` | COUNT times, after PAUSE microseconds of sleep: fork, run the function, exit, wait |
//! | `bare COUNT` | COUNT times: fork, exit, wait |
//! | `spawn COUNT PROGRAM ARG…` | COUNT times: posix_spawn and exec of a program, wait |
//! | `copy COUNT BYTES` | COUNT times three numbers: memcpy into warm memory, into fresh shared pages, into fresh private ones |
#![allow(unsafe_code)]

use std::io::{BufRead, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mlua::ffi::*;

/// Serves until standard input ends. With `lua` the process holds a loaded Lua state, as a worker does.
pub(crate) fn serve(lua: bool) -> Result<(), String> {
    let state = if lua { open()? } else { std::ptr::null_mut() };
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|error| error.to_string())?;
        let samples = answer(state, &line).ok_or_else(|| format!("cannot obey '{line}'"))?;
        let text: Vec<String> = samples.iter().map(u128::to_string).collect();
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{}", text.join(" "))
            .and_then(|()| stdout.flush())
            .map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn answer(lua: *mut lua_State, line: &str) -> Option<Vec<u128>> {
    let (command, rest) = line.split_once(' ')?;
    if command == "function" {
        return load(lua, rest).then(Vec::new);
    }
    let mut words = rest.split(' ');
    let count: usize = words.next()?.parse().ok()?;
    let mut next = || words.next().and_then(|word| word.parse::<u64>().ok());
    match command {
        "bare" => (0..count).map(|_| fork(|| true)).collect(),
        "fork" if !lua.is_null() => {
            let pause = Duration::from_micros(next()?);
            let sample = |_| {
                if !pause.is_zero() {
                    std::thread::sleep(pause);
                }
                fork(|| call(lua))
            };
            (0..count).map(sample).collect()
        }
        "spawn" => {
            let (program, args) = (words.next()?, words.collect::<Vec<_>>());
            (0..count).map(|_| spawn(program, &args)).collect()
        }
        "copy" => {
            let bytes = usize::try_from(next()?).ok()?;
            copy(count, bytes)
        }
        _ => None,
    }
}

/// A state with the standard libraries, as every worker starts with.
fn open() -> Result<*mut lua_State, String> {
    // SAFETY: a fresh state. Opening the libraries raises only when memory is out, which ends the process.
    unsafe {
        let lua = luaL_newstate();
        if lua.is_null() {
            return Err("not enough memory for a Lua state".to_owned());
        }
        luaL_openlibs(lua);
        Ok(lua)
    }
}

/// Compiles the function and keeps it at the bottom of the stack.
fn load(lua: *mut lua_State, source: &str) -> bool {
    if lua.is_null() {
        return false;
    }
    // SAFETY: this process's own state; the bytes are there during the call, and the name ends with a zero.
    unsafe {
        lua_settop(lua, 0);
        luaL_loadbufferx(lua, source.as_ptr().cast(), source.len(), c"=job".as_ptr(), c"t".as_ptr()) == LUA_OK
    }
}

/// Runs the function that was loaded; whether it came to its end.
fn call(lua: *mut lua_State) -> bool {
    // SAFETY: this process's own state. Errors end up as a status; an empty stack is one, too.
    unsafe {
        if lua_gettop(lua) != 1 {
            return false;
        }
        lua_pushvalue(lua, 1);
        lua_pcall(lua, 0, 0, 0) == LUA_OK
    }
}

/// Times: fork, `child` and exit in the new process, wait for it. None if any of that failed.
fn fork(child: impl FnOnce() -> bool) -> Option<u128> {
    let begun = Instant::now();
    // SAFETY: this process has one thread, so the child may use everything it inherits. It leaves by
    // `_exit`, which runs no handlers of the parent's.
    let pid = unsafe {
        let pid = libc::fork();
        if pid == 0 {
            libc::_exit(i32::from(!child()));
        }
        pid
    };
    if pid < 0 {
        return None;
    }
    let mut status = 0;
    // SAFETY: the child just made; the call fills `status` in.
    let waited = unsafe { libc::waitpid(pid, &mut status, 0) };
    let taken = begun.elapsed().as_nanos();
    (waited == pid && status == 0).then_some(taken)
}

fn spawn(program: &str, args: &[&str]) -> Option<u128> {
    let begun = Instant::now();
    let status = Command::new(program).args(args).stdin(Stdio::null()).status().ok()?;
    let taken = begun.elapsed().as_nanos();
    status.success().then_some(taken)
}

/// Times one memcpy at a time; mapping and unmapping the fresh memory is not part of it.
fn copy(count: usize, bytes: usize) -> Option<Vec<u128>> {
    let from = vec![b'x'; bytes];
    // Written once, so that its pages are there.
    let mut warm = vec![b'y'; bytes];
    let mut samples = Vec::new();
    for _ in 0..count {
        samples.push(copy_to(&from, warm.as_mut_ptr()));
        for flag in [libc::MAP_SHARED, libc::MAP_PRIVATE] {
            // SAFETY: a new mapping at a place of the kernel's choice.
            let fresh = unsafe {
                let access = libc::PROT_READ | libc::PROT_WRITE;
                libc::mmap(std::ptr::null_mut(), bytes, access, flag | libc::MAP_ANONYMOUS, -1, 0)
            };
            if fresh == libc::MAP_FAILED {
                return None;
            }
            samples.push(copy_to(&from, fresh.cast()));
            // SAFETY: the mapping made above, which nothing refers to any more.
            unsafe { libc::munmap(fresh, bytes) };
        }
    }
    Some(samples)
}

/// Callers pass a place that is as long as `from`.
fn copy_to(from: &[u8], to: *mut u8) -> u128 {
    let to = std::hint::black_box(to);
    let begun = Instant::now();
    // SAFETY: `to` is writable for as many bytes, and no part of `from`.
    unsafe { std::ptr::copy_nonoverlapping(std::hint::black_box(from).as_ptr(), to, from.len()) };
    std::hint::black_box(to);
    begun.elapsed().as_nanos()
}
