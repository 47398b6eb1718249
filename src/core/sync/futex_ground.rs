//! The ground of real processes: a word of shared memory, futexes, and the published table of owners.

use std::cell::Cell;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::lock::{Ground, Pause, Slept};
use super::marks;
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

/// What a call that has no time to wait waits all the same: for a lock that is about to be given back, and to let others go
/// first.
pub(super) const BRIEF: Duration = Duration::from_millis(1);

/// What a waiter wants to know of owners.
pub trait OwnerCheck {
    /// The published generation of a place, a futex; `None` for a place that no table has.
    fn generation(&self, index: u16) -> Option<&AtomicU32>;

    /// Whether the process of this owner is gone although nobody has published that: its supervisors were
    /// killed. Costs some microseconds.
    fn is_gone(&self, owner: Owner) -> bool;

    /// CPU time in nanoseconds of an owner that has a processor or waits for one; `None` for one that sleeps or is
    /// stopped, or of which nothing is known. Costs some microseconds.
    fn runnable(&self, owner: Owner) -> Option<u64>;
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
    end: Cell<u64>,
    /// Whether the lock was given back since that was set.
    moved: Cell<bool>,
    /// The owner that was seen last.
    last: Cell<Option<Owner>>,
    /// An owner that was found to be dead by other means than the table.
    gone: Cell<Option<Owner>>,
}

impl<'a, O: OwnerCheck> FutexGround<'a, O> {
    pub(super) fn new(word: &'a AtomicU64, owners: &'a O, me: Owner) -> Self {
        let (started, asked, gone) = (Cell::new(0), Cell::new(0), Cell::new(None));
        let (end, moved, last) = (Cell::new(u64::MAX), Cell::new(false), Cell::new(None));
        FutexGround { word, owners, me, is_not_mine: || false, started, asked, end, moved, last, gone }
    }

    /// The same with a point in time at which sleeps end, see [`clock::now`].
    pub(super) fn until(self, end: u64) -> Self {
        self.end.set(end);
        self
    }

    /// When sleeps end.
    pub(super) fn end(&self) -> u64 {
        self.end.get()
    }

    /// Lets sleeps end later.
    pub(super) fn extend(&self, time: Duration) {
        self.end.set(clock::after(time));
        self.moved.set(false);
    }

    /// Whether the lock has gone from hand to hand, as far as this process has seen.
    pub(super) fn has_moved(&self) -> bool {
        self.moved.get()
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
        let word = self.word.load(Ordering::SeqCst);
        if let Some(last) = self.last.replace(owner_of(word))
            && Some(last) != owner_of(word)
        {
            self.moved.set(true);
        }
        Ok(word)
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
        // Who has no time lets others go first all the same, or polling would starve them.
        let end = if pause == Pause::Moment { clock::add(self.end(), BRIEF) } else { self.end() };
        if now >= end {
            // A host's death nobody publishes; who has no time asks for it now.
            self.gone.set(owner.filter(|owner| *owner != self.me && self.owners.is_gone(*owner)));
            return Ok(if self.gone.get().is_some() { Slept::Again } else { Slept::Interrupted });
        }
        let most = if pause == Pause::Moment { MOMENT } else { SLICE };
        let time = most.min(Duration::from_nanos(end - now));
        // Our own process lives as long as it asks.
        let entry = owner.filter(|owner| *owner != self.me).and_then(|owner| {
            self.owners.generation(owner.index).map(|entry| Pair { word: entry, expected: owner.generation })
        });
        // Asleep this process takes no lock, and may be stopped.
        marks::end(1);
        let woken = futex::wait_either(Pair { word: self.futex(), expected: word as u32 }, entry, time);
        marks::begin();
        if woken == Woken::Changed || owner_of(self.word.load(Ordering::SeqCst)) != owner {
            self.moved.set(true);
        }
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
        // Of a short time a part has to do.
        let long = (LONG.as_nanos() as u64).min(self.end().saturating_sub(self.started.get()) / 4);
        let long = clock::now() - self.started.get() >= long;
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
