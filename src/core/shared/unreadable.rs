//! Why content cannot be read.

use std::fmt;

/// What is wrong with the place where content should stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It was overwritten with something that is no content.
    Damaged,
    /// This process was given less of the memory, see [`attach_up_to`](super::attach_up_to).
    OutOfReach {
        /// Bytes that it can see.
        limit: usize,
    },
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::Damaged => f.write_str("its memory was damaged by a process that shares it"),
            Unreadable::OutOfReach { limit } => {
                write!(f, "what it holds now takes more than the {limit} bytes that this job can see of it")
            }
        }
    }
}

impl std::error::Error for Unreadable {}
