//! What host and one worker share: a few words and a payload area.
//!
//! # Words
//!
//! | word | written by | meaning |
//! |---|---|---|
//! | `go` | worker: `Cold` → `Warm`; host: → `Job` → `Leave`, or → `Moved` | a futex where a spare sleeps until its job is there, and a worker that has replied until it may go |
//! | `reply` | worker | 0 none, 1 values, else a failure's `Kind::reply_code` |
//! | `bell` | worker, zygote | a futex that counts; the host sleeps here. Rung after `reply` or a death |
//! | `closing` | host | the job is asked to end at its next chance |
//! | `autoclose` | worker | the job may be ended anywhere once it was asked to |
//! | `detached` | host | nobody will await: a worker that has replied goes at once |
//! | `notify` | host | ring the zygote too after a reply, it makes a descriptor readable |
//! | `generation` | host | number of the slot's job, part of the names of segments apart; with `Moved` that of the file |
//! | `large` | host, worker | set before a payload takes more than the pages that every mailbox has, in a segment apart or in more pages, so that whoever frees the slot gives them back |
//! | `handles` | writer of the payload; its reader clears it | [`Parcel`](crate::shared::Parcel) of objects' handles: 1 the job's payload ends with such, 2 the reply's does, and nobody has taken them yet |
//! | `held`, `held_more` | worker | the objects that it holds, noted before it does; `held_more`: and some that found no room |
//! | `creating` | worker | the object that it is creating, noted before that has a file |
//! | `denied` | worker | the system call for which the sandbox ends it, plus one |
//! | `waiting` | worker | what it waits for, see [`Waiting`](crate::shm::Waiting); for whoever looks on |
//! | `spans` | worker, if there is a timeline | what has begun on its track there and not ended |
//! | `length` | writer of the payload | bytes of job or reply; more than [`INLINE`] lie in a segment of their own |
//! | `replied` | worker | when, on the monotonic clock |
//! | `marks` | worker, zygote | what locks it holds, for who would stop it, see [`Marks`] |
//! | `asks` | sandboxed worker; cleared by the zygote | something stands in its [`Nest`](super::Nest) for the zygote to see to |
//!
//! A worker may write anything here. What the host takes as true of a worker that lies: nothing but that
//! this one job ended somehow.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use rustix::io::Errno;

use super::bytes::{Atomics, SharedBytesMut, accessors};
use super::error::RegionError;
use super::payload::Payload;
use super::waiting::{Awaited, Waiting};
use crate::sync::Marks;
use crate::wire::settings::{PREFIX, Settings};

#[repr(C)]
pub(super) struct Words {
    go: AtomicU32,
    reply: AtomicU32,
    bell: AtomicU32,
    closing: AtomicU32,
    autoclose: AtomicU32,
    detached: AtomicU32,
    notify: AtomicU32,
    generation: AtomicU32,
    large: AtomicU32,
    handles: AtomicU32,
    held_more: AtomicU32,
    denied: AtomicU32,
    length: AtomicU64,
    replied: AtomicU64,
    creating: AtomicU64,
    waiting: Waiting,
    spans: AtomicU32,
    held: [AtomicU64; HELD],
    asks: AtomicU32,
    marks: Marks,
}

// SAFETY: it is made of atomic integers.
unsafe impl Atomics for Words {}

/// What a copy of the words says, to who looks on.
impl Words {
    pub(super) fn replied_code(&self) -> u32 {
        self.reply.load(Ordering::Relaxed)
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed) != 0
    }

    pub(super) fn awaited(&self) -> Option<Awaited> {
        self.waiting.awaited()
    }
}

/// Objects that a worker can note.
const HELD: usize = 32;
const _: () = assert!(size_of::<Words>() <= Mailbox::PAYLOAD_AT);

/// What stands in [`Mailbox::handles`].
pub mod handles {
    /// No handle that somebody would have to take.
    pub const NONE: u32 = 0;
    /// The job's payload carries some.
    pub const JOB: u32 = 1;
    /// The reply's does.
    pub const REPLY: u32 = 2;
}

