//! Why a piece of shared memory cannot be had.

use std::fmt;
use std::io;

/// See the module's header.
#[derive(Debug)]
pub enum RegionError {
    /// Creating or opening failed.
    Map {
        /// What was tried: `create` or `open`.
        action: &'static str,
        /// Name of the segment.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The file system of shared memory has no room for this many bytes.
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

impl fmt::Display for RegionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RegionError::Map { action, name, source } => {
                write!(f, "failed to {action} the shared memory segment '{name}': {source}")
            }
            RegionError::Full { bytes } => {
                write!(f, "no space left in shared memory (/dev/shm) for {bytes} bytes")
            }
        }
    }
}

impl std::error::Error for RegionError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            RegionError::Map { source, .. } => Some(source),
            RegionError::Full { .. } => None,
        }
    }
}
