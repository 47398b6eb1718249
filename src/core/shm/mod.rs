//! Shared memory: the data plane between host, zygote and workers.
//!
//! Owns the segments, their layout and the state tables of every word that two processes change. Knows no
//! Lua and makes no decisions about jobs. The page that explains it is `docs/shared-memory.md`.
//!
//! One segment a session. Its first part, header and slot table, belongs to host and zygote, which trust
//! each other; a worker never has it mapped. The rest is one mailbox a slot, shared by host,
//! zygote and the one worker of that slot. Whatever stands in a mailbox is hearsay: the host copies a
//! number out once, checks it, and uses the copy.

#![allow(unsafe_code)]

mod bitmap;
mod bytes;
mod capture;
mod confined;
mod error;
mod file;
mod fresh;
mod layout;
mod lock_table;
mod mailbox;
mod mapping;
pub mod monitor;
mod nest;
mod owners;
mod payload;
mod pool;
mod presence;
mod region;
mod room;
mod seen;
mod segment;
mod snapshot;
mod stale;
mod stored;
mod tree;
mod waiting;

pub use bitmap::{Bitmap, SLOTS};
pub(crate) use bytes::Atomics;
pub use bytes::{SharedBytes, SharedBytesMut};
pub use capture::{CaptureSegment, Stream};
pub use error::RegionError;
pub(crate) use file::SharedFile;
pub use file::unlink;
pub use layout::{Entry, Header, Slot, State, detached, job_id, walls};
pub use lock_table::{HeldNumber, LOCKS, LockTable, LockTableError, Seeker};
pub use mailbox::{Go, INLINE, Mailbox, Spot, handles};
pub(crate) use mapping::Mapping;
pub use nest::{Nest, Orders, Shape, Wish};
pub use owners::{Owners, Registrar};
pub use payload::{Joined, Payload};
pub use pool::{
    ANY, LARGE_SLOTS, OVER, POLLED, PoolMemory, PoolSeat, PoolSlot, RETIRED, SEATS, SMALL_SLOTS, Seat,
    WHEN_EMPTY, Word, carries, is_large, is_later, pool_name, seat, slot_capacity, stage,
};
pub use region::Region;
pub use room::{Room, RoomFile, charter_of, terms_of};
pub(crate) use seen::Seen;
pub use segment::Segment;
pub use snapshot::{SessionView, SlotView, TreeView, sessions};
pub(crate) use stale::names;
pub use stale::{SessionLock, claim, new_name, remove_session, sweep, tree_number};
pub use stored::Stored;
pub use tree::{Tree, TreeError, registrar};
pub use waiting::{Awaited, Board, Waiting, set_board, waiting, waiting_in};
