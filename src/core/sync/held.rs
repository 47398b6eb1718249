//! Which locks this thread holds, how often; and the lock as the rest of llib uses it.
//!
//! A lock belongs to a process. Within one it belongs to a thread, and that thread may take it again. How often
//! it did is nobody else's business, so it stands here and not in shared memory.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::futex_ground::{FutexGround, OwnerCheck};
use super::lock::{self, Taken, Wait};
use super::word::{Owner, owner};
use crate::sys::clock;

/// A lock in shared memory, seen from this process.
#[derive(Clone, Copy)]
pub struct LockRef<'a, O> {
    word: &'a AtomicU64,
    owners: &'a O,
    me: Owner,
}

/// What came of waiting for a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acquired {
    /// It was free, or this thread has it already.
    Yes,
    /// Its last owner died with it.
    Abandoned,
    /// The time is over.
    TimedOut,
    /// The caller wanted no more.
    Stopped,
}

/// What came of giving a lock back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unlocked {
    /// It is free.
    Yes,
    /// This thread had taken it more than once, and still has it.
    Still,
    /// This thread does not hold it.
    NotHeld,
}

struct Holding {
    address: usize,
    depth: u64,
}

struct Held {
    locks: RefCell<Vec<Holding>>,
    /// Whether this thread counts in [`THREADS`].
    counted: Cell<bool>,
}

/// Threads of this process that ever wanted a lock. Each counts itself before its first try, so one that holds
/// a lock is counted for whoever sees the lock taken.
static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static HELD: Held = const { Held { locks: RefCell::new(Vec::new()), counted: Cell::new(false) } };
}

impl Held {
    /// Takes a held lock once more.
    fn again(&self, address: usize) -> bool {
        let mut locks = self.locks.borrow_mut();
        let found = locks.iter_mut().rev().find(|holding| holding.address == address);
        found.map(|holding| holding.depth += 1).is_some()
    }

