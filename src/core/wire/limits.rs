//! What a job may use, as plain numbers.

use libc::{SIGKILL, SIGXCPU};
use serde::{Deserialize, Serialize};

/// Limits of one job; `None` is no limit beyond the host's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes that Lua's heap may have.
    pub memory: Option<u64>,
    /// CPU time in microseconds, of user and system together, counted from the job's start.
    pub cpu: Option<u64>,
    /// Descriptors that may be open at once, those of the standard streams and of llib among them.
    pub files: Option<u64>,
    /// Bytes up to which a file may be written.
    pub fsize: Option<u64>,
    /// Bytes that its result may have, as it travels.
    pub result: Option<u64>,
}

/// How many limits stand in the slot table.
pub const WORDS: usize = 3;

/// What a sandboxed job gets where nothing else is given.
pub const IN_SANDBOX: Limits = Limits {
    memory: Some(64 << 20),
    cpu: Some(10_000_000),
    files: Some(16),
    fsize: None,
    result: Some(64 << 20),
};

/// Wall-clock limit of a sandboxed job where none is given, in milliseconds.
pub const SANDBOX_TIMEOUT: u64 = 30_000;

impl Limits {
    /// These, and where one is missing that of `other`.
    pub fn or(self, other: Limits) -> Limits {
        Limits {
            memory: self.memory.or(other.memory),
            cpu: self.cpu.or(other.cpu),
            files: self.files.or(other.files),
            fsize: self.fsize.or(other.fsize),
            result: self.result.or(other.result),
        }
    }

    /// The smaller of each.
    pub fn least(self, other: Limits) -> Limits {
        let least = |one: Option<u64>, other: Option<u64>| match (one, other) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        Limits {
            memory: least(self.memory, other.memory),
            cpu: least(self.cpu, other.cpu),
            files: least(self.files, other.files),
            fsize: least(self.fsize, other.fsize),
            result: least(self.result, other.result),
        }
    }

    /// Those that a sandboxed job's own jobs draw on, as they stand in the slot table: `memory`, `cpu` and `result`, the
    /// largest number for none.
    pub fn to_words(self) -> [u64; WORDS] {
        [self.memory, self.cpu, self.result].map(|limit| limit.unwrap_or(u64::MAX))
    }

    /// The inverse of [`Limits::to_words`]; the other limits are none.
    pub fn from_words(words: [u64; WORDS]) -> Limits {
        let [memory, cpu, result] = words.map(|word| Some(word).filter(|word| *word != u64::MAX));
        Limits { memory, cpu, result, ..Limits::default() }
    }

    /// Bytes of private memory that a process may get beyond what it had before its job, so that also what does
    /// not come from Lua's allocator has an end. Twice Lua's own limit: blocks that were freed serve blocks
    /// of their own size only. The rest is for llib, which copies results.
    pub fn private_memory(&self) -> Option<u64> {
        const EXTRA: u64 = 16 << 20;
        self.memory.map(|memory| memory.saturating_mul(2).saturating_add(EXTRA))
    }

    /// Whether a process that died of `signal`, which nobody sent, died of its limit of CPU time. It is sent
    /// SIGXCPU, and soon after, in case it blocks or handles that, SIGKILL; `cpu` is what it used in microseconds.
    pub fn is_cpu_death(&self, signal: i32, cpu: u64) -> bool {
        /// The clock of usage and that of timers may differ by as much.
        const SLACK: u64 = 1000;
        let over = |limit: u64| cpu.saturating_add(SLACK) >= limit;
        self.cpu.is_some_and(|limit| signal == SIGXCPU || (signal == SIGKILL && over(limit)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_come_back_from_words_and_the_least_of_two_holds() {
        let some = Limits { cpu: Some(7), result: Some(0), ..Limits::default() };
        assert_eq!(Limits::from_words(some.to_words()), some);
        let other = Limits { cpu: Some(9), files: Some(3), ..Limits::default() };
        assert_eq!(some.least(other), Limits { files: Some(3), ..some });
        assert_eq!(other.least(some), some.least(other));
    }

    #[test]
    fn a_death_is_the_cpu_limits_by_its_own_signal_or_by_sigkill_once_the_time_is_used() {
        let limits = Limits { cpu: Some(50_000), ..Limits::default() };
        assert!(limits.is_cpu_death(SIGXCPU, 0));
        assert!(limits.is_cpu_death(SIGKILL, 50_000));
        assert!(!limits.is_cpu_death(SIGKILL, 20_000));
        assert!(!limits.is_cpu_death(libc::SIGSEGV, 60_000));
        assert!(!Limits::default().is_cpu_death(SIGXCPU, 60_000));
    }
}
