//! What a pool's host and workers share: a queue of jobs, a slot for each of them, a seat for each worker.
//!
//! # Layout
//!
//! One sparse file, `SESSION.pool-NUMBER`. Header, queue and seats come first, then the slots: many small ones and some
//! large ones. A slot is 64 bytes of words and a payload, which is the job's on the way there and the result's on the
//! way back. The host makes sure of a slot's pages before it uses it for the first time.
//!
//! | word of the header | written by | meaning |
//! |---|---|---|
//! | `leave` | host | 1: workers shall go once the queue is empty; 2: the pool is over; 3: at once |
//! | `bell` | workers, zygote | a futex that counts; the host sleeps here |
//! | `awaited` | host; cleared by the worker that rings | number of the job that the sleeping host wants; [`ANY`] is each, 0 none |
//! | `hungry` | host; cleared by the worker that rings | the host has more jobs than slots: ring when the queue is empty; [`POLLED`]: the zygote too |
//! | `deaths` | zygote | counts the pool's workers that have died |
//! | `rang` | worker 0 → 1, before it rings; zygote 1 → 0 | a job is over whose slot says `notify`, or the host is needed |
//! | `watched` | worker 0 → 1, zygote 1 → 0 | the zygote looks after the limits of time of running jobs |
//! | `generation` | host | counts changes of what workers inherit from the host: those of earlier ones leave when there is no job left that they may take |
//! | `head`, `tail` | see [`queue`] | |
//! | `seats` | host, at first | how many seats there are |
//! | `asleep`, `spinning` | each worker its own bit; whoever wakes it, or sees it dead, clears it | which workers sleep, and which look out for jobs without sleeping |
//!
//! Every process of the pool can write all of this. Nothing here is trusted further than that: numbers are held to
//! what is mapped, which slots are free the host alone knows, and a worker that scribbles harms its pool's jobs.

mod queue;
mod slot;

use std::ops::Range;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use super::bytes::{Atomics, accessors};
use super::error::RegionError;
use super::file::unlink;
use super::region::Region;
use super::seen::Seen;
use crate::sys::PAGE;

pub use queue::is_later;
pub use slot::{PoolSlot, Word, carries, stage};

/// Workers that a pool can have at once, those that are about to go included.
pub const SEATS: usize = 1024;
/// Number of small slots; they come first.
pub const SMALL_SLOTS: usize = 1024;
/// Number of large slots.
pub const LARGE_SLOTS: usize = 64;
/// Bytes of a small slot.
const SMALL: usize = 1 << 10;
/// Bytes of a large slot.
const LARGE: usize = 64 << 10;
/// Entries of the queue, a power of two and more than there are slots.
const RING: usize = 2048;

/// In `awaited`: any job.
pub const ANY: u64 = u64::MAX;

/// In `hungry`: the host sleeps, if it does, in a loop of its own, so ring its zygote as well.
pub const POLLED: u32 = 2;

/// In `leave`: once the queue is empty.
pub const WHEN_EMPTY: u32 = 1;
/// In `leave`: the pool is over.
pub const OVER: u32 = 2;
/// In `leave`: at once, whatever is in the queue. What the host was when it started the workers it is not any more.
pub const RETIRED: u32 = 3;

const SEATS_AT: usize = size_of::<Header>();
const SMALL_AT: usize = SEATS_AT + SEATS * size_of::<Seat>();
const LARGE_AT: usize = SMALL_AT + SMALL_SLOTS * SMALL;
const LEN: usize = LARGE_AT + LARGE_SLOTS * LARGE;
const _: () = assert!(
    SMALL_AT.is_multiple_of(PAGE) && LARGE_AT.is_multiple_of(PAGE) && RING > SMALL_SLOTS + LARGE_SLOTS
);

/// A word on a cache line of its own.
#[repr(C, align(64))]
struct Lone<T>(T);

/// See the table above.
#[repr(C)]
struct Header {
    head: Lone<AtomicU64>,
    tail: Lone<AtomicU64>,
    bell: Lone<AtomicU32>,
    awaited: AtomicU64,
    leave: AtomicU32,
    hungry: AtomicU32,
    deaths: AtomicU32,
    watched: AtomicU32,
    rang: AtomicU32,
    seats: AtomicU32,
    generation: AtomicU32,
    asleep: Lone<[AtomicU64; SEATS / 64]>,
    spinning: Lone<[AtomicU64; SEATS / 64]>,
    ring: Lone<[AtomicU64; RING]>,
    _fill: [AtomicU8; FILL],
}

/// What makes the seats start at a page.
const FILL: usize = PAGE - (4 * 64 + 2 * (SEATS / 8)) % PAGE;

/// A worker's place.
#[repr(C, align(64))]
pub struct Seat {
    /// Futex of the sleeping worker: 1 wakes it.
    pub wake: AtomicU32,
    /// [`seat`] state; written by the worker, and by the host before there is one.
    pub state: AtomicU32,
    /// Index of the slot whose job it runs, or is about to take, plus one. Written by the worker.
    pub current: AtomicU32,
    /// When it took that job, on the monotonic clock, if jobs have a limit of time; written before the job is taken.
    pub started: AtomicU64,
    /// Jobs that it has done.
    pub jobs: AtomicU64,
}

// SAFETY: both are made of atomic integers.
unsafe impl Atomics for Header {}
// SAFETY: as above.
unsafe impl Atomics for Seat {}

/// A seat of a pool.
#[derive(Clone, Copy, Debug, Default)]
pub struct PoolSeat {
    /// Whether its worker has a job.
    pub busy: bool,
    /// Jobs that it has done.
    pub jobs: u64,
}

