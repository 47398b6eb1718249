//! What a worker needs to know of a job beside its values, and how both stand in a payload.

use serde::{Deserialize, Serialize};

use super::limits::Limits;
use super::sandbox::SandboxPolicy;

/// Where a standard stream of the job goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stdio {
    /// Where the host's goes.
    #[default]
    Inherit,
    /// Nowhere.
    Null,
    /// To the supervisor, which keeps it for `task:output()`.
    Capture,
}

/// Settings of a job. They precede its values in the payload, since decoding those may load modules.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The job's name.
    pub name: String,
    /// The host's `package.path`, if it is a string.
    pub path: Option<Vec<u8>>,
    /// The host's `package.cpath`, if it is a string.
    pub cpath: Option<Vec<u8>>,
    /// The host's working directory, if it has one.
    pub directory: Option<Vec<u8>>,
    /// Scheduling priority, 0 to 19.
    pub nice: i32,
    /// Standard output.
    pub stdout: Stdio,
    /// Standard error.
    pub stderr: Stdio,
    /// What it may use.
    pub limits: Limits,
    /// What it may reach, if it runs in a sandbox.
    pub sandbox: Option<SandboxPolicy>,
    /// Set for a worker of a pool: after its job it takes those of the pool.
    pub pool: Option<PoolPost>,
}

/// A worker's place in a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolPost {
    /// Name of the pool's memory.
    pub memory: String,
    /// Number of the worker's seat there.
    pub seat: u16,
    /// Wall-clock limit of a job in nanoseconds; 0 is none. The zygote keeps it.
    pub timeout: u64,
    /// After so many jobs the worker goes, and another takes its place; 0 is never.
    pub max_jobs: u64,
    /// It goes too if it has taken up more bytes of memory after a job; 0 is never.
    pub max_memory: u64,
    /// The pool's generation, see [`crate::shm::PoolMemory`].
    pub generation: u32,
}

/// Bytes before the settings: their length.
pub const PREFIX: usize = 4;

impl Settings {
    /// The settings as they stand in a payload, with their length in front.
    pub fn to_bytes(&self) -> Vec<u8> {
        let start = vec![0; PREFIX];
        // Writing plain data into a vector cannot fail.
        let mut bytes = postcard::to_extend(self, start).unwrap_or_default();
        let len = bytes.len().saturating_sub(PREFIX) as u32;
        if let Some(prefix) = bytes.get_mut(..PREFIX) {
            prefix.copy_from_slice(&len.to_le_bytes());
        }
        bytes
    }

    /// The inverse; also returns how many bytes the settings take.
    pub fn from_bytes(payload: &[u8]) -> Option<(Settings, usize)> {
        let (prefix, rest) = payload.split_first_chunk::<PREFIX>()?;
        let len = usize::try_from(u32::from_le_bytes(*prefix)).ok()?;
        let settings = postcard::from_bytes(rest.get(..len)?).ok()?;
        Some((settings, PREFIX + len))
    }
}

/// Which streams the supervisor captures, and how much of each; as it stands in the slot table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capture {
    /// Bytes kept of each stream.
    pub limit: u32,
    /// Whether standard output is captured.
    pub stdout: bool,
    /// Whether standard error is captured.
    pub stderr: bool,
}

const STDOUT: u32 = 1 << 30;
const STDERR: u32 = 1 << 31;

impl Capture {
    /// The largest limit.
    pub const MAX: u32 = STDOUT - 1;

    /// Whether nothing is captured.
    pub fn is_none(self) -> bool {
        !self.stdout && !self.stderr
    }

    /// As one word; 0 where nothing is captured.
    pub fn to_word(self) -> u32 {
        if self.is_none() {
            return 0;
        }
        let flag = |set, bit| if set { bit } else { 0 };
        self.limit.min(Self::MAX) | flag(self.stdout, STDOUT) | flag(self.stderr, STDERR)
    }

    /// The inverse of [`Capture::to_word`].
    pub fn from_word(word: u32) -> Capture {
        Capture { limit: word & Self::MAX, stdout: word & STDOUT != 0, stderr: word & STDERR != 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_come_back_as_they_were_and_garbage_does_not() {
        let settings = Settings {
            name: "fib.lua:12".to_owned(),
            path: Some(b"./?.lua".to_vec()),
            directory: None,
            nice: 5,
            stdout: Stdio::Null,
            limits: Limits { memory: Some(64 << 20), files: Some(16), fsize: Some(0), ..Limits::default() },
            sandbox: Some(SandboxPolicy { read: vec![b"/usr".to_vec()], ..SandboxPolicy::default() }),
            ..Settings::default()
        };
        let mut payload = settings.to_bytes();
        let len = payload.len();
        payload.extend_from_slice(b"values");
        assert_eq!(Settings::from_bytes(&payload), Some((settings, len)));
        assert_eq!(Settings::from_bytes(&payload[..len - 1]), None);
        assert_eq!(Settings::from_bytes(&[255; 16]), None);
    }

    #[test]
    fn a_capture_is_one_word() {
        let capture = Capture { limit: 1 << 20, stdout: true, stderr: false };
        assert_eq!(Capture::from_word(capture.to_word()), capture);
        assert_eq!(Capture { limit: 5, stdout: false, stderr: false }.to_word(), 0);
    }
}
