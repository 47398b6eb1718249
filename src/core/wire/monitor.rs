//! What processes ask of a session's monitor, and what it answers; see `crate::shm::monitor`.

use serde::{Deserialize, Serialize};

/// A question. With each goes the end of a socket on which it is answered.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// Stay when your own session is over: its host is not any more what it was.
    Stay,
    /// Open a file of shared memory.
    Open(String),
    /// Create one that is not there yet.
    Create(String),
    /// Remove the name of one.
    Remove(String),
    /// Set its mark, see [`crate::shared::Object::distrust`].
    Mark(String),
    /// Tell the names of all.
    List,
    /// Fork a guard, and let it become what the asking process is now. With it go the ends of ring, commands and this socket that
    /// the guard will have, and a pidfd of the process.
    Session {
        /// Its process id, for those who look on.
        host: i32,
        /// Name of the memory that its processes share.
        tree: String,
    },
}

impl Request {
    /// A question from its bytes.
    pub fn read(bytes: &[u8]) -> Option<Request> {
        postcard::from_bytes(bytes).ok()
    }
}

/// An answer.
#[derive(Debug, Serialize, Deserialize)]
pub enum Answer {
    /// It was done; a file that was asked for comes along.
    Done,
    /// The system refused it, with this error number.
    Failed(i32),
    /// Names, in lines.
    Names(String),
    /// A guard was forked, of this process id; a pidfd of it comes along. It speaks for itself over the ring.
    Forked(i32),
    /// It was not, for this reason: a sentence.
    Refused(String),
}
