//! The trusted part of a session's segment: header and slot table.
//!
//! # States of a slot
//!
//! | state | meaning | left by | to |
//! |---|---|---|---|
//! | `Free` | nobody's; its bit stands in `free` | host or zygote, by taking the bit | `Pending`, `Spare` |
//! | `Spare` | a worker waits there; its bit stands in `ready` or `walled` until a host takes it | host | `Busy` |
//! | | | zygote: the worker died | `Dead`, or `Free` if it got the bit back |
//! | | | zygote: one too many, by taking the bit | `Released` |
//! | `Pending` | the job is written, no worker yet | zygote: forked one | `Busy` |
//! | | | zygote: could not | `Dead` |
//! | | | host: job given up | `Released` |
//! | `Busy` | a worker has the job | zygote: the process and all it started are gone | `Dead` |
//! | | | host: job given up or over | `Released` |
//! | `Dead` | the record of the death stands in the entry | host | `Free`, or `Released` if output was captured |
//! | | | whoever sees first that the job is detached | likewise |
//! | `Released` | the host wants it back | zygote, once nothing of the job is left | `Free` |
//!
//! Every change is a compare-and-swap or swap on `state`, so each edge has one winner.

use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};

use super::bitmap::{Bitmap, SLOTS};
use super::bytes::{Atomics, SharedBytesMut};
use super::mailbox::Mailbox;
use super::waiting::Waiting;
use crate::sync::Owner;
use crate::sys::PAGE;
use crate::wire::cause::Cause;
use crate::wire::limits::{Limits, WORDS};

/// See the table in the module's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum State {
    /// Nobody's.
    Free,
    /// A worker waits for a job.
    Spare,
    /// A job waits for a worker.
    Pending,
    /// A worker has a job.
    Busy,
    /// The worker is gone; the entry says how.
    Dead,
    /// The host wants the slot back.
    Released,
}

impl State {
    fn from_code(code: u32) -> State {
        [State::Free, State::Spare, State::Pending, State::Busy, State::Dead]
            .into_iter()
            .find(|state| *state as u32 == code)
            .unwrap_or(State::Released)
    }
}

/// First bytes of a session's segment.
#[repr(C)]
pub struct Header {
    /// Set while the zygote sleeps, or is about to: whoever leaves work for it then has to ring.
    pub zygote_asleep: AtomicU32,
    /// Set once nobody supervises the session any more.
    pub lost: AtomicU32,
    /// Number in the name of the tree that the session belongs to. Written by the guard.
    pub tree: AtomicU64,
    /// Number of the last command that was carried out; a futex.
    pub acknowledged: AtomicU32,
    /// Number of the last module that was loaded, or could not be; a futex. Written by the zygote.
    pub preloaded: AtomicU32,
    /// Number of the last module that could not be loaded. Written by the zygote, before that.
    pub refused: AtomicU32,
    /// Number of the last message with the host's attributes that holds for all workers to come; a futex. Written by the
    /// zygote.
    pub attributes: AtomicU32,
    /// Slots whose worker waits for a job.
    pub ready: Bitmap,
    /// Slots whose worker waits for a job behind the walls of a sandbox without grants.
    pub walled: Bitmap,
    /// Set by the host once it has had a job for such a worker.
    pub walled_wanted: AtomicU32,
    /// Slots that nobody uses.
    pub free: Bitmap,
    /// Slots where the host left something for the zygote to see to.
    pub attention: Bitmap,
    /// Process ids of host, guard and zygote, for whoever looks on. The first two are written by the guard, before
    /// there is a zygote; the third by that.
    pub processes: [AtomicU32; 3],
    /// What the host waits for, if it is no worker. Written by the host.
    pub waiting: Waiting,
}

/// What stands in [`Entry::detached`]: 0, then who came first. The second one frees the slot.
pub mod detached {
    /// No handle is left.
    pub const BY_HOST: u32 = 1;
    /// The death is on record.
    pub const BY_DEATH: u32 = 2;
}

