//! The ground of real processes: a word of shared memory, futexes, and the published table of owners.

use std::cell::Cell;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::lock::{Ground, Pause, Slept};
use super::word::{Owner, owner as owner_of};
use crate::sys::clock;
use crate::sys::futex::{self, Pair, Woken};

/// The longest sleep. A process that was woken and died before it woke the next leaves others asleep, so sleepers
/// look again by themselves; and a caller gets to see to signals and to its own end.
const SLICE: Duration = Duration::from_millis(20);
/// See [`Pause::Moment`].
const MOMENT: Duration = Duration::from_millis(2);
/// From when on a wait is a long one. Longer than a woken process takes to run, shorter than anybody minds.
const LONG: Duration = Duration::from_millis(5);

/// What a waiter wants to know of owners.
pub trait OwnerCheck {
    /// The published generation of a place, a futex; `None` for a place that no table has.
    fn generation(&self, index: u16) -> Option<&AtomicU32>;

    /// Whether the process of this owner is gone although nobody has published that: its supervisors were
    /// killed. Costs some microseconds.
    fn is_gone(&self, owner: Owner) -> bool;
}

/// One lock word, for one call.
pub(super) struct FutexGround<'a, O> {
    word: &'a AtomicU64,
    owners: &'a O,
    me: Owner,
    /// Whether this process holds the lock in no thread: a word that names it lies. Asked after the word was
    /// read, as another thread can take the lock at any time.
    is_not_mine: fn() -> bool,
    started: Cell<u64>,
    /// When the caller last saw to its own affairs.
    asked: Cell<u64>,
    end: u64,
    /// An owner that was found to be dead by other means than the table.
    gone: Cell<Option<Owner>>,
}

impl<'a, O: OwnerCheck> FutexGround<'a, O> {
    pub(super) fn new(word: &'a AtomicU64, owners: &'a O, me: Owner) -> Self {
        let (started, asked, gone) = (Cell::new(0), Cell::new(0), Cell::new(None));
        FutexGround { word, owners, me, is_not_mine: || false, started, asked, end: u64::MAX, gone }
    }

    /// The same with a point in time at which sleeps end, see [`clock::now`].
    pub(super) fn until(self, end: u64) -> Self {
        FutexGround { end, ..self }
    }

    /// The same for a thread without the lock, which knows how to find out whether another one can have it.
    pub(super) fn not_mine(self, is_not_mine: fn() -> bool) -> Self {
        FutexGround { is_not_mine, ..self }
    }

    /// The half of the word that the kernel compares.
    fn futex(&self) -> &AtomicU32 {
        let half = usize::from(cfg!(target_endian = "big"));
        // SAFETY: a 64-bit atomic is two aligned 32-bit ones in memory. This reference is used for its
        // address alone (the kernel reads there); no access of another size than 64 bits is made here.
        unsafe { &*std::ptr::from_ref(self.word).cast::<AtomicU32>().add(half) }
    }
}

impl<O: OwnerCheck> Ground for FutexGround<'_, O> {
    type Stop = Infallible;

    fn load(&self) -> Result<u64, Infallible> {
        Ok(self.word.load(Ordering::SeqCst))
    }

    #[inline]
    fn exchange(&self, old: u64, new: u64) -> Result<Result<(), u64>, Infallible> {
        Ok(self.word.compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst).map(drop))
    }

    fn is_alive(&self, owner: Owner) -> Result<bool, Infallible> {
        if (owner == self.me && (self.is_not_mine)()) || self.gone.get() == Some(owner) {
            return Ok(false);
        }
        let current = self.owners.generation(owner.index).map(|entry| entry.load(Ordering::SeqCst));
        Ok(current == Some(owner.generation))
    }

    fn sleep(&self, word: u64, owner: Option<Owner>, pause: Pause) -> Result<Slept, Infallible> {
        let now = clock::now();
        if self.started.get() == 0 {
            self.started.set(now);
            self.asked.set(now);
        }
        if now >= self.end {
            return Ok(Slept::Interrupted);
        }
        let most = if pause == Pause::Moment { MOMENT } else { SLICE };
        let time = most.min(Duration::from_nanos(self.end - now));
        // Our own process lives as long as it asks.
        let entry = owner.filter(|owner| *owner != self.me).and_then(|owner| {
            self.owners.generation(owner.index).map(|entry| Pair { word: entry, expected: owner.generation })
        });
        let woken = futex::wait_either(Pair { word: self.futex(), expected: word as u32 }, entry, time);
        match woken {
            Woken::Interrupted => return Ok(Slept::Interrupted),
            Woken::TimedOut if pause == Pause::Turn => {
                self.gone.set(owner.filter(|owner| *owner != self.me && self.owners.is_gone(*owner)));
                // The caller sees to its own affairs; but not while there is something to take.
                let same = owner_of(self.word.load(Ordering::SeqCst)) == owner;
                if same && self.gone.get().is_none() {
                    self.asked.set(clock::now());
                    return Ok(Slept::Interrupted);
                }
            }
            // One that is woken again and again in vain, as one can be by a process gone mad, would never see
            // to its affairs otherwise.
            Woken::Changed if clock::now() - self.asked.get() >= SLICE.as_nanos() as u64 => {
                self.asked.set(clock::now());
                return Ok(Slept::Interrupted);
            }
            Woken::TimedOut | Woken::Changed => {}
        }
        let long = clock::now() - self.started.get() >= LONG.as_nanos() as u64;
        Ok(if long { Slept::Long } else { Slept::Again })
    }

    fn wake_one(&self) -> Result<(), Infallible> {
        futex::wake(self.futex(), 1);
        Ok(())
    }

    #[inline]
    fn spin(&self, round: u32) -> bool {
        /// Some microseconds: what a short critical section takes, and far less than a sleep costs.
        const ROUNDS: u32 = 60;
        if round >= ROUNDS || !crate::sys::cores::several() {
            return false;
        }
        std::hint::spin_loop();
        true
    }
}