/// A pool as others see it.
pub(super) struct PoolSeen;

impl PoolSeen {
    /// How many jobs wait for a worker, and the seats; none if the file is no pool's.
    pub(super) fn read(seen: &Seen) -> Option<(u64, Vec<PoolSeat>)> {
        let header: Header = Some(seen).filter(|seen| seen.len == LEN as u64)?.read_one(0)?;
        let (head, tail) = (header.head.0.load(Ordering::Relaxed), header.tail.0.load(Ordering::Relaxed));
        let seats = (header.seats.load(Ordering::Relaxed) as usize).min(SEATS);
        let seats: Vec<Seat> = seen.read(SEATS_AT, seats)?;
        let view = |seat: &Seat| PoolSeat {
            busy: seat.current.load(Ordering::Relaxed) != 0,
            jobs: seat.jobs.load(Ordering::Relaxed),
        };
        Some((tail.saturating_sub(head), seats.iter().map(view).collect()))
    }
}

/// What stands in [`Seat::state`].
pub mod seat {
    /// No worker has begun to serve here yet.
    pub const STARTING: u32 = 0;
    /// A worker takes jobs.
    pub const SERVING: u32 = 1;
    /// It takes no more and is about to go, as it should.
    pub const LEAVING: u32 = 2;
}

/// A pool's memory, mapped.
pub struct PoolMemory {
    region: Region,
    /// Words of the bit sets that are in use.
    words: usize,
}

/// Name of the segment of a session's pool.
pub fn pool_name(session: &str, number: u32) -> String {
    format!("{session}.pool-{number}")
}

impl PoolMemory {
    /// Creates the memory of a pool with at most `seats` workers.
    pub fn create(name: &str, seats: usize) -> Result<PoolMemory, RegionError> {
        let region = Region::create(name, LEN)?;
        let seats = seats.clamp(1, SEATS);
        region.reserve(0..SEATS_AT + seats * size_of::<Seat>())?;
        let memory = PoolMemory { region: region.keep(), words: seats.div_ceil(64) };
        memory.header().seats.store(seats as u32, Ordering::SeqCst);
        Ok(memory)
    }

    /// Maps the memory of a pool that another process created.
    pub fn open(name: &str) -> Result<PoolMemory, RegionError> {
        let mut memory = PoolMemory { region: Region::open_exactly(name, LEN)?, words: 1 };
        memory.words = memory.seats().div_ceil(64);
        Ok(memory)
    }

    /// Keeps it from the children that this process forks from now on.
    pub fn keep_from_children(&self) -> std::io::Result<()> {
        self.region.mapping().keep_from_children()
    }

    /// How many seats there are.
    pub fn seats(&self) -> usize {
        (self.header().seats.load(Ordering::SeqCst) as usize).clamp(1, SEATS)
    }

    /// Removes the segment's name; who has it mapped keeps it.
    pub fn unlink(&self) {
        unlink(self.region.name());
    }

    /// Name of the segment of a job that is too long for its slot.
    pub fn job_name(&self, number: u64) -> String {
        format!("{}.{number}.job", self.region.name())
    }

    /// Name of the segment of a result that is too long for its slot.
    pub fn reply_name(&self, number: u64) -> String {
        format!("{}.{number}.reply", self.region.name())
    }

    fn header(&self) -> &Header {
        self.region.bytes().words(0)
    }

    /// A worker's place; `None` for a number that no seat has.
    pub fn seat(&self, index: usize) -> Option<&Seat> {
        (index < self.words * 64).then(|| self.region.bytes().words(SEATS_AT + index * size_of::<Seat>()))
    }

    /// A slot; `None` for a number that none has.
    pub fn slot(&self, index: u32) -> Option<PoolSlot<'_>> {
        Some(PoolSlot::new(self.region.bytes().part(slot_place(index)?), index))
    }

    /// Makes sure that a slot can be written.
    pub fn reserve_slot(&self, index: u32) -> Result<(), RegionError> {
        slot_place(index).map_or(Ok(()), |place| self.region.reserve(place))
    }

    /// Futex of the waiting host.
    pub fn bell(&self) -> &AtomicU32 {
        &self.header().bell.0
    }

    /// Rings the bell.
    pub fn ring(&self) {
        self.bell().fetch_add(1, Ordering::SeqCst);
        crate::sys::futex::wake_all(self.bell());
    }

    accessors! { '_ header:
        /// See the table above.
        awaited: AtomicU64,
        /// See the table above.
        leave: AtomicU32,
        /// See the table above.
        hungry: AtomicU32,
        /// See the table above.
        deaths: AtomicU32,
        /// See the table above.
        rang: AtomicU32,
        /// See the table above.
        watched: AtomicU32,
        /// See the table above.
        generation: AtomicU32,
    }

    /// Whether the host has dropped the pool.
    pub fn is_over(&self) -> bool {
        self.leave().load(Ordering::SeqCst) == OVER
    }
}

/// Whether a slot is one of the large ones.
pub fn is_large(index: u32) -> bool {
    index as usize >= SMALL_SLOTS
}

/// Payload bytes of a slot of either size.
pub fn slot_capacity(large: bool) -> usize {
    (if large { LARGE } else { SMALL }) - PoolSlot::PAYLOAD_AT
}

fn slot_place(index: u32) -> Option<Range<usize>> {
    let index = index as usize;
    let (start, len) = match index.checked_sub(SMALL_SLOTS) {
        None => (SMALL_AT + index * SMALL, SMALL),
        Some(large) if large < LARGE_SLOTS => (LARGE_AT + large * LARGE, LARGE),
        Some(_) => return None,
    };
    Some(start..start + len)
}

#[cfg(test)]
mod tests;
