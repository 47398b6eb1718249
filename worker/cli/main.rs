//! The command `llib`: runs a Lua script with the interpreter built in, `require "llib"` ready in it.
//!
//! A script has to behave as under the stock `lua` program, down to the bytes of its error messages, so
//! each room here mirrors one part of that program:
//!
//! | file | owns |
//! |---|---|
//! | `entry` | the process's entry point, before anything of Rust's runtime |
//! | `arguments` | command line -> [`arguments::Request`]; pure |
//! | `environment`, `search_path` | what `LUA_INIT`, `LUA_PATH` and `LUA_CPATH` ask for; no Lua |
//! | `interpreter` | the Lua state and everything that touches it |
//! | `run` | the subcommands: a script as an isolated job, shells' completions |
//! | `top` | the subcommand that shows running sessions |
//! | `help` | the texts |
//!
//! `unsafe` stands in `entry` and `interpreter` only.

// The entry point is `entry::main`; unit tests need the one of the test harness.
#![cfg_attr(not(test), no_main)]

mod arguments;
#[cfg(not(test))]
mod entry;
mod environment;
mod help;
mod interpreter;
mod run;
mod search_path;
mod top;

use std::ffi::{CStr, CString, c_int};
use std::io::{self, IsTerminal, Write};

use arguments::{Request, UsageError};
use environment::Environment;

/// First argument of a process that is not the command but its own worker program.
const WORKER: &[u8] = llib_core::sys::spawn::WORKER_FLAG.as_bytes();

/// Everything after the entry point: decides what this process is. Returns the exit status.
#[cfg_attr(test, allow(dead_code))]
fn start(argv: &[CString]) -> c_int {
    match argv.get(1).map(|first| first.as_bytes()) {
        Some(WORKER) => {
            let arguments: Vec<String> =
                argv.iter().skip(2).map(|argument| argument.to_string_lossy().into_owned()).collect();
            llib_worker::run_worker(&arguments)
        }
        _ => command(argv),
    }
}

/// The command proper.
fn command(argv: &[CString]) -> c_int {
    let first = argv.get(1).map(|first| first.as_bytes());
    let subcommand = match first {
        Some(b"run") => Some(run::run as fn(&CStr, &[CString]) -> c_int),
        Some(b"top") => Some(top::top as fn(&CStr, &[CString]) -> c_int),
        Some(b"completions") => Some(run::completions as fn(&CStr, &[CString]) -> c_int),
        _ => None,
    };
    if let Some(subcommand) = subcommand {
        serve_as_worker();
        return subcommand(arguments::program(argv), argv.get(1..).unwrap_or_default());
    }
    let request = match arguments::parse(argv, io::stdin().is_terminal()) {
        Ok(request) => request,
        Err(error) => return refuse(argv, &error),
    };
    match request {
        Request::Help => print(help::help().as_bytes()),
        Request::Version => {
            print(concat!("llib ", env!("CARGO_PKG_VERSION"), "\n").as_bytes());
            print(&interpreter::version_line());
        }
        Request::Run(invocation) => {
            if invocation.print_version {
                print(&interpreter::version_line());
            }
            serve_as_worker();
            let environment = Environment::read(invocation.ignore_environment);
            return interpreter::run(&invocation, &environment);
        }
    }
    0
}

/// Jobs run in processes of this very executable.
fn serve_as_worker() {
    if let Some(own) = llib_core::sys::module::executable() {
        llib_host::serve_as_worker(own);
    }
}

/// A wrong command line: what is wrong, then how to use the command.
fn refuse(argv: &[CString], error: &UsageError) -> c_int {
    let program = arguments::program(argv).to_string_lossy();
    // Nothing is left to tell the error to when standard error is gone.
    let _ = match error {
        UsageError::NothingToRun => io::stderr().write_all(help::help().as_bytes()),
        error => write!(io::stderr(), "{program}: {error}\n{}", help::USAGE),
    };
    // Stock Lua answers 1, the status of every failed script too.
    run::USAGE.into()
}

/// Writes to standard output at once: Rust's buffer is not flushed when the process ends.
fn print(text: &[u8]) {
    let mut out = io::stdout().lock();
    // As stock Lua, which does not look at the result of printing its version.
    let _ = out.write_all(text).and_then(|()| out.flush());
}
