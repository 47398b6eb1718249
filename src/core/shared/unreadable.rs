//! Why content cannot be read.

/// What is wrong with the place where content should stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It was overwritten with something that is no content.
    #[error("its memory was damaged by a process that shares it")]
    Damaged,
    /// This process was given less of the memory, see [`attach_up_to`](super::attach_up_to).
    #[error("what it holds now takes more than the {limit} bytes that this job can see of it")]
    OutOfReach {
        /// Bytes that it can see.
        limit: usize,
    },
}
