//! The guard as its host sees it: by a pidfd, for it is nobody's child.
//!
//! A host that is process 1 or a subreaper is its parent all the same, since the kernel hands it over. Then its exit status is taken
//! here, of this one process alone.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use std::time::Duration;

use super::wait::{Patience, SLICE};
use llib_core::sys::fork::{Owned, PerProcess};
use llib_core::sys::process;
use llib_core::sys::spawn::Started;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, pidfd_send_signal};

/// A guard that was started.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    pub(super) pid: i32,
    process: Arc<Owned<OwnedFd>>,
}

impl From<Started> for Guard {
    fn from(started: Started) -> Guard {
        Guard { pid: started.pid, process: Arc::new(Owned::new(started.process)) }
    }
}

impl Guard {
    /// Whether it has ended.
    pub(super) fn has_ended(&self) -> bool {
        let ended = process::is_over(&**self.process);
        if ended {
            process::take_status(self.process.as_fd());
        }
        ended
    }

    /// Waits for its end, so long at most; whether it has come.
    pub(super) fn wait(&self, time: Duration) -> bool {
        let mut files = [PollFd::new(&**self.process, PollFlags::IN)];
        // A signal ends it early.
        let _ = poll(&mut files, Timespec::try_from(time).ok().as_ref());
        self.has_ended()
    }

    /// SIGCONT, which it passes on to a zygote that was stopped.
    pub(super) fn resume(&self) {
        let _ = pidfd_send_signal(&**self.process, Signal::CONT);
    }

    /// SIGKILL. To a host that has changed its user since it may be forbidden.
    pub(super) fn kill(&self) {
        let _ = pidfd_send_signal(&**self.process, Signal::KILL);
    }
}

fn leaving() -> MutexGuard<'static, Vec<Guard>> {
    static LEAVING: PerProcess<Mutex<Vec<Guard>>> = PerProcess::new();
    // Nothing can panic half way, so a poisoned lock holds sound data.
    LEAVING.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes a guard that is about to end, so that some later call takes its exit status.
pub(super) fn reap_later(guard: Guard) {
    leaving().push(guard);
    reap_ended();
}

/// Waits until all of them have ended.
pub(super) fn wait_for_ended(patience: Patience<'_>) {
    loop {
        reap_ended();
        let Some(guard) = leaving().first().cloned() else { return };
        if !guard.wait(SLICE) && !patience() {
            return;
        }
    }
}

/// Takes the status of those that have ended.
pub(super) fn reap_ended() {
    leaving().retain(|guard| !guard.has_ended());
}
