//! Seeing llib run: what processes publish of themselves.
//!
//! | file | owns |
//! |---|---|
//! | [`trace`] | `LLIB_TRACE`, a timeline |
//! | [`log`] | `LLIB_LOG`, lines of what supervisors do |
//! | `sink` | files to which several processes write |
//!
//! Nobody in llib decides anything by what stands there. The page that explains it is `docs/observing.md`.

pub mod log;
mod sink;
pub mod trace;

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use sink::Sink;

/// Whether this process is one of llib's own, whose host has said already what there is to say.
static SERVES: AtomicBool = AtomicBool::new(false);

/// Says that this process is a supervisor or a worker.
pub fn serve() {
    SERVES.store(true, Ordering::Relaxed);
}

fn serves() -> bool {
    SERVES.load(Ordering::Relaxed)
}

/// The variables by which a process that this one starts finds the files of timeline and log, by their whole names: it
/// may run elsewhere.
pub fn variables() -> Vec<(&'static str, &'static Path)> {
    let files = [(trace::VARIABLE, trace::path()), (log::FILE, log::path())];
    files.into_iter().filter_map(|(variable, path)| Some((variable, path?.as_path()))).collect()
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

/// Opens the file that a variable names; whether it could be. See [`Sink::open`].
fn open(sink: &Sink, variable: &str, name: &OsStr, head: Option<&[u8]>) -> bool {
    let opened = std::path::absolute(with_pid(name)).and_then(|path| sink.open(path, head));
    if let Err(error) = &opened {
        complain(&format!("{variable}: cannot write '{}': {error}", Path::new(name).display()));
    }
    opened.is_ok()
}

/// A file's name with the process id in place of `%p`.
fn with_pid(name: &OsStr) -> OsString {
    let (mut bytes, mut rest) = (Vec::new(), name.as_bytes());
    while let Some(at) = rest.windows(2).position(|pair| pair == b"%p") {
        bytes.extend_from_slice(&rest[..at]);
        bytes.extend_from_slice(std::process::id().to_string().as_bytes());
        rest = &rest[at + 2..];
    }
    bytes.extend_from_slice(rest);
    OsString::from_vec(bytes)
}
