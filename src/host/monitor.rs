//! The monitor as this process knows it: the guard of its first session, which has what this process had then.
//!
//! As long as the process is what it was nothing is asked of it. See `llib_core::shm::monitor`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use llib_core::shm::monitor;
use llib_core::sys::credentials::{self, Credentials, Root};
use llib_core::sys::fork::Owned;
use llib_core::sys::spawn::Started;
use llib_core::wire::monitor::{Answer, Request};

/// See the module's header.
#[derive(Clone)]
pub(super) struct Monitor {
    socket: Arc<Owned<OwnedFd>>,
    /// Which socket that is: a process that was forked may have closed it.
    number: u64,
    /// What this process was.
    then: Credentials,
    root: Root,
}

fn known() -> MutexGuard<'static, Option<Monitor>> {
    static KNOWN: Mutex<Option<Monitor>> = Mutex::new(None);
    // Nothing can panic half way, so a poisoned lock holds sound data.
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why there is no guard.
pub(super) enum NoGuard {
    /// It could not be asked.
    Unheard(io::Error),
    /// It said why not.
    Refused(String),
}

impl Monitor {
    /// The end that listens goes to a first session's guard; the other one is this process's.
    pub(super) fn note(socket: OwnedFd, then: Credentials) {
        *known() = Some(Monitor::new(socket, then));
        monitor::find_by(Monitor::find);
    }

    /// Has it asked from now on if this process is not what it was: it may use what it shares before it starts another job.
    fn find() {
        let monitor = known().clone();
        if let Some(monitor) =
            monitor.filter(|monitor| monitor.is_open() && monitor.then != Credentials::own())
            && let Ok(end) = monitor.socket.try_clone()
        {
            monitor::use_from_now_on(end);
        }
    }

    fn new(socket: OwnedFd, then: Credentials) -> Monitor {
        let number = monitor::socket_number(socket.as_fd());
        Monitor { socket: Arc::new(Owned::new(socket)), number, then, root: credentials::root() }
    }

    fn is_open(&self) -> bool {
        monitor::socket_number(self.socket()) == self.number
    }

    /// Has it stay when the session ends of which it is the guard: this process is not what it was.
    pub(super) fn keep() {
        let socket = known().as_ref().map(|monitor| Arc::clone(&monitor.socket));
        if let Some(socket) = socket {
            // One that is gone cannot stay, and is noticed when it is asked for something.
            let _ = monitor::ask(socket.as_fd(), &Request::Stay, &[]);
        }
    }

    /// That of a process which is now something else than it was then. Any other one is let go: the next session is a first one.
    pub(super) fn of_before(now: &Credentials) -> io::Result<Option<Monitor>> {
        let mut known = known();
        if let Some(monitor) = known.as_ref().filter(|monitor| monitor.then != *now && monitor.is_open()) {
            monitor::use_from_now_on(monitor.socket.try_clone()?);
            return Ok(Some(monitor.clone()));
        }
        if known.take().is_some() {
            monitor::forget();
        }
        // A job's, whose host had one.
        let Some(end) = monitor::end() else { return Ok(None) };
        Ok(Some(Monitor::new(end.try_clone_to_owned()?, now.clone())))
    }

    /// Lets it go: its files are out of reach then.
    pub(super) fn forget() {
        if known().take().is_some() {
            monitor::forget();
        }
    }

    /// Whether this process has another root directory now.
    pub(super) fn has_other_root(&self) -> bool {
        self.root != credentials::root()
    }

    /// The end that others of this process's sessions are to have.
    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Has it fork a guard that becomes what this process is now. `ring`, `commands` and `own` are what that will have.
    pub(super) fn fork_guard(
        &self,
        tree: &str,
        ring: BorrowedFd<'_>,
        commands: BorrowedFd<'_>,
        own: BorrowedFd<'_>,
    ) -> Result<Started, NoGuard> {
        let host = std::process::id().cast_signed();
        let request = Request::Session { host, tree: tree.to_owned() };
        let files = [ring, commands, self.socket(), own];
        match monitor::ask(self.socket(), &request, &files).map_err(NoGuard::Unheard)? {
            (Answer::Forked(pid), Some(process)) => Ok(Started { pid, process }),
            (Answer::Refused(reason), _) => Err(NoGuard::Refused(reason)),
            _ => Err(NoGuard::Unheard(io::Error::other("it answers something else"))),
        }
    }
}