/// What stands in [`Entry::room`]; 0 is none.
pub mod walls {
    /// The worker raises its walls when its job is there.
    pub const THEN: u32 = 1;
    /// It has raised them before, and was given nothing.
    pub const AHEAD: u32 = 2;
}

/// What host and zygote know of a slot.
#[repr(C, align(64))]
pub struct Entry {
    state: AtomicU32,
    /// Counts the jobs of this slot; written by whoever claims it for a job.
    pub generation: AtomicU32,
    /// The worker's process id, 0 while there is none; a futex, written by the zygote.
    pub pid: AtomicU32,
    /// [`Cause`] of the death; written by the zygote.
    cause: AtomicU32,
    /// Wait status, or what [`Cause::NotStarted`] and [`Cause::Refused`] say of it; written by the zygote.
    pub status: AtomicI32,
    /// What to capture of its output, [`crate::wire::settings::Capture`] as a word. Written by the host.
    pub capture: AtomicU32,
    /// Where the mailbox is: the lowest bit says whether the pages that every mailbox in use has were reserved in the session's
    /// own segment, where they stay; above it is the number of the file that a sandboxed worker has for itself, 0 is none.
    /// Written by whoever took the slot.
    memory: AtomicU32,
    /// Whether a sandbox has, or may have, a [`Room`](super::Room), see [`walls`]; it is removed with the slot's job. Written
    /// by whoever took the slot.
    pub room: AtomicU32,
    /// Who of host and zygote has no more to do with the slot, see [`detached`].
    pub detached: AtomicU32,
    /// Whether the worker is stopped; written by the zygote.
    pub paused: AtomicU32,
    /// When to kill the job, on the monotonic clock in nanoseconds; 0 is never. Written by the host.
    pub deadline: AtomicU64,
    /// When the process was seen to be gone, on the same clock; written by the zygote.
    pub ended: AtomicU64,
    /// User CPU time of the dead process in microseconds; written by the zygote.
    pub user: AtomicU64,
    /// System CPU time, likewise.
    pub system: AtomicU64,
    /// Largest resident set of the dead process in KiB; written by the zygote.
    pub max_rss: AtomicU64,
    /// The worker's place in the table of owners and its generation there, as one word; 0 while there is none.
    /// Written by the zygote.
    owner: AtomicU64,
    /// Number of the pool whose worker this is, and its seat plus one in the lower 16 bits; 0 where it is none's.
    /// Written by the host.
    pub pool: AtomicU64,
    /// When the host made the job, on the monotonic clock; 0 for a spare. Written by whoever took the slot.
    pub started: AtomicU64,
    /// Some of a sandboxed job's [`Limits`], as words, for those that it starts. Written by the host.
    limits: [AtomicU64; WORDS],
}

impl Entry {
    /// Where the slot stands.
    pub fn state(&self) -> State {
        State::from_code(self.state.load(Ordering::SeqCst))
    }

    /// Puts the slot into a state whatever it was in; returns what that was.
    pub fn swap(&self, to: State) -> State {
        State::from_code(self.state.swap(to as u32, Ordering::SeqCst))
    }

