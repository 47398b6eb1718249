//! What a job can change of its process, as far as the next one would notice: what it inherits in `docs/in-your-program.md`.
//!
//! Lua alone changes none of it; modules of C and LuaJIT's FFI library do.

use llib_core::sys::credentials::Credentials;
use llib_core::sys::{environ, limits};
use llib_core::wire::attributes::{Limit, RESOURCES};
use llib_worker_sys::{environment, signals};
use rustix::fs::{Mode, fstat};
use rustix::process::{getpriority_process, umask};
use rustix::stdio::{stderr, stdin, stdout};
use rustix::thread::{CpuSet, sched_getaffinity};

/// As it should be.
pub(super) struct Process {
    /// See [`environ::fingerprint`].
    fingerprint: u64,
    variables: Vec<u8>,
    mask: Mode,
    rest: Rest,
}

/// What is not put back.
#[derive(PartialEq)]
struct Rest {
    nice: Option<i32>,
    limits: [Limit; RESOURCES],
    processors: Option<CpuSet>,
    signals: signals::Actions,
    credentials: Credentials,
    /// Device and file of the standard streams.
    streams: [Option<(u64, u64)>; 3],
}

impl Rest {
    fn now() -> Rest {
        Rest {
            nice: getpriority_process(None).ok(),
            limits: limits::all(),
            processors: sched_getaffinity(None).ok(),
            signals: signals::actions(),
            credentials: Credentials::own(),
            streams: [stdin(), stdout(), stderr()]
                .map(|stream| fstat(stream).ok().map(|stat| (stat.st_dev, stat.st_ino))),
        }
    }
}

impl Process {
    /// As it is now.
    pub(super) fn now() -> Process {
        let mut variables = Vec::new();
        environ::strings().iter().for_each(|string| variables.extend_from_slice(string.as_bytes_with_nul()));
        let mask = umask(Mode::empty());
        umask(mask);
        Process { fingerprint: environ::fingerprint(), variables, mask, rest: Rest::now() }
    }

    /// Puts back what a job has changed; false if that cannot be. Some 20 µs.
    pub(super) fn restore(&mut self) -> bool {
        umask(self.mask);
        if environ::fingerprint() != self.fingerprint {
            environment::replace(self.variables.clone());
            self.fingerprint = environ::fingerprint();
        }
        let now = Rest::now();
        if now == self.rest {
            return true;
        }
        // Some libraries ignore SIGPIPE as soon as they are loaded.
        self.rest.signals.restore();
        Rest::now() == self.rest
    }
}
