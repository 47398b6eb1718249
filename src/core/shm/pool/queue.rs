//! The queue of a pool: the host puts jobs in, workers take them out.
//!
//! A ring of entries, each the number of a job and its slot, between two counters that only grow. What decides who gets a
//! job is the word of its slot and not the queue: whoever changes that from `QUEUED` to `RUNNING` has it. So there is no
//! lock, and a worker may be killed at any instruction: the job is queued still, or it is the dead worker's. The head is
//! moved on by whoever finds that its entry is done with.

use std::sync::atomic::Ordering;

use super::slot::{Word, stage};
use super::{PoolMemory, PoolSlot, RING, SEATS, Seat, seat};
use crate::sys::futex;

/// Bits of an entry that hold the slot's index.
const INDEX: u64 = 0xffff;

impl PoolMemory {
    /// Host: queues a job whose slot is prepared. False if the queue is full of entries of jobs that were given up.
    pub fn push(&self, index: u32, number: u64) -> bool {
        let header = self.header();
        let tail = header.tail.0.load(Ordering::Relaxed);
        if tail.wrapping_sub(header.head.0.load(Ordering::SeqCst)) >= RING as u64 {
            return false;
        }
        let Some(slot) = self.slot(index) else { return false };
        slot.set(Word { number, seat: 0, stage: stage::QUEUED });
        header.ring.0[tail as usize % RING].store(number << 16 | u64::from(index), Ordering::SeqCst);
        header.tail.0.store(tail + 1, Ordering::SeqCst);
        true
    }

    /// Worker: takes the oldest job, unless that is for workers of a later generation than `generation`. `note` is called
    /// before each try, with the slot.
    pub fn take(&self, me: u16, generation: u32, mut note: impl FnMut(u32)) -> Option<(PoolSlot<'_>, u64)> {
        let header = self.header();
        loop {
            let head = header.head.0.load(Ordering::SeqCst);
            if head >= header.tail.0.load(Ordering::SeqCst) {
                return None;
            }
            let entry = header.ring.0[head as usize % RING].load(Ordering::SeqCst);
            let (index, number) = ((entry & INDEX) as u32, entry >> 16);
            let slot = self.slot(index);
            let queued = Word { number, seat: 0, stage: stage::QUEUED };
            let wanted = slot.map_or(generation, |slot| slot.generation().load(Ordering::Relaxed));
            if is_later(wanted, generation) && slot.is_some_and(|slot| slot.word() == queued) {
                return None;
            }
            note(index);
            let mine = Word { number, seat: me, stage: stage::RUNNING };
            let taken = slot.filter(|slot| slot.change(queued, mine));
            let _ = header.head.0.compare_exchange(head, head + 1, Ordering::SeqCst, Ordering::SeqCst);
            if let Some(slot) = taken {
                return Some((slot, number));
            }
        }
    }

    /// Host: whether the oldest job that waits, if one does, may be taken by workers of before this generation.
    pub fn next_is_before(&self, generation: u32) -> bool {
        let header = self.header();
        let head = header.head.0.load(Ordering::SeqCst);
        if head >= header.tail.0.load(Ordering::SeqCst) {
            return false;
        }
        let entry = header.ring.0[head as usize % RING].load(Ordering::SeqCst);
        let slot = self.slot((entry & INDEX) as u32);
        slot.is_some_and(|slot| is_later(generation, slot.generation().load(Ordering::Relaxed)))
    }

    /// About how many jobs wait.
    pub fn waiting(&self) -> u64 {
        let header = self.header();
        let tail = header.tail.0.load(Ordering::SeqCst);
        tail.saturating_sub(header.head.0.load(Ordering::SeqCst))
    }

    /// Notes whether a worker sleeps.
    pub fn set_asleep(&self, index: usize, asleep: bool) {
        set(&self.header().asleep.0, index, asleep);
    }

    /// Notes whether a worker looks out for jobs without sleeping.
    pub fn set_spinning(&self, index: usize, spinning: bool) {
        set(&self.header().spinning.0, index, spinning);
    }

    /// How many workers look out for jobs.
    pub fn spinners(&self) -> u32 {
        self.header().spinning.0[..self.words]
            .iter()
            .map(|word| word.load(Ordering::SeqCst).count_ones())
            .sum()
    }

    /// How many workers sleep.
    pub fn sleepers(&self) -> u32 {
        self.header().asleep.0[..self.words].iter().map(|word| word.load(Ordering::SeqCst).count_ones()).sum()
    }

    /// Wakes a sleeping worker if more jobs wait than others look out for.
    pub fn wake_for_work(&self) {
        let waiting = self.waiting();
        if waiting > 0 && u64::from(self.spinners()) < waiting {
            self.wake_one();
        }
    }

    fn wake_one(&self) {
        for (at, word) in self.header().asleep.0[..self.words].iter().enumerate() {
            let mut bits = word.load(Ordering::SeqCst);
            while bits != 0 {
                let bit = bits & bits.wrapping_neg();
                let before = word.fetch_and(!bit, Ordering::SeqCst);
                if before & bit != 0 {
                    self.wake_seat(at * 64 + bit.trailing_zeros() as usize);
                    return;
                }
                bits = before & !bit;
            }
        }
    }

    fn wake_seat(&self, index: usize) {
        if let Some(Seat { wake, .. }) = self.seat(index) {
            wake.store(1, Ordering::SeqCst);
            futex::wake_all(wake);
        }
    }

    /// Wakes every sleeping worker.
    pub fn wake_workers(&self) {
        for (at, word) in self.header().asleep.0[..self.words].iter().enumerate() {
            let mut bits = word.swap(0, Ordering::SeqCst);
            while bits != 0 {
                self.wake_seat(at * 64 + bits.trailing_zeros() as usize);
                bits &= bits - 1;
            }
        }
    }

    /// Zygote: a worker of the pool is dead, and its death on record. A wake-up may have died with it, so the others
    /// look for themselves.
    pub fn announce_death(&self) {
        self.deaths().fetch_add(1, Ordering::SeqCst);
        self.wake_workers();
        self.ring();
    }

    /// Zygote: a worker of the pool is dead. Before others hear of it, since the seat can be another's then.
    pub fn clear_bits(&self, index: usize) {
        self.set_asleep(index, false);
        self.set_spinning(index, false);
    }

    /// Host: makes a seat one that nobody has sat on.
    pub fn clear_seat(&self, index: usize) {
        let Some(place) = self.seat(index) else { return };
        self.clear_bits(index);
        for word in [&place.wake, &place.current] {
            word.store(0, Ordering::SeqCst);
        }
        place.jobs.store(0, Ordering::SeqCst);
        place.started.store(0, Ordering::SeqCst);
        place.state.store(seat::STARTING, Ordering::SeqCst);
    }
}

/// Whether a generation is later than another. They wrap around; half the circle is far more than there are at once.
pub fn is_later(generation: u32, than: u32) -> bool {
    generation != than && generation.wrapping_sub(than) < u32::MAX / 2
}

fn set(bits: &[std::sync::atomic::AtomicU64; SEATS / 64], index: usize, value: bool) {
    let (Some(word), bit) = (bits.get(index / 64), 1u64 << (index % 64)) else { return };
    if value {
        word.fetch_or(bit, Ordering::SeqCst);
    } else {
        word.fetch_and(!bit, Ordering::SeqCst);
    }
}
