//! The kinds of failure, the one table that worker, host and documentation share.

/// Why a job has no values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An uncaught error.
    Error,
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

impl Kind {
    /// The name that scripts compare with.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Error => "error",
            Kind::Rejected => "rejected",
            Kind::Timeout => "timeout",
            Kind::Busy => "busy",
            Kind::Deadline => "deadline",
            Kind::Cpu => "cpu",
            Kind::Memory => "memory",
            Kind::Killed => "killed",
            Kind::Closed => "closed",
            Kind::Signal => "signal",
            Kind::Denied => "denied",
            Kind::Exit => "exit",
            Kind::Encode => "encode",
            Kind::Lost => "lost",
        }
    }

    /// The kinds that a worker itself can report, by the number that stands in its mailbox. Every other
    /// kind is the host's or the supervisor's to find: a worker cannot claim to have been killed.
    pub fn from_reply(code: u32) -> Option<Kind> {
        [Kind::Error, Kind::Rejected, Kind::Closed, Kind::Encode, Kind::Memory]
            .into_iter()
            .find(|kind| kind.reply_code() == Some(code))
    }

    /// The inverse of [`Kind::from_reply`]. Zero and one mean "no reply" and "values".
    pub fn reply_code(self) -> Option<u32> {
        match self {
            Kind::Error => Some(2),
            Kind::Rejected => Some(3),
            Kind::Closed => Some(4),
            Kind::Encode => Some(5),
            Kind::Memory => Some(6),
            _ => None,
        }
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
