//! Why a worker's process is gone, as the zygote records it in the slot table.

use serde::{Deserialize, Serialize};

/// What ended a worker, beside its wait status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// Nothing that llib did: the wait status tells.
    Itself,
    /// A signal that `task:kill` asked for.
    Killed,
    /// The job's wall-clock limit.
    Deadline,
    /// `task:close` ran out of patience.
    Closed,
    /// The process could not be started; the wait status holds the error number.
    NotStarted,
    /// A sandboxed job asked for it and has too little left of what the wait status says, a [`Scarce`].
    Refused,
}

/// What a sandboxed job has too little of to start another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scarce {
    /// Jobs at once, its jobs' own included.
    Jobs,
    /// Memory.
    Memory,
    /// CPU time.
    Cpu,
}

impl Scarce {
    /// The number that stands for it.
    pub fn code(self) -> i32 {
        self as i32
    }

    /// The inverse of [`Scarce::code`].
    pub fn from_code(code: i32) -> Scarce {
        let all = [Scarce::Jobs, Scarce::Memory, Scarce::Cpu];
        all.into_iter().find(|scarce| scarce.code() == code).unwrap_or(Scarce::Jobs)
    }
}

impl Cause {
    /// The number that stands in the table.
    pub fn code(self) -> u32 {
        match self {
            Cause::Itself => 0,
            Cause::Killed => 1,
            Cause::Deadline => 2,
            Cause::Closed => 3,
            Cause::NotStarted => 4,
            Cause::Refused => 5,
        }
    }

    /// The inverse of [`Cause::code`]; the table is trusted, so an unknown number is [`Cause::Itself`].
    pub fn from_code(code: u32) -> Cause {
        [Cause::Killed, Cause::Deadline, Cause::Closed, Cause::NotStarted, Cause::Refused]
            .into_iter()
            .find(|cause| cause.code() == code)
            .unwrap_or(Cause::Itself)
    }
}