    /// One edge of the state table; false if the slot was elsewhere.
    pub fn change(&self, from: State, to: State) -> bool {
        self.state.compare_exchange(from as u32, to as u32, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Who the worker is in the table of owners.
    pub fn owner(&self) -> Option<Owner> {
        let word = self.owner.load(Ordering::SeqCst);
        let (index, generation) = ((word >> 32) as u16, word as u32);
        (generation != 0).then_some(Owner { index, generation })
    }

    /// Notes who it is.
    pub fn set_owner(&self, owner: Option<Owner>) {
        let word = owner.map_or(0, |owner| u64::from(owner.index) << 32 | u64::from(owner.generation));
        self.owner.store(word, Ordering::SeqCst);
    }

    /// Whether the first pages of its mailbox in the session's own segment were reserved.
    pub fn is_reserved(&self) -> bool {
        self.memory.load(Ordering::SeqCst) & 1 != 0
    }

    pub(super) fn set_reserved(&self) {
        self.memory.fetch_or(1, Ordering::SeqCst);
    }

    /// Number of the file with its mailbox; 0 where that is in the session's own segment. See `shm::fresh`.
    pub fn own_file(&self) -> u32 {
        self.memory.load(Ordering::SeqCst) >> 1
    }

    pub(super) fn set_own_file(&self, number: u32) {
        let reserved = self.memory.load(Ordering::SeqCst) & 1;
        self.memory.store(number << 1 | reserved, Ordering::SeqCst);
    }

    /// What a sandboxed job may use.
    pub fn limits(&self) -> Limits {
        Limits::from_words(std::array::from_fn(|at| self.limits[at].load(Ordering::SeqCst)))
    }

    /// Notes what a sandboxed job may use.
    pub fn set_limits(&self, limits: Limits) {
        for (word, limit) in self.limits.iter().zip(limits.to_words()) {
            word.store(limit, Ordering::SeqCst);
        }
    }

    /// What ended the worker; meaningful in [`State::Dead`].
    pub fn cause(&self) -> Cause {
        Cause::from_code(self.cause.load(Ordering::SeqCst))
    }

    /// Records what is about to end the worker, or has.
    pub fn set_cause(&self, cause: Cause) {
        self.cause.store(cause.code(), Ordering::SeqCst);
    }
}

/// A number that no other job of the session has.
pub fn job_id(slot: u32, generation: u32) -> u64 {
    u64::from(generation) * SLOTS as u64 + u64::from(slot)
}

pub(super) const ENTRIES_AT: usize = PAGE;
const MAILBOXES_AT: usize = ENTRIES_AT + SLOTS * size_of::<Entry>();
// SAFETY: both are made of atomic integers.
unsafe impl Atomics for Header {}
// SAFETY: as above.
unsafe impl Atomics for Entry {}
const _: () = assert!(size_of::<Header>() <= ENTRIES_AT && MAILBOXES_AT.is_multiple_of(PAGE));
const _: () = assert!(size_of::<Entry>() == 128, "each 32 entries more take a page of every session");

/// Length of a session's segment. Sparse: pages exist once reserved.
pub(super) const LEN: usize = MAILBOXES_AT + SLOTS * Mailbox::LEN;

/// Bytes of the part that workers must not see.
pub(super) const TRUSTED: usize = MAILBOXES_AT;

/// One slot of a mapped segment.
#[derive(Clone, Copy)]
pub struct Slot<'a> {
    /// Its place in the table.
    pub index: u32,
    /// What host and zygote know of it.
    pub entry: &'a Entry,
    /// What they share with its worker.
    pub mailbox: Mailbox<'a>,
}

/// The header of a session's segment, of [`LEN`] bytes.
pub(super) fn header(segment: SharedBytesMut<'_>) -> &Header {
    segment.words(0)
}

/// What host and zygote know of a slot.
pub(super) fn entry(segment: SharedBytesMut<'_>, index: u32) -> &Entry {
    assert!((index as usize) < SLOTS, "slot {index} is in the table");
    segment.words(ENTRIES_AT + index as usize * size_of::<Entry>())
}

/// One of its slots.
pub(super) fn slot(segment: SharedBytesMut<'_>, index: u32) -> Slot<'_> {
    Slot { index, entry: entry(segment, index), mailbox: mailbox(segment, index) }
}

/// The mailbox alone, for a worker: it has nothing else of the segment mapped.
pub(super) fn mailbox(segment: SharedBytesMut<'_>, index: u32) -> Mailbox<'_> {
    assert!((index as usize) < SLOTS, "slot {index} is in the table");
    Mailbox::new(segment.part(mailbox_range(index)))
}

/// Byte range of what lies beyond the pages that every mailbox has.
pub(super) fn large_payload(index: u32) -> std::ops::Range<usize> {
    let mailbox = mailbox_range(index);
    mailbox.start + Mailbox::PAYLOAD_AT + Mailbox::READY..mailbox.end
}

/// Byte range of a slot's mailbox in the segment.
pub(super) fn mailbox_range(index: u32) -> std::ops::Range<usize> {
    let start = MAILBOXES_AT + index as usize * Mailbox::LEN;
    start..start + Mailbox::LEN
}
