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
        }
    }

    /// The inverse of [`Cause::code`]; the table is trusted, so an unknown number is [`Cause::Itself`].
    pub fn from_code(code: u32) -> Cause {
        [Cause::Killed, Cause::Deadline, Cause::Closed, Cause::NotStarted]
            .into_iter()
            .find(|cause| cause.code() == code)
            .unwrap_or(Cause::Itself)
    }
}
