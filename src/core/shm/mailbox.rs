//! What host and one worker share: a few words and a payload area.
//!
//! # Words
//!
//! | word | written by | meaning |
//! |---|---|---|
//! | `go` | worker: `Cold` → `Warm`; host: → `Job` → `Leave` | a futex where a spare sleeps until its job is there, and a worker that has replied until it may go |
//! | `reply` | worker | 0 none, 1 values, else a failure's `Kind::reply_code` |
//! | `bell` | worker, zygote | a futex that counts; the host sleeps here. Rung after `reply` or a death |
//! | `closing` | host | the job is asked to end at its next chance |
//! | `autoclose` | worker | the job may be ended anywhere once it was asked to |
//! | `detached` | host | nobody will await: a worker that has replied goes at once |
//! | `notify` | host | ring the zygote too after a reply, it makes a descriptor readable |
//! | `generation` | host | number of the slot's job, part of the names of segments apart |
//! | `large` | host, worker | set before a payload takes more than the pages that every mailbox has, in a segment apart or in more pages, so that whoever frees the slot gives them back |
//! | `handles` | writer of the payload; its reader clears it | [`Parcel`](crate::shared::Parcel) of objects' handles: 1 the job's payload ends with such, 2 the reply's does, and nobody has taken them yet |
//! | `held`, `held_more` | worker | the objects that it holds, noted before it does; `held_more`: and some that found no room |
//! | `creating` | worker | the object that it is creating, noted before that has a file |
//! | `denied` | worker | the system call for which the sandbox ends it, plus one |
//! | `waiting` | worker | what it waits for, see [`Waiting`](crate::shm::Waiting); for whoever looks on |
//! | `spans` | worker, if there is a timeline | what has begun on its track there and not ended |
//! | `length` | writer of the payload | bytes of job or reply; more than [`INLINE`] lie in a segment of their own |
//! | `replied` | worker | when, on the monotonic clock |
//! | `asks` | sandboxed worker; cleared by the zygote | something stands in its [`Nest`](super::Nest) for the zygote to see to |
//!
//! A worker may write anything here. What the host takes as true of a worker that lies: nothing but that
//! this one job ended somehow.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::mapping::PAGE;
use super::region::RegionError;
use super::snapshot::AnyBits;
use super::waiting::{Awaited, Waiting};
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
}

// SAFETY: it is made of atomic integers.
unsafe impl AnyBits for Words {}

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
    base: *mut u8,
    len: usize,
    region: PhantomData<&'a super::region::Region>,
}

// SAFETY: a mailbox is a pointer into a mapping that outlives it (its lifetime); it gives references to
// atomics and raw pointers, as usable from one thread as from another.
unsafe impl Send for Mailbox<'_> {}
// SAFETY: as above.
unsafe impl Sync for Mailbox<'_> {}

impl<'a> Mailbox<'a> {
    /// Bytes of a slot's mailbox.
    pub const LEN: usize = 64 << 10;
    /// Where the payload begins.
    pub const PAYLOAD_AT: usize = 384;
    /// Payload bytes that the zygote reserves when it makes a slot ready: two pages with the words.
    pub const READY: usize = 8192 - Self::PAYLOAD_AT;

