//! System calls that the host makes and the worker shares: one family a file.
//!
//! Knows no jobs. Nothing here forks, handles a signal or starts a thread: the host process is somebody
//! else's.

pub mod call_names;
pub mod capabilities;
pub mod channel;
pub mod clock;
pub mod cores;
pub mod credentials;
pub mod directory;
pub mod environ;
pub mod exit;
pub mod fork;
pub mod futex;
pub mod handshake;
pub mod limits;
pub mod module;
pub mod proc;
pub mod process;
pub mod ring;
pub mod signal;
pub mod spawn;
pub mod streams;

/// Bytes of a page of memory.
pub const PAGE: usize = 4096;
