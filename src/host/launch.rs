//! What a job is launched with.

use std::io;
use std::time::Duration;

use llib_core::shm::{RegionError, SLOTS};
use llib_core::wire::limits::Limits;
use llib_core::wire::settings::Capture;

/// What the supervisors need to know of a job.
#[derive(Clone, Copy, Debug, Default)]
pub struct Launch {
    /// Wall-clock limit.
    pub timeout: Option<Duration>,
    /// What to capture of its output.
    pub capture: Capture,
    /// Whether and how it runs in a sandbox.
    pub sandbox: Walls,
    /// What a sandboxed job may use.
    pub limits: Limits,
    /// See [`llib_core::shm::Entry::pool`].
    pub pool: u64,
}

/// How much of a sandbox a job needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Walls {
    /// None.
    #[default]
    None,
    /// One without grants, as some spares have them already.
    Plain,
    /// One of its own.
    Own,
}

/// Why a job cannot be handed over.
#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    /// All slots are in use.
    #[error("too many jobs at once: {SLOTS} are not cleaned yet")]
    Full,
    /// Its bytes do not fit into shared memory.
    #[error("{0}")]
    Memory(RegionError),
    /// The supervisors could not be told what this process passes on to its children.
    #[error("the job cannot be given the attributes of this process: {0}")]
    Attributes(io::Error),
}