/// What the word `go` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Go {
    /// No worker, or one that is still getting ready.
    Cold,
    /// A worker waits, its copy-on-write faults paid.
    Warm,
    /// The job is there.
    Job,
    /// The reply was taken, or nobody wants it: the worker shall go.
    Leave,
    /// The job comes by another mailbox, which the worker maps in place of this one: see `shm::fresh`.
    Moved,
}

/// Bytes of job or reply that fit into a slot's mailbox itself.
pub const INLINE: usize = Mailbox::LEN - Mailbox::PAYLOAD_AT;

/// Where a payload stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spot {
    /// In the mailbox.
    Inline,
    /// In a segment of its own.
    Apart,
}

/// One slot's mailbox.
#[derive(Clone, Copy)]
pub struct Mailbox<'a> {
    bytes: SharedBytesMut<'a>,
}

impl<'a> Mailbox<'a> {
    /// Bytes of a slot's mailbox.
    pub const LEN: usize = 64 << 10;
    /// Where the payload begins.
    pub const PAYLOAD_AT: usize = 384;
    /// Payload bytes that the zygote reserves when it makes a slot ready: two pages with the words.
    pub const READY: usize = 8192 - Self::PAYLOAD_AT;

    /// In these bytes, which begin with a page and are two pages at least.
    pub(super) fn new(bytes: SharedBytesMut<'a>) -> Mailbox<'a> {
        Mailbox { bytes }
    }

    /// Bytes of payload that it has room for.
    pub fn capacity(&self) -> usize {
        self.bytes.len() - Self::PAYLOAD_AT
    }

    /// Where a payload of `len` bytes goes.
    pub fn spot(&self, len: usize) -> Spot {
        if len <= self.capacity() { Spot::Inline } else { Spot::Apart }
    }

    fn words(&self) -> &'a Words {
        self.bytes.words(0)
    }

