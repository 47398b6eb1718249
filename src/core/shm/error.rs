//! Why a piece of shared memory cannot be had.

use std::io;
use std::path::Path;

use rustix::io::Errno;

use super::stale::DIRECTORY;

/// See the module's header.
#[derive(Debug, thiserror::Error)]
pub enum RegionError {
    /// Creating or opening failed.
    #[error("failed to {action} the shared memory segment '{name}': {source}{}", advice(source))]
    Map {
        /// What was tried: `create` or `open`.
        action: &'static str,
        /// Name of the segment.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The file system of shared memory has no room for this many bytes.
    #[error("no space left in shared memory (/dev/shm) for {bytes} bytes")]
    Full {
        /// How many were asked for.
        bytes: usize,
    },
}

impl RegionError {
    /// What was tried with the segment of this name failed.
    pub(crate) fn map(action: &'static str, name: &str, source: impl Into<io::Error>) -> RegionError {
        RegionError::Map { action, name: name.to_owned(), source: source.into() }
    }
}

/// What to do about an error that says that /dev/shm, or a limit of this process, is not what it should be.
fn advice(source: &io::Error) -> &'static str {
    match source.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOENT | Errno::NOTDIR) if !Path::new(DIRECTORY).is_dir() => {
            " (there is no /dev/shm: mount a tmpfs there)"
        }
        Some(Errno::ROFS | Errno::ACCESS | Errno::PERM) => {
            " (llib needs a /dev/shm, usually a tmpfs, in which this user may create files)"
        }
        Some(Errno::FBIG) => " (the limit of file size, ulimit -f, is too low)",
        Some(Errno::NOMEM) => " (the limit of address space, ulimit -v, may be too low)",
        _ => "",
    }
}
