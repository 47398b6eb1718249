//! The first page of an object's segment.
//!
//! # Words
//!
//! | word | written by | meaning |
//! |---|---|---|
//! | `kind` | the creator, when it holds the object and before anybody else knows it | what stands in the segment |
//! | `lock` | see `sync::word` | who may read and change the content |
//! | `references` | whoever stores a handle in a message or another object, or takes it out | lower half: how many messages and objects contain a handle; upper half: how many ever did |
//! | `live` | the lock's owner | where the content stands; `shared` says more |
//! | `records`, `selected` | the lock's owner | the same for a channel |
//! | `pushed`, `popped` | the lock's owner | futexes that count, for a channel's waiters |
//! | `holders` | each worker its own bit | which workers of the tree have a handle, by their place in the table of owners; hosts hold the file instead, see [`super::holders`] |
//!
//! A process that scribbles here harms this object and no other: each number is checked against what is mapped.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::shm::Atomics;
use crate::sync::{OWNERS, Owner, holder};
use crate::sys::PAGE;

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// A value.
    Buffer = 1,
    /// A lock.
    Mutex = 2,
    /// A queue of values.
    Channel = 3,
}

impl Kind {
    /// The inverse of `as u32`.
    pub fn from_code(code: u32) -> Option<Kind> {
        [Kind::Buffer, Kind::Mutex, Kind::Channel].into_iter().find(|kind| *kind as u32 == code)
    }
}

impl Kind {
    /// What an object of this kind and number is called where people look on.
    pub fn title(self, id: u64) -> String {
        let noun = match self {
            Kind::Buffer => "buffer",
            Kind::Mutex => "mutex",
            Kind::Channel => "channel",
        };
        format!("{noun} {:08x}", id >> 32)
    }
}

/// See the table above.
#[repr(C)]
pub struct Header {
    pub(super) kind: AtomicU32,
    _rest: AtomicU32,
    pub(super) lock: AtomicU64,
    pub(super) references: AtomicU64,
    /// See the table above.
    pub live: AtomicU64,
    /// See the table above.
    pub selected: AtomicU32,
    /// See the table above.
    pub pushed: AtomicU32,
    /// See the table above.
    pub popped: AtomicU32,
    /// How many wait for `pushed`, about: a killed waiter counts on.
    pub poppers: AtomicU32,
    /// Likewise for `popped`.
    pub pushers: AtomicU32,
    /// Two records of numbers, of which `selected` is in force.
    pub records: [[AtomicU64; 6]; 2],
    pub(super) holders: [AtomicU64; OWNERS / 64],
    /// Bytes for content that is very small.
    pub(super) small: [AtomicU64; SMALL / 8],
}

/// Bytes of content that fit into the first page, in one half.
pub(super) const SMALL_HALF: usize = 768;
/// Bytes of content in the first page: two halves.
pub(super) const SMALL: usize = 2 * SMALL_HALF;
/// Where they begin.
pub(in crate::shared) const SMALL_AT: usize = std::mem::offset_of!(Header, small);
const _: () = assert!(size_of::<Header>() <= PAGE);

// SAFETY: it is made of atomic integers.
unsafe impl Atomics for Header {}

impl Header {
    /// What a copy says, to who looks on: what it is and who holds its lock. None if it is no object.
    pub(in crate::shared) fn seen(&self) -> Option<(Kind, Option<Owner>)> {
        Some((self.kind()?, holder(self.lock.load(Ordering::Relaxed))))
    }

    /// What the object is, as its creator wrote.
    pub fn kind(&self) -> Option<Kind> {
        Kind::from_code(self.kind.load(Ordering::SeqCst))
    }
}

/// Name of the segment of an object of the tree with this name.
pub(in crate::shared) fn name_of(tree: &str, id: u64) -> String {
    format!("{tree}.{id:016x}")
}
