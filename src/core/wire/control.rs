//! The messages between host and zygote.
//!
//! Jobs and replies do not travel here but through shared memory (`crate::shm`); neither does anything
//! that a job's start needs, so that starting one costs no message.

use serde::{Deserialize, Serialize};

use super::cause::Cause;

/// Changes with every change of a message, of the segment's layout or of the value format. A host and a
/// worker program with different numbers refuse each other.
pub const PROTOCOL: u32 = 14;

/// The first message, from the supervisor to the host.
#[derive(Debug, Serialize, Deserialize)]
pub enum Hello {
    /// The zygote stands ready.
    Ready(Ready),
    /// It could not start; the reason is a sentence.
    Failed(String),
}

/// What a host needs to know of its zygote.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ready {
    /// Header of the worker's precompiled chunks: version, format and number sizes of its Lua.
    pub bytecode: Vec<u8>,
    /// Name of the session's shared memory segment.
    pub segment: String,
    /// Process id of the zygote.
    pub zygote: i32,
}

/// One job: its slot, and the generation that tells it from earlier jobs of that slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct JobRef {
    /// Index in the slot table.
    pub slot: u32,
    /// The slot's generation when the job took it.
    pub generation: u32,
}

/// A module to be loaded once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Preload {
    /// Number of the request; the zygote publishes it when it is done.
    pub number: u32,
    /// The module's name.
    pub name: Vec<u8>,
    /// The host's `package.path`, if it is a string.
    pub path: Option<Vec<u8>>,
    /// The host's `package.cpath`, likewise.
    pub cpath: Option<Vec<u8>>,
    /// The host's working directory, from which relative paths begin.
    pub directory: Option<Vec<u8>>,
    /// How long it may take, in nanoseconds.
    pub time: u64,
}

/// One job of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolJobRef {
    /// Number of the pool in its session.
    pub pool: u32,
    /// Index of the job's slot there.
    pub slot: u32,
    /// The job's number.
    pub number: u64,
}

/// In [`PoolJobRef::slot`]: the job has none yet.
pub const NO_SLOT: u32 = u32::MAX;

/// A job for whose end somebody polls a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Watched {
    /// One with a process of its own.
    Job(JobRef),
    /// One of a pool, and how many deaths of the pool's workers its host has seen.
    Pooled(PoolJobRef, u32),
}

/// What the host asks of the zygote. Each carries a number that the zygote publishes once the command has
/// been carried out.
#[derive(Debug, Serialize, Deserialize)]
pub struct Command {
    /// Number to acknowledge.
    pub sequence: u32,
    /// What to do.
    pub action: Action,
}

/// See [`Command`].
#[derive(Debug, Serialize, Deserialize)]
pub enum Action {
    /// Send a signal to a job's processes now.
    Signal {
        /// To whom.
        job: JobRef,
        /// Signal number.
        signal: i32,
    },
    /// SIGKILL a job that is still there at this time.
    KillAt {
        /// Whom.
        job: JobRef,
        /// When, on the monotonic clock, in nanoseconds.
        at: u64,
        /// What to record as the reason.
        cause: Cause,
    },
    /// Send a signal to the worker of a pool's job now, if the job runs.
    SignalPooled {
        /// To whom.
        job: PoolJobRef,
        /// Signal number.
        signal: i32,
        /// What to record as the reason.
        cause: Cause,
    },
    /// SIGKILL the worker of a pool's job if that still runs at this time.
    KillPooledAt {
        /// Whom.
        job: PoolJobRef,
        /// When, on the monotonic clock, in nanoseconds.
        at: u64,
        /// What to record as the reason.
        cause: Cause,
    },
    /// From now on kill workers of a pool that are at one job for longer than this.
    LimitPool {
        /// Number of the pool.
        pool: u32,
        /// In nanoseconds.
        timeout: u64,
    },
    /// Load a module for all workers to come.
    Preload(Preload),
    /// Take no new jobs, and end with the last one: the host is not any more what it was when the supervisors were started.
    Retire,
    /// Read whatever the captured output pipes hold.
    Drain,
}
