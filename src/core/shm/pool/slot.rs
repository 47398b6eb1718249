//! A job's slot: its words, and the states of the one that everybody agrees by.
//!
//! # States
//!
//! The word holds the job's number, the seat of the worker that has it, and the stage. Every change is a
//! compare-and-swap of the whole word, so a change that was meant for one job cannot hit the next.
//!
//! | stage | meaning | left by | to |
//! |---|---|---|---|
//! | `FREE` | the host's; no job | host: the payload is written | `QUEUED` |
//! | `QUEUED` | waits for a worker | worker: takes it | `RUNNING` |
//! | | | host: given up | `FREE` |
//! | `RUNNING` | the worker of that seat has it | worker: the result is written | `DONE` |
//! | | | zygote: about to send the worker a signal | `HELD` |
//! | | | host: the worker is dead | `FREE` |
//! | `HELD` | a signal is on its way to the worker; a worker that is done waits here | zygote: it was sent, and was none that kills | `RUNNING` |
//! | | | host: the worker is dead | `FREE` |
//! | `DONE` | the result stands there | host: taken | `FREE` |
//!
//! So a worker dies with its job `RUNNING` or `HELD`, or without one; and a signal for a job reaches its worker while it
//! has this job.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::super::bytes::{Atomics, SharedBytesMut, accessors};
use super::super::payload::Payload;

/// See the table above.
pub mod stage {
    /// No job.
    pub const FREE: u8 = 0;
    /// Waits for a worker.
    pub const QUEUED: u8 = 1;
    /// A worker has it.
    pub const RUNNING: u8 = 2;
    /// A worker has it, and a signal is on its way to that.
    pub const HELD: u8 = 3;
    /// The result is there.
    pub const DONE: u8 = 4;
}

/// What stands in [`PoolSlot::carries`].
pub mod carries {
    /// No handle that somebody would have to take.
    pub const NONE: u32 = 0;
    /// The job's payload ends with some.
    pub const JOB: u32 = 1;
    /// The result's does.
    pub const REPLY: u32 = 2;
}

/// The word, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    /// Number of the job, of 48 bits.
    pub number: u64,
    /// Seat of the worker that has it.
    pub seat: u16,
    /// See [`stage`].
    pub stage: u8,
}

impl Word {
    /// As it stands in memory.
    pub fn bits(self) -> u64 {
        self.number << 16 | u64::from(self.seat & 0xfff) << 4 | u64::from(self.stage & 15)
    }

    /// The inverse.
    pub fn from_bits(bits: u64) -> Word {
        Word { number: bits >> 16, seat: (bits >> 4 & 0xfff) as u16, stage: (bits & 15) as u8 }
    }
}

#[repr(C, align(64))]
struct Words {
    word: AtomicU64,
    length: AtomicU64,
    ended: AtomicU64,
    took: AtomicU64,
    code: AtomicU32,
    carries: AtomicU32,
    closing: AtomicU32,
    autoclose: AtomicU32,
    notify: AtomicU32,
    generation: AtomicU32,
}

// SAFETY: it is made of atomic integers.
unsafe impl Atomics for Words {}

/// One slot.
#[derive(Clone, Copy)]
pub struct PoolSlot<'a> {
    bytes: SharedBytesMut<'a>,
    index: u32,
}

impl<'a> PoolSlot<'a> {
    /// Where the payload begins.
    pub(super) const PAYLOAD_AT: usize = size_of::<Words>();

    /// In these bytes, whose pages exist once the host uses it.
    pub(super) fn new(bytes: SharedBytesMut<'a>, index: u32) -> PoolSlot<'a> {
        PoolSlot { bytes, index }
    }

    fn words(&self) -> &'a Words {
        self.bytes.words(0)
    }

    /// Its number in the pool.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Payload bytes that it has room for.
    pub fn capacity(&self) -> usize {
        self.bytes.len() - Self::PAYLOAD_AT
    }

    /// The payload's place. The host writes there before the slot is queued, the worker while it has the job.
    pub fn payload(&self) -> SharedBytesMut<'a> {
        self.bytes.part(Self::PAYLOAD_AT..self.bytes.len())
    }

    /// Writes a payload, for which there is room.
    pub fn write(&self, payload: &dyn Payload) {
        self.payload().write(0, payload);
    }

    /// Where the job stands.
    pub fn word(&self) -> Word {
        Word::from_bits(self.words().word.load(Ordering::SeqCst))
    }

    /// Whether the word is this one. For looking again and again.
    pub fn is(&self, word: Word) -> bool {
        self.words().word.load(Ordering::Acquire) == word.bits()
    }

    /// One edge of the table; false if the word was another.
    pub fn change(&self, from: Word, to: Word) -> bool {
        let word = &self.words().word;
        word.compare_exchange(from.bits(), to.bits(), Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Host: puts the slot into a state whatever it was in.
    pub fn set(&self, word: Word) {
        self.words().word.store(word.bits(), Ordering::SeqCst);
    }

    /// Host: makes the other words those of a fresh job, whose payload has this length. Workers of this generation of the
    /// pool, and later ones, may take it.
    pub fn prepare(&self, length: usize, carries: u32, generation: u32) {
        let words = self.words();
        words.generation.store(generation, Ordering::Relaxed);
        words.length.store(length as u64, Ordering::Relaxed);
        words.carries.store(carries, Ordering::Relaxed);
        for word in [&words.closing, &words.autoclose, &words.notify, &words.code] {
            word.store(0, Ordering::Relaxed);
        }
    }

    /// Worker: the result of a job that it runs. The payload has to be complete.
    pub fn conclude(&self, code: u32, length: usize, ended: u64, took: u64) {
        let words = self.words();
        words.code.store(code, Ordering::Relaxed);
        words.length.store(length as u64, Ordering::Relaxed);
        words.ended.store(ended, Ordering::Relaxed);
        words.took.store(took, Ordering::Relaxed);
    }

    /// Length of the payload, as the writer claims; more than [`PoolSlot::capacity`] lies in a segment of its own.
    pub fn length(&self) -> usize {
        usize::try_from(self.words().length.load(Ordering::Relaxed)).unwrap_or(usize::MAX)
    }

    /// Code of the result, as the worker claims.
    pub fn code(&self) -> u32 {
        self.words().code.load(Ordering::Relaxed)
    }

    /// When the worker was done, as it claims.
    pub fn ended(&self) -> u64 {
        self.words().ended.load(Ordering::Relaxed)
    }

    /// Nanoseconds that the job ran, as the worker claims; 0 where it did not look.
    pub fn took(&self) -> u64 {
        self.words().took.load(Ordering::Relaxed)
    }

    accessors! { 'a words:
        /// Whether the payload carries handles, see [`carries`].
        carries: AtomicU32,
        /// Whether the job is asked to end.
        closing: AtomicU32,
        /// Whether the job may be ended anywhere once it was asked to end.
        autoclose: AtomicU32,
        /// Whether the zygote wants to hear of the result.
        notify: AtomicU32,
        /// Generation of the pool's workers that the job needs, or a later one.
        generation: AtomicU32,
    }
}
