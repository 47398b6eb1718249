//! Where a reply stands, and what keeps it there.

use std::fmt;
use std::rc::Rc;

use llib_core::shared::open_parcel;
use llib_core::shm::{PoolMemory, Region, RegionError, SharedBytes};

/// The bytes of a reply. The memory can change while it is read.
#[derive(Clone)]
pub struct ReplyBytes<'a> {
    keeper: Keeper<'a>,
    /// Whether it says to be a [`Parcel`](llib_core::shared::Parcel) with handles. They stay its own until its job is
    /// freed: a task that is kept can be awaited again.
    carries: bool,
}

/// What keeps the bytes of a reply where they are.
#[derive(Clone)]
enum Keeper<'a> {
    /// A mailbox, which is there as long as its job.
    Mailbox(SharedBytes<'a>),
    /// So many bytes of a slot of a pool.
    Slot(Rc<PoolMemory>, u32, usize),
    /// The mapping of a segment apart, with the length that somebody claims.
    Region(Rc<Region>, usize),
    /// A private copy.
    Copy(Rc<Vec<u8>>),
}

impl<'a> ReplyBytes<'a> {
    /// Bytes in the mailbox of a job.
    pub(super) fn in_mailbox(bytes: SharedBytes<'a>, carries: bool) -> ReplyBytes<'a> {
        ReplyBytes { keeper: Keeper::Mailbox(bytes), carries }
    }

    /// The first `len` bytes of a pool's slot.
    pub(super) fn in_pool(memory: &Rc<PoolMemory>, slot: u32, len: usize, carries: bool) -> ReplyBytes<'a> {
        ReplyBytes { keeper: Keeper::Slot(Rc::clone(memory), slot, len), carries }
    }

    /// At most the first `len` bytes of a segment apart.
    pub(super) fn apart(region: Region, len: usize, carries: bool) -> ReplyBytes<'a> {
        ReplyBytes { keeper: Keeper::Region(Rc::new(region), len), carries }
    }

    /// Bytes that were copied out of memory that others may write.
    pub(super) fn copied(bytes: Vec<u8>, carries: bool) -> ReplyBytes<'a> {
        ReplyBytes { keeper: Keeper::Copy(Rc::new(bytes)), carries }
    }

    fn bytes(&self) -> SharedBytes<'_> {
        match &self.keeper {
            Keeper::Mailbox(bytes) => *bytes,
            Keeper::Slot(memory, index, len) => {
                memory.slot(*index).map_or((&[][..]).into(), |slot| slot.payload().first(*len))
            }
            Keeper::Region(region, len) => region.bytes().first(*len),
            Keeper::Copy(bytes) => bytes[..].into(),
        }
    }

    /// The encoded values.
    pub fn values(&self) -> SharedBytes<'_> {
        open_parcel(self.bytes(), self.carries).0
    }

    /// The ids of the objects whose handles are in it, where it stands apart from mailboxes and slots.
    pub(super) fn ids(&self) -> Vec<u64> {
        match &self.keeper {
            Keeper::Copy(_) | Keeper::Region(..) => open_parcel(self.bytes(), self.carries).1,
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
