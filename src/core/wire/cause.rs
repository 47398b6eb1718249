//! Why a worker's process is gone, as the zygote records it in the slot table.

use serde::{Deserialize, Serialize};
use strum::FromRepr;

/// What ended a worker, beside its wait status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromRepr, Serialize, Deserialize)]
#[repr(u32)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromRepr)]
#[repr(i32)]
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
        Scarce::from_repr(code).unwrap_or(Scarce::Jobs)
    }
}

impl Cause {
    /// The number that stands in the table.
    pub fn code(self) -> u32 {
        self as u32
    }

    /// The inverse of [`Cause::code`]; the table is trusted, so an unknown number is [`Cause::Itself`].
    pub fn from_code(code: u32) -> Cause {
        Cause::from_repr(code).unwrap_or(Cause::Itself)
    }
}
