//! The kinds of failure, the one table that worker, host and documentation share.

use strum::IntoStaticStr;

/// Why a job has no values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Kind {
    /// An uncaught error.
    Error,
    /// Source text that cannot be compiled; scripts see an error with `syntax = true`.
    #[strum(serialize = "error")]
    Syntax,
    /// `rej` was called.
    Rejected,
    /// The await's own time was over; the job is untouched.
    Timeout,
    /// What was asked for could not even be looked at, or done: another process was in the middle of it.
    Busy,
    /// The job's wall-clock limit.
    Deadline,
    /// The job's limit of CPU time.
    Cpu,
    /// There was no memory left for it, within its limit or at all.
    Memory,
    /// Killed by `task:kill`.
    Killed,
    /// Ended by `task:close`.
    Closed,
    /// Died of a signal that nobody here sent.
    Signal,
    /// Killed by the sandbox for a system call.
    Denied,
    /// Ended by itself without a result.
    Exit,
    /// Its result could not be copied.
    Encode,
    /// The supervisor died, or could not start a worker.
    Lost,
}

/// The kinds that a worker itself can report. Every other kind is the host's or the supervisor's to find: a worker
/// cannot claim to have been killed.
const REPLIES: [Kind; 6] =
    [Kind::Error, Kind::Rejected, Kind::Closed, Kind::Encode, Kind::Memory, Kind::Syntax];

/// Number of the first of them. Zero and one mean "no reply" and "values".
const FIRST_REPLY: u32 = 2;

impl Kind {
    /// The name that scripts compare with.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The kind that a worker reports by the number that stands in its mailbox.
    pub fn from_reply(code: u32) -> Option<Kind> {
        REPLIES.get(code.checked_sub(FIRST_REPLY)? as usize).copied()
    }

    /// The inverse of [`Kind::from_reply`].
    pub fn reply_code(self) -> Option<u32> {
        REPLIES.iter().zip(FIRST_REPLY..).find(|(kind, _)| **kind == self).map(|(_, code)| code)
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn a_reply_code_names_one_kind_and_never_an_outcome_that_only_the_host_can_judge() {
        for code in 0..64 {
            if let Some(kind) = Kind::from_reply(code) {
                assert_eq!(kind.reply_code(), Some(code));
                assert!(!matches!(
                    kind,
                    Kind::Killed | Kind::Denied | Kind::Deadline | Kind::Cpu | Kind::Lost | Kind::Signal
                ));
            }
        }
        assert_eq!(Kind::from_reply(0), None);
        assert_eq!(Kind::from_reply(1), None);
    }
}
