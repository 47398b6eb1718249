//! The supervisors: a guard, and a zygote that forks workers.
//!
//! ```text
//! host
//!  └─ guard     keeps the session's memory; outlives a killed zygote and cleans up after it
//!      └─ zygote    forks workers, reaps and kills them, keeps deadlines; runs no user code
//!          ├─ worker    one job, then gone
//!          └─ …
//! ```
//!
//! What a worker is they do not know: it arrives as a [`Worker`]. The page that explains it is
//! `docs/architecture.md`.

mod end;
mod guard;
mod seat;
mod strays;
mod timeline;
mod zygote;

use llib_core::wire::control::Preload;

pub use seat::{Ends, Nested, Seat};

/// What is forked: a process in which everything is ready for a job.
pub trait Worker {
    /// Header of the precompiled chunks that it runs.
    fn bytecode(&self) -> Vec<u8>;

    /// Loads a module for all workers that are forked from now on. On failure the reason, in a sentence.
    fn preload(&self, wanted: &Preload) -> Result<(), String>;

    /// Lives as a worker; the process ends here.
    fn run(&self, seat: Seat<'_>) -> !;
}

/// Makes ready what workers are forked with. Called once, in the zygote.
pub type Prepare = fn() -> Result<Box<dyn Worker>, String>;

/// Serves a host as its guard, and in a child as its zygote. Returns the exit code.
///
/// `host` is its process id, `tree` the name of the memory that its processes share.
pub fn run(host: i32, tree: &str, prepare: Prepare) -> i32 {
    guard::run(host, tree, prepare)
}
