//! The supervisors: a guard, and a zygote that forks workers.
//!
//! ```text
//! host
//!  └─ guard     keeps the session's memory; outlives a killed zygote and cleans up after it
//!      └─ zygote    forks workers, reaps and kills them, keeps deadlines; runs no user code
//!          ├─ template  from the first preload on: loads modules, forks workers for the zygote
//!          ├─ worker    one job, then gone
//!          └─ …
//! ```
//!
//! What a worker is they do not know: it arrives as a [`Worker`]. The page that explains it is
//! `docs/architecture.md`.

mod attributes;
mod birth;
mod end;
mod guard;
mod identity;
mod monitor;
mod seat;
mod strays;
mod template;
mod timeline;
mod zygote;

use std::fmt::Display;
use std::os::fd::OwnedFd;

use llib_core::shm::{Segment, SessionLock};
use llib_core::sys::ring::Ring;
use llib_core::wire::attributes::{Limit, RESOURCES};
use llib_core::wire::control::Preload;

pub use attributes::Worn;
pub use guard::run;
pub use seat::{Ends, Nested, Seat};

/// What is forked: a process in which everything is ready for a job.
pub trait Worker {
    /// Header of the precompiled chunks that it runs.
    fn bytecode(&self) -> Vec<u8>;

    /// Loads a module for all workers that are forked from this process. On failure the reason, in a sentence.
    fn preload(&self, wanted: &Preload) -> Result<(), String>;

    /// Lives as a worker; the process ends here.
    fn run(&self, seat: Seat<'_>) -> !;
}

/// Makes ready what workers are forked with. Called once, in the zygote.
pub type Prepare = fn() -> Result<Box<dyn Worker>, String>;

/// A session that has its memory, and no zygote yet.
struct Session {
    ring: Ring,
    /// Where the host's commands arrive.
    commands: OwnedFd,
    host: OwnedFd,
    segment: Segment,
    lock: SessionLock,
    prepare: Prepare,
    /// The host's limits, of which some are raised for the supervisors.
    limits: [Limit; RESOURCES],
}

/// Makes a sentence of an error: what failed, and why.
fn failed<E: Display>(what: &str) -> impl FnOnce(E) -> String {
    move |error| format!("{what}: {error}")
}
