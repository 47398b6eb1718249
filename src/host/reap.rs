//! Taking the exit status of guards that are about to end.

use std::sync::{Mutex, MutexGuard, PoisonError};

use llib_core::sys::spawn::has_ended;

fn ended() -> MutexGuard<'static, Vec<i32>> {
    static ENDED: Mutex<Vec<i32>> = Mutex::new(Vec::new());
    // Nothing can panic half way, so a poisoned lock holds sound data.
    ENDED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes a child that is about to end, so that some later call takes its exit status.
pub(super) fn reap_later(pid: i32) {
    ended().push(pid);
    reap_ended();
}

/// Takes the status of those that have ended.
pub(super) fn reap_ended() {
    ended().retain(|pid| !has_ended(*pid));
}