    #[inline]
    fn count(&self) {
        if !self.counted.replace(true) {
            THREADS.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn note(&self, address: usize) {
        self.locks.borrow_mut().push(Holding { address, depth: 1 });
    }
}

/// Whether this thread holds the lock with this word.
pub fn holds(word: &AtomicU64) -> bool {
    let address = address(word);
    HELD.with(|held| held.locks.borrow().iter().any(|holding| holding.address == address))
}

/// Whether this thread holds any lock.
pub fn holds_any() -> bool {
    HELD.with(|held| !held.locks.borrow().is_empty())
}

fn address(word: &AtomicU64) -> usize {
    std::ptr::from_ref(word).expose_provenance()
}

/// Leaves all locks of this thread as its process's death would: whoever takes one hears that it was abandoned. For a
/// process whose work is over, but which lives on for a while.
pub fn abandon_all<O: OwnerCheck>(owners: &O, me: Owner) {
    let held = HELD.with(|held| held.locks.take());
    for holding in held {
        // SAFETY: the word of a lock that is held stays mapped: an object gives its lock back before its memory goes,
        // the table of numbered locks is never unmapped. It is an atomic.
        let word = unsafe { &*std::ptr::with_exposed_provenance::<AtomicU64>(holding.address) };
        never(lock::abandon(&FutexGround::new(word, owners, me), me));
    }
}

fn never<T>(result: Result<T, Infallible>) -> T {
    match result {
        Ok(value) => value,
    }
}

impl<'a, O: OwnerCheck> LockRef<'a, O> {
    /// The lock of `word`, for the process that is `me` in the table `owners`.
    pub fn new(word: &'a AtomicU64, owners: &'a O, me: Owner) -> Self {
        LockRef { word, owners, me }
    }

    /// Whether nobody holds it.
    pub fn is_free(&self) -> bool {
        owner(self.word.load(Ordering::SeqCst)).is_none()
    }

    /// Whether its owner died with it, as far as that is published.
    pub fn is_abandoned(&self) -> bool {
        owner(self.word.load(Ordering::SeqCst)).is_some_and(|owner| {
            let current = self.owners.generation(owner.index).map(|entry| entry.load(Ordering::SeqCst));
            current != Some(owner.generation)
        })
    }

    /// Takes the lock if that needs no waiting.
    #[inline]
    pub fn try_acquire(&self) -> Option<Acquired> {
        HELD.with(|held| {
            held.count();
            let ground = FutexGround::new(self.word, self.owners, self.me);
            if never(lock::try_take(&ground, self.me)) {
                held.note(address(self.word));
                return Some(Acquired::Yes);
            }
            held.again(address(self.word)).then_some(Acquired::Yes)
        })
    }

    /// Takes the lock. Waits until the time `end` (see [`clock::now`]; none: for ever), and asks `patience` every
    /// few milliseconds, and after each signal handler, whether to wait on.
    pub fn acquire(&self, end: Option<u64>, patience: &mut dyn FnMut() -> bool) -> Acquired {
        if let Some(acquired) = self.try_acquire() {
            return acquired;
        }
        let end = end.unwrap_or(u64::MAX);
        // Another thread of this process may hold it, if any other ever wanted a lock.
        let alone = || THREADS.load(Ordering::SeqCst) == 1;
        let ground = FutexGround::new(self.word, self.owners, self.me).until(end).not_mine(alone);
        let mut wait = Wait::default();
        loop {
            match never(lock::take(&ground, self.me, &mut wait)) {
                Taken::No => {}
                taken => {
                    HELD.with(|held| held.note(address(self.word)));
                    return if taken == Taken::Abandoned { Acquired::Abandoned } else { Acquired::Yes };
                }
            }
            let given_up = if clock::now() >= end {
                Acquired::TimedOut
            } else if patience() {
                continue;
            } else {
                Acquired::Stopped
            };
            never(lock::give_up(&ground, &wait));
            return given_up;
        }
    }

    /// Gives the lock back once.
    #[inline]
    pub fn release(&self) -> Unlocked {
        HELD.with(|held| {
            let mut locks = held.locks.borrow_mut();
            let Some(place) = locks.iter().rposition(|holding| holding.address == address(self.word)) else {
                return Unlocked::NotHeld;
            };
            let holding = &mut locks[place];
            holding.depth -= 1;
            if holding.depth > 0 {
                return Unlocked::Still;
            }
            locks.remove(place);
            // A word that names somebody else by now was written by a process gone mad: nothing to give back.
            never(lock::give_back(&FutexGround::new(self.word, self.owners, self.me), self.me));
            Unlocked::Yes
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU32};
    use std::time::Duration;

    use super::*;
    use crate::sync::lock::Ground;

    struct Table([AtomicU32; 4]);

    impl OwnerCheck for Table {
        fn generation(&self, index: u16) -> Option<&AtomicU32> {
            self.0.get(usize::from(index))
        }
        fn is_gone(&self, _: Owner) -> bool {
            false
        }
    }

    fn table() -> Table {
        Table([1, 7, 9, 11].map(AtomicU32::new))
    }

    const A: Owner = Owner { index: 0, generation: 1 };
    const B: Owner = Owner { index: 1, generation: 7 };

    #[test]
    fn a_thread_takes_its_lock_again_and_gives_it_back_as_often() {
        let (table, word) = (table(), AtomicU64::new(0));
        let lock = LockRef::new(&word, &table, A);
        assert_eq!(lock.release(), Unlocked::NotHeld);
        assert_eq!(lock.acquire(None, &mut || false), Acquired::Yes);
        assert_eq!(lock.try_acquire(), Some(Acquired::Yes));
        assert!(holds(&word));
        assert_eq!(
            (lock.release(), lock.release(), lock.release()),
            (Unlocked::Still, Unlocked::Yes, Unlocked::NotHeld)
        );
        assert!(!holds(&word) && word.load(Ordering::SeqCst) == 0);
    }

    #[test]
    fn a_dead_owners_lock_is_taken_and_a_live_ones_is_not() {
        let (table, word) = (table(), AtomicU64::new(0));
        let lock = LockRef::new(&word, &table, A);
        word.store(B.bits(), Ordering::SeqCst);
        assert_eq!(
            lock.acquire(Some(clock::after(Duration::from_millis(5))), &mut || true),
            Acquired::TimedOut
        );
        assert_eq!(lock.acquire(None, &mut || false), Acquired::Stopped);
        table.0[1].store(8, Ordering::SeqCst);
        assert_eq!(lock.acquire(None, &mut || true), Acquired::Abandoned);
        assert_eq!(lock.release(), Unlocked::Yes);
        // One that no table has is dead.
        word.store(Owner { index: 3000, generation: 5 }.bits(), Ordering::SeqCst);
        assert_eq!(lock.acquire(None, &mut || true), Acquired::Abandoned);
        assert_eq!(lock.release(), Unlocked::Yes);
    }

    #[test]
    fn a_thread_that_appears_while_another_waits_keeps_the_lock_it_takes() {
        let (table, word) = (table(), AtomicU64::new(B.bits()));
        let lock = LockRef::new(&word, &table, A);
        std::thread::scope(|scope| {
            let mut asked = 0;
            // The lock passes from the other process to a new thread of ours, behind the back of this one.
            let acquired = lock.acquire(None, &mut || {
                asked += 1;
                if asked == 1 {
                    word.store(0, Ordering::SeqCst);
                    let taken = scope.spawn(|| LockRef::new(&word, &table, A).try_acquire()).join().unwrap();
                    assert_eq!(taken, Some(Acquired::Yes));
                }
                asked < 3
            });
            assert_eq!(acquired, Acquired::Stopped);
        });
    }

    #[test]
    fn a_waiter_is_asked_for_patience_though_it_is_woken_in_vain_all_the_time() {
        let (table, word, done) = (table(), AtomicU64::new(B.bits()), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // Owners that live, neither of whom has the lock.
                let owners = [B, Owner { index: 2, generation: 9 }];
                while !done.load(Ordering::SeqCst) {
                    for owner in owners {
                        word.store(owner.bits(), Ordering::SeqCst);
                        never(FutexGround::new(&word, &table, B).wake_one());
                    }
                }
            });
            let acquired = LockRef::new(&word, &table, A).acquire(None, &mut || false);
            done.store(true, Ordering::SeqCst);
            assert_eq!(acquired, Acquired::Stopped);
        });
    }

    #[test]
    fn no_nonsense_in_the_word_locks_anybody_out_but_the_name_of_one_who_lives() {
        let (table, word) = (table(), AtomicU64::new(0));
        let lock = LockRef::new(&word, &table, A);
        let halves =
            [0, 1, 2, 3, 4, 7, 8, 12, 1 << 16, 0xfffc, 0xffff_0000, 0xffff_fffe, u64::from(u32::MAX)];
        for (low, generation) in
            halves.into_iter().flat_map(|low| [0, 2, 8, u32::MAX].map(|high| (low, high)))
        {
            word.store(u64::from(generation) << 32 | low, Ordering::SeqCst);
            let acquired = lock.acquire(None, &mut || false);
            assert_eq!(acquired, if generation == 0 { Acquired::Yes } else { Acquired::Abandoned });
            assert_eq!(lock.release(), Unlocked::Yes);
            assert_eq!(word.load(Ordering::SeqCst) >> 2, 0);
        }
    }

    #[test]
    fn who_abandons_its_locks_leaves_them_as_if_it_had_died() {
        let (table, words) = (table(), [AtomicU64::new(0), AtomicU64::new(0)]);
        for word in &words {
            assert_eq!(LockRef::new(word, &table, B).acquire(None, &mut || true), Acquired::Yes);
        }
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let lock = LockRef::new(&words[0], &table, A);
                (lock.acquire(None, &mut || true), lock.release())
            });
            abandon_all(&table, B);
            assert_eq!(waiter.join().unwrap(), (Acquired::Abandoned, Unlocked::Yes));
        });
        assert!(!holds(&words[0]) && !holds(&words[1]));
        let lock = LockRef::new(&words[1], &table, A);
        assert_eq!((lock.acquire(None, &mut || true), lock.release()), (Acquired::Abandoned, Unlocked::Yes));
    }

    #[test]
    fn threads_of_one_process_exclude_each_other() {
        let (table, word, mut count) = (table(), AtomicU64::new(0), 0u64);
        struct Shared(*mut u64);
        // SAFETY: the pointer is used under the lock alone, while the threads' scope lasts.
        unsafe impl Sync for Shared {}
        let shared = Shared(&raw mut count);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let (shared, table, word) = (&shared, &table, &word);
                scope.spawn(move || {
                    let lock = LockRef::new(word, table, A);
                    for _ in 0..5000 {
                        assert_eq!(lock.acquire(None, &mut || true), Acquired::Yes);
                        // SAFETY: as above.
                        unsafe { *shared.0 += 1 };
                        assert_eq!(lock.release(), Unlocked::Yes);
                    }
                });
            }
        });
        assert_eq!(count, 20_000);
        assert_eq!(word.load(Ordering::SeqCst) >> 32, 0);
    }
}