    /// The payload area.
    pub fn payload(&self) -> SharedBytesMut<'a> {
        self.bytes.part(Self::PAYLOAD_AT..self.bytes.len())
    }

    /// Writes the payload, for which there is room and the pages are reserved. For the side whose turn it is: the host
    /// before `publish_job`, the worker between job and `publish_reply`.
    pub fn write(&self, payload: &dyn Payload) {
        self.payload().write(0, payload);
    }

    /// Makes sure that `payload` bytes can be written; [`Mailbox::READY`] of them always can.
    pub fn reserve(&self, payload: usize) -> Result<(), RegionError> {
        self.bytes.reserve(0..Self::PAYLOAD_AT + payload.min(self.capacity()))
    }

    /// The same of so many of all its bytes, with the kernel's answer.
    pub(super) fn populate(&self, bytes: usize) -> Result<(), Errno> {
        self.bytes.populate(0..bytes)
    }

    /// Makes the first pages present in this process too, so that a job finds them.
    pub fn touch(&self) {
        self.payload().touch(0);
        self.payload().touch(Self::READY - 1);
    }

    /// Makes a payload zero that the caller has published and nobody has touched.
    pub fn wipe_payload(&self) {
        const ZEROS: [u8; 4096] = [0; 4096];
        let end = usize::try_from(self.length()).unwrap_or(usize::MAX).min(self.capacity());
        (0..end)
            .step_by(ZEROS.len())
            .for_each(|at| self.payload().put(at, &ZEROS[..ZEROS.len().min(end - at)]));
    }

    /// Makes the mailbox as if nobody had used it. For the slot's owner, while no worker is there.
    pub fn reset(&self) {
        let words = self.words();
        let marks =
            [&words.closing, &words.autoclose, &words.detached, &words.notify, &words.large, &words.denied];
        let more = [&words.go, &words.reply, &words.handles, &words.held_more, &words.asks];
        for word in marks.into_iter().chain(more) {
            word.store(0, Ordering::SeqCst);
        }
        for held in &words.held {
            held.store(0, Ordering::Relaxed);
        }
        words.length.store(0, Ordering::SeqCst);
        words.replied.store(0, Ordering::SeqCst);
        words.creating.store(0, Ordering::SeqCst);
        words.waiting.end();
        words.spans.store(0, Ordering::Relaxed);
        words.marks.reset();
    }

    accessors! { 'a words:
        /// Futex of the waiting worker.
        go: AtomicU32,
        /// Futex of the waiting host.
        bell: AtomicU32,
        /// Whether the job is asked to end.
        closing: AtomicU32,
        /// Whether the job may be ended anywhere once it was asked to end.
        autoclose: AtomicU32,
        /// Whether nobody will await the job.
        detached: AtomicU32,
        /// Whether the zygote wants to hear of the reply.
        notify: AtomicU32,
        /// Whether a payload of this job may have taken more than the pages that every mailbox has.
        large: AtomicU32,
        /// Whether the payload carries handles, see [`handles`].
        handles: AtomicU32,
        /// Ids of the objects that the worker holds, as it says; 0 is none.
        held: [AtomicU64],
        /// Id of the object that the worker is creating, as it says; 0 is none.
        creating: AtomicU64,
        /// What the worker waits for, as it says.
        waiting: Waiting,
        /// What it says of its locks.
        marks: Marks,
        /// How many things have begun on the worker's track of the timeline and not ended, as it says.
        spans: AtomicU32,
        /// Whether the zygote shall look into the worker's nest.
        asks: AtomicU32,
        /// Whether it holds more than that.
        held_more: AtomicU32,
        /// The system call that the sandbox denied, plus one, as the worker claims; 0 without one.
        denied: AtomicU32,
    }

    /// Writer of a payload of `length` bytes, which is complete: its handles are the message's from now on, see [`handles`].
    /// Whoever finds the mark knows where they stand, also if nothing was published.
    pub fn carry(&self, mark: u32, length: usize) {
        self.words().length.store(length as u64, Ordering::SeqCst);
        self.handles().store(mark, Ordering::SeqCst);
    }

    /// The job's name, from the settings with which its payload begins. For host and zygote, before the worker has the
    /// job.
    pub fn job_name(&self) -> Option<String> {
        let ready = self.payload().first(Self::READY);
        let prefix = ready.first(PREFIX).copy();
        let len = u32::from_le_bytes(*prefix.first_chunk()?) as usize;
        let bytes = ready.first(PREFIX.saturating_add(len)).copy();
        Some(Settings::from_bytes(&bytes)?.0.name)
    }

    /// Number of the slot's job, as the host published it.
    pub fn generation(&self) -> u32 {
        self.words().generation.load(Ordering::SeqCst)
    }

    /// The reply's code; 0 while there is none.
    pub fn reply(&self) -> u32 {
        self.words().reply.load(Ordering::SeqCst)
    }

    /// Length of the payload, as the writer claims.
    pub fn length(&self) -> u64 {
        self.words().length.load(Ordering::SeqCst)
    }

    /// When the worker replied, as it claims.
    pub fn replied(&self) -> u64 {
        self.words().replied.load(Ordering::SeqCst)
    }

    /// Rings the bell: the host looks again.
    pub fn ring(&self) {
        self.bell().fetch_add(1, Ordering::SeqCst);
        crate::sys::futex::wake_all(self.bell());
    }

    /// Host: hands the job over. The payload has to be complete.
    pub fn publish_job(&self, generation: u32, length: usize) {
        self.words().generation.store(generation, Ordering::SeqCst);
        self.words().length.store(length as u64, Ordering::SeqCst);
        self.words().go.store(Go::Job as u32, Ordering::SeqCst);
    }

    /// Host: has a spare go over to the file of this number.
    pub(super) fn move_on(&self, number: u32) {
        self.words().generation.store(number, Ordering::SeqCst);
        self.go().store(Go::Moved as u32, Ordering::SeqCst);
        crate::sys::futex::wake_all(self.go());
    }

    /// Host: lets a worker go that has replied.
    pub fn dismiss(&self) {
        self.go().store(Go::Leave as u32, Ordering::SeqCst);
        crate::sys::futex::wake_all(self.go());
    }

    /// Worker: hands the reply over. The payload has to be complete.
    pub fn publish_reply(&self, code: u32, length: usize, now: u64) {
        self.words().length.store(length as u64, Ordering::SeqCst);
        self.words().replied.store(now, Ordering::SeqCst);
        self.words().reply.store(code, Ordering::SeqCst);
    }
}
