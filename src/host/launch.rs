//! What a job is launched with.

use std::fmt;
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
#[derive(Debug)]
pub enum DispatchError {
    /// All slots are in use.
    Full,
    /// Its bytes do not fit into shared memory.
    Memory(RegionError),
}

impl fmt::Display for DispatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DispatchError::Full => write!(f, "too many jobs at once: {SLOTS} are not cleaned yet"),
            DispatchError::Memory(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for DispatchError {}
