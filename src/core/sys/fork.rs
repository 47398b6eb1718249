//! Noticing that this process was forked from one that uses llib: by the script, with a library for that.
//!
//! What llib holds (locks, bits in tables, a session) belongs to the parent then. Asking for the process's id each time
//! would tell too, but is a system call.

#![allow(unsafe_code)]

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

static HAPPENED: AtomicBool = AtomicBool::new(false);
static WATCHED: Once = Once::new();

/// From now on [`happened`] is true in each process that is forked from this one, pthread_atfork(3). Not in one that
/// `_Fork` made: it runs no such handlers.
pub fn watch() {
    // SAFETY: the handler is valid as long as the process lives (the module is linked with `-z nodelete`), and all
    // it does is a store. Without memory for the entry forks go unnoticed.
    WATCHED.call_once(|| unsafe {
        libc::pthread_atfork(None, None, Some(note));
    });
}

/// Says that this process was forked to be one of llib's own.
pub fn expect() {
    HAPPENED.store(false, Ordering::Relaxed);
}

/// Whether this process was forked from one that called [`watch`].
pub fn happened() -> bool {
    HAPPENED.load(Ordering::Relaxed)
}

extern "C" fn note() {
    HAPPENED.store(true, Ordering::Relaxed);
}