    /// # Safety
    /// `base` is 64-byte aligned and `len` bytes from there, two pages at least, stay mapped, shared and writable for `'a`.
    pub(super) unsafe fn new(base: *mut u8, len: usize) -> Mailbox<'a> {
        Mailbox { base, len, region: PhantomData }
    }

    /// Bytes of payload that it has room for.
    pub fn capacity(&self) -> usize {
        self.len - Self::PAYLOAD_AT
    }

    /// Where a payload of `len` bytes goes.
    pub fn spot(&self, len: usize) -> Spot {
        if len <= self.capacity() { Spot::Inline } else { Spot::Apart }
    }

    fn words(&self) -> &'a Words {
        // SAFETY: `new` promises the mapping and its alignment; words are atomics, so that other processes
        // may write them meanwhile.
        unsafe { &*self.base.cast::<Words>() }
    }

    /// First byte of the payload area. Other processes may write there: read each byte
    /// once, by pointer.
    pub fn payload(&self) -> *mut u8 {
        // SAFETY: every mailbox has more bytes than that.
        unsafe { self.base.add(Self::PAYLOAD_AT) }
    }

    /// Lets `write` fill the first `len` bytes of the payload area, which have to be reserved. For the side
    /// whose turn it is: the host before `publish_job`, the worker between job and `publish_reply`.
    pub fn fill(&self, len: usize, write: impl FnOnce(&mut [u8])) {
        assert!(len <= self.capacity(), "a longer payload lies apart");
        // SAFETY: the bytes lie in the mailbox, see `new`. Until the payload is published its writer is the
        // only one to touch them: the other side reads after the publishing store alone.
        write(unsafe { std::slice::from_raw_parts_mut(self.payload(), len) });
    }

    /// Makes sure that `payload` bytes can be written; [`Mailbox::READY`] of them always can.
    pub fn reserve(&self, payload: usize) -> Result<(), RegionError> {
        // SAFETY: `new` promises the mapped bytes, and these are no more.
        unsafe { super::region::populate(self.base, Self::PAYLOAD_AT + payload.min(self.capacity())) }
    }

    /// Makes sure that the payload's bytes from `start` to `end` exist, which is no more than it has room for.
    pub fn reserve_from(&self, start: usize, end: usize) -> Result<(), RegionError> {
        assert!(start <= end && end <= self.capacity(), "the range lies in the payload");
        let (first, last) = ((Self::PAYLOAD_AT + start) / PAGE * PAGE, Self::PAYLOAD_AT + end);
        // SAFETY: `new` promises the mapped bytes, and these are among them; the mailbox begins with a page.
        unsafe { super::region::populate(self.base.add(first), last - first) }
    }

    /// Makes the first pages present in this process too, so that a job finds them.
    pub fn touch(&self) {
        self.words();
        // SAFETY: the first READY bytes of the payload are reserved. A volatile read of memory that others
        // may write gives some byte, and it is not used.
        unsafe {
            self.payload().read_volatile();
            self.payload().add(Self::READY - 1).read_volatile();
        }
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
    }

    /// Futex of the waiting worker.
    pub fn go(&self) -> &'a AtomicU32 {
        &self.words().go
    }

    /// Futex of the waiting host.
    pub fn bell(&self) -> &'a AtomicU32 {
        &self.words().bell
    }

    /// Whether the job is asked to end.
    pub fn closing(&self) -> &'a AtomicU32 {
        &self.words().closing
    }

    /// Whether the job may be ended anywhere once it was asked to end.
    pub fn autoclose(&self) -> &'a AtomicU32 {
        &self.words().autoclose
    }

    /// Whether nobody will await the job.
    pub fn detached(&self) -> &'a AtomicU32 {
        &self.words().detached
    }

    /// Whether the zygote wants to hear of the reply.
    pub fn notify(&self) -> &'a AtomicU32 {
        &self.words().notify
    }

    /// Whether a payload of this job may have taken more than the pages that every mailbox has.
    pub fn large(&self) -> &'a AtomicU32 {
        &self.words().large
    }

    /// Whether the payload carries handles, see [`handles`].
    pub fn handles(&self) -> &'a AtomicU32 {
        &self.words().handles
    }

    /// Writer of a payload of `length` bytes, which is complete: its handles are the message's from now on, see [`handles`].
    /// Whoever finds the mark knows where they stand, also if nothing was published.
    pub fn carry(&self, mark: u32, length: usize) {
        self.words().length.store(length as u64, Ordering::SeqCst);
        self.handles().store(mark, Ordering::SeqCst);
    }

    /// Ids of the objects that the worker holds, as it says; 0 is none.
    pub fn held(&self) -> &'a [AtomicU64] {
        &self.words().held
    }

    /// Id of the object that the worker is creating, as it says; 0 is none.
    pub fn creating(&self) -> &'a AtomicU64 {
        &self.words().creating
    }

    /// What the worker waits for, as it says.
    pub fn waiting(&self) -> &'a Waiting {
        &self.words().waiting
    }

    /// How many things have begun on the worker's track of the timeline and not ended, as it says.
    pub fn spans(&self) -> &'a AtomicU32 {
        &self.words().spans
    }

    /// The job's name, from the settings with which its payload begins. For host and zygote, before the worker has the
    /// job.
    pub fn job_name(&self) -> Option<String> {
        // SAFETY: so many bytes of the payload are reserved, see READY.
        let copy = |len: usize| unsafe { super::region::copy_out(self.payload(), len) };
        let prefix = copy(PREFIX);
        let len = u32::from_le_bytes(*prefix.first_chunk()?) as usize;
        let bytes = copy((PREFIX.saturating_add(len)).min(Self::READY));
        Some(Settings::from_bytes(&bytes)?.0.name)
    }

    /// Whether the zygote shall look into the worker's nest.
    pub fn asks(&self) -> &'a AtomicU32 {
        &self.words().asks
    }

    /// Whether it holds more than that.
    pub fn held_more(&self) -> &'a AtomicU32 {
        &self.words().held_more
    }

    /// The system call that the sandbox denied, plus one, as the worker claims; 0 without one.
    pub fn denied(&self) -> &'a AtomicU32 {
        &self.words().denied
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
