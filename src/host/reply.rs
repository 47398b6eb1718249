//! Where a reply stands, and what keeps it there.

use std::fmt;
use std::rc::Rc;

use llib_core::shm::{PoolMemory, Region, RegionError};

/// The bytes of a reply. The memory can change while it is read.
#[derive(Clone)]
pub struct ReplyBytes {
    /// First byte.
    pub start: *const u8,
    /// How many there are.
    pub len: usize,
    /// Whether it says to be a [`Parcel`](llib_core::shared::Parcel) with handles. They stay its own until its job is
    /// freed: a task that is kept can be awaited again.
    pub carries: bool,
    keeper: Keeper,
}

/// What keeps the bytes of a reply where they are.
#[derive(Clone)]
enum Keeper {
    /// The job, whose mailbox it is.
    Job,
    /// A pool's memory.
    Pool(#[expect(dead_code, reason = "held for its end")] Rc<PoolMemory>),
    /// The mapping of a segment apart.
    Region(Rc<Region>),
    /// A private copy.
    Copy(Rc<Vec<u8>>),
}

impl ReplyBytes {
    /// Bytes in the mailbox of a job, valid as long as that is.
    pub(super) fn in_mailbox(start: *const u8, len: usize, carries: bool) -> ReplyBytes {
        ReplyBytes { start, len, carries, keeper: Keeper::Job }
    }

    /// Bytes in the memory of a pool.
    pub(super) fn in_pool(
        start: *const u8,
        len: usize,
        carries: bool,
        memory: &Rc<PoolMemory>,
    ) -> ReplyBytes {
        ReplyBytes { start, len, carries, keeper: Keeper::Pool(Rc::clone(memory)) }
    }

    /// At most the first `len` bytes of a segment apart.
    pub(super) fn apart(region: Region, len: usize, carries: bool) -> ReplyBytes {
        let (start, len) = (region.as_ptr().cast_const(), len.min(region.len()));
        ReplyBytes { start, len, carries, keeper: Keeper::Region(Rc::new(region)) }
    }

    /// Bytes that were copied out of memory that others may write.
    pub(super) fn copied(bytes: Vec<u8>, carries: bool) -> ReplyBytes {
        let (start, len) = (bytes.as_ptr(), bytes.len());
        ReplyBytes { start, len, carries, keeper: Keeper::Copy(Rc::new(bytes)) }
    }

    /// The ids of the objects whose handles are in it, where it stands apart from mailboxes and slots.
    pub(super) fn ids(&self) -> Vec<u64> {
        match &self.keeper {
            Keeper::Copy(bytes) if self.carries => llib_core::shared::ids_in_bytes(bytes),
            Keeper::Region(region) if self.carries => llib_core::shared::ids_in_region(region),
            _ => Vec::new(),
        }
    }
}

/// Why the bytes of a reply cannot be had.
#[derive(Debug)]
pub enum ReplyError {
    /// They cannot be mapped.
    Memory(RegionError),
    /// They are there no more.
    Gone,
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReplyError::Memory(error) => error.fmt(f),
            ReplyError::Gone => f.write_str("its bytes are gone"),
        }
    }
}

impl std::error::Error for ReplyError {}

impl From<RegionError> for ReplyError {
    fn from(error: RegionError) -> ReplyError {
        ReplyError::Memory(error)
    }
}
