//! Seeing llib run: what processes publish of themselves.
//!
//! | file | owns |
//! |---|---|
//! | [`waiting`] | what a process waits for, in shared memory |
//! | [`trace`] | `LLIB_TRACE`, a timeline |
//! | [`log`] | `LLIB_LOG`, lines of what supervisors do |
//! | `sink` | files to which several processes write |
//!
//! Nobody in llib decides anything by what stands there. The page that explains it is `docs/observing.md`.

pub mod log;
mod sink;
pub mod trace;
mod waiting;

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::atomic::{AtomicBool, Ordering};

pub use waiting::{Awaited, Board, Waiting, set_board, waiting, waiting_in};

/// Whether this process is one of llib's own, whose host has said already what there is to say.
static SERVES: AtomicBool = AtomicBool::new(false);

/// Says that this process is a supervisor or a worker.
pub fn serve() {
    SERVES.store(true, Ordering::Relaxed);
}

fn serves() -> bool {
    SERVES.load(Ordering::Relaxed)
}

/// In a child of the zygote that has closed the zygote's descriptors.
pub fn after_fork() {
    trace::forget();
    log::forget();
    log::act_as(log::Role::Worker);
}

/// From now on this process writes nothing: it is about to be confined.
pub fn hush() {
    trace::hush();
    log::hush();
}

/// Tells people what is wrong with a variable. Nothing fails for that.
fn complain(reason: &str) {
    if !serves() {
        // Nothing is left to tell it to when standard error is gone.
        let _ = std::io::stderr().write_all(format!("llib: {reason}\n").as_bytes());
    }
}

/// A file's name with the process id in place of `%p`.
fn with_pid(name: &OsStr) -> OsString {
    let pid = std::process::id().to_string();
    let mut bytes = Vec::new();
    let mut rest = name.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        match after.split_first() {
            Some((b'p', after)) if first == b'%' => {
                bytes.extend_from_slice(pid.as_bytes());
                rest = after;
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    OsString::from_vec(bytes)
}
