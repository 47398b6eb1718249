//! Which locks this thread holds, how often; and the lock as the rest of llib uses it.
//!
//! A lock belongs to a process. Within one it belongs to a thread, and that thread may take it again. How often
//! it did is nobody else's business, so it stands here and not in shared memory.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering};

use rustix::thread::gettid;

use super::futex_ground::{BRIEF, FutexGround, OwnerCheck};
use super::lock::{self, Taken, Wait};
use super::marks;
use super::word::{Owner, owner};
use crate::sys::clock;
use crate::sys::fork::{self, PerProcess};

/// A lock in shared memory, seen from this process.
#[derive(Clone, Copy)]
pub struct LockRef<'a, O> {
    word: &'a AtomicU64,
    owners: &'a O,
    me: Owner,
}

/// What a waiter whose time is over has seen of a lock.
#[derive(Clone, Copy)]
struct Look {
    owner: Owner,
    /// What was done with it so far, see [`LockRef::acquire_brief`].
    uses: u64,
    /// The owner's CPU time.
    worked: u64,
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
    /// The process of which this is true. One that is forked from it holds nothing.
    process: Cell<u64>,
    locks: RefCell<Vec<Holding>>,
    /// Whether this thread counts in [`THREADS`].
    counted: Cell<bool>,
}

/// Threads of a process that ever wanted a lock. Each counts itself before its first try, so one that holds
/// a lock is counted for whoever sees the lock taken.
#[derive(Default)]
struct Threads {
    count: AtomicUsize,
    /// Kernel's id of the one that came last.
    last: AtomicI32,
}

static THREADS: PerProcess<Threads> = PerProcess::new();

fn threads() -> &'static Threads {
    THREADS.get_or_init(Threads::default)
}

/// Whether this thread is the only one of the process that ever wanted a lock, if any did. For the end of a process, when
/// threads may not know any more what they hold.
pub(crate) fn is_only_user() -> bool {
    match threads().count.load(Ordering::SeqCst) {
        0 => true,
        1 => threads().last.load(Ordering::SeqCst) == gettid().as_raw_pid(),
        _ => false,
    }
}

thread_local! {
    static HELD: Held = const {
        Held { process: Cell::new(0), locks: RefCell::new(Vec::new()), counted: Cell::new(false) }
    };
}

/// What this thread holds. Once the thread is about to end, nothing.
#[inline]
fn with_held<T>(look: impl Fn(&Held) -> T) -> T {
    let current = fork::process();
    let look_here = |held: &Held| {
        if held.process.get() != current {
            // What the parent holds stays its own.
            held.locks.take();
            held.counted.set(false);
            held.process.set(current);
        }
        look(held)
    };
    HELD.try_with(look_here).unwrap_or_else(|_| {
        look(&Held { process: Cell::new(current), locks: RefCell::default(), counted: Cell::new(true) })
    })
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
            threads().last.store(gettid().as_raw_pid(), Ordering::SeqCst);
            threads().count.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn note(&self, address: usize) {
        self.locks.borrow_mut().push(Holding { address, depth: 1 });
    }
}

/// Whether this thread holds the lock with this word.
pub fn holds(word: &AtomicU64) -> bool {
    let address = address(word);
    with_held(|held| held.locks.borrow().iter().any(|holding| holding.address == address))
}

/// Whether this thread holds any lock.
pub fn holds_any() -> bool {
    with_held(|held| !held.locks.borrow().is_empty())
}

fn address(word: &AtomicU64) -> usize {
    std::ptr::from_ref(word).expose_provenance()
}

/// Leaves all locks of this thread as its process's death would: whoever takes one hears that it was abandoned. For a
/// process whose work is over, but which lives on for a while.
pub fn abandon_all<O: OwnerCheck>(owners: &O, me: Owner) {
    let held = with_held(|held| held.locks.take());
    let count = held.len() as u32;
    for holding in held {
        // SAFETY: the word of a lock that is held stays mapped: an object gives its lock back before its memory goes,
        // the table of numbered locks is never unmapped. It is an atomic.
        let word = unsafe { &*std::ptr::with_exposed_provenance::<AtomicU64>(holding.address) };
        never(lock::abandon(&FutexGround::new(word, owners, me), me));
    }
    marks::end(count);
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
        with_held(|held| {
            held.count();
            marks::begin();
            let ground = FutexGround::new(self.word, self.owners, self.me);
            if never(lock::try_take(&ground, self.me)) {
                held.note(address(self.word));
                return Some(Acquired::Yes);
            }
            marks::end(1);
            held.again(address(self.word)).then_some(Acquired::Yes)
        })
    }

    /// Takes the lock. Waits until the time `end` (see [`clock::now`]; none: for ever), and asks `patience` every
    /// few milliseconds, and after each signal handler, whether to wait on. [`Acquired::TimedOut`] means that somebody has
    /// the lock: one that is free is taken also when the time is over.
    pub fn acquire(&self, end: Option<u64>, patience: &mut dyn FnMut() -> bool) -> Acquired {
        self.take(end, 0, &|| 0, patience)
    }

    /// The same for a lock that each of its owners is about to give back. When the time is over, or there is none, one and the
    /// same owner may keep it for `BRIEF` more, of time in which it had a processor, before it counts as one that does not give
    /// it back and is not waited for any longer. `uses` counts what is done with the lock, if anybody counts that.
    pub fn acquire_brief(
        &self,
        end: Option<u64>,
        uses: &dyn Fn() -> u64,
        patience: &mut dyn FnMut() -> bool,
    ) -> Acquired {
        /// It may pass from one to the next so often without coming to this process.
        const ROUNDS: u32 = 100;
        self.take(end.map(|end| end.max(clock::after(BRIEF))), ROUNDS, uses, patience)
    }

    fn take(
        &self,
        end: Option<u64>,
        rounds: u32,
        uses: &dyn Fn() -> u64,
        patience: &mut dyn FnMut() -> bool,
    ) -> Acquired {
        /// Who wakes so late has waited for a processor, and not for the lock.
        const LATE: u64 = BRIEF.as_nanos() as u64 / 4;
        if let Some(acquired) = self.try_acquire() {
            return acquired;
        }
        // Another thread of this process may hold it, if any other ever wanted a lock.
        let alone = || threads().count.load(Ordering::SeqCst) == 1;
        let ground =
            FutexGround::new(self.word, self.owners, self.me).until(end.unwrap_or(u64::MAX)).not_mine(alone);
        let mut wait = Wait::default();
        let (mut rounds, mut last, mut look) = (rounds, false, None);
        marks::begin();
        loop {
            match never(lock::take(&ground, self.me, &mut wait)) {
                Taken::No => {}
                taken => {
                    with_held(|held| held.note(address(self.word)));
                    return if taken == Taken::Abandoned { Acquired::Abandoned } else { Acquired::Yes };
                }
            }
            let late = clock::now().checked_sub(ground.end());
            let given_up = match late {
                // Those that slept had their turn; a free lock is now this one's too.
                Some(_) if !std::mem::replace(&mut last, true) => continue,
                Some(late)
                    if rounds > 0 && (late > LATE || self.is_on_its_way(&ground, uses(), &mut look)) =>
                {
                    rounds -= 1;
                    last = false;
                    ground.extend(BRIEF);
                    continue;
                }
                Some(_) => Acquired::TimedOut,
                None if patience() => continue,
                None => Acquired::Stopped,
            };
            never(lock::give_up(&ground, &wait));
            marks::end(1);
            return given_up;
        }
    }

    /// Whether the lock goes from hand to hand, or its owner would give it back if it had a processor. `last` is what was
    /// seen when that was asked before.
    fn is_on_its_way(&self, ground: &FutexGround<'_, O>, uses: u64, last: &mut Option<Look>) -> bool {
        let word = self.word.load(Ordering::SeqCst);
        let Some(owner) = owner(word) else { return true };
        let worked = self.owners.runnable(owner);
        let before = last.replace(Look { owner, uses, worked: worked.unwrap_or(0) });
        let same =
            before.filter(|before| before.owner == owner && before.uses == uses && !ground.has_moved());
        let used = match (worked, same) {
            // Whoever sleeps with it sleeps; but it may have given it back meanwhile, and sleep for it.
            (None, _) => return self.word.load(Ordering::SeqCst) != word,
            (Some(_), None) => 0,
            (Some(worked), Some(before)) => {
                // From when it was first seen with it.
                *last = Some(before);
                worked.saturating_sub(before.worked)
            }
        };
        used < BRIEF.as_nanos() as u64
    }

    /// Gives the lock back once.
    #[inline]
    pub fn release(&self) -> Unlocked {
        with_held(|held| {
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
            marks::end(1);
            Unlocked::Yes
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU32};
    use std::time::Duration;

    use super::super::word::{QUEUE, WAITERS};
    use super::*;
    use crate::sync::lock::Ground;

    /// Generations, and the CPU time that each owner says to have used.
    struct Table([AtomicU32; 4], Option<u64>);

    impl OwnerCheck for Table {
        fn generation(&self, index: u16) -> Option<&AtomicU32> {
            self.0.get(usize::from(index))
        }
        fn is_gone(&self, _: Owner) -> bool {
            false
        }
        fn runnable(&self, _: Owner) -> Option<u64> {
            self.1
        }
    }

    fn table() -> Table {
        Table([1, 7, 9, 11].map(AtomicU32::new), None)
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
    fn a_lock_that_is_held_briefly_is_waited_for_and_one_that_is_kept_is_not() {
        let (kept, word) = (table(), AtomicU64::new(B.bits()));
        let began = clock::now();
        assert_eq!(
            LockRef::new(&word, &kept, A).acquire_brief(Some(0), &|| 0, &mut || true),
            Acquired::TimedOut
        );
        assert!(clock::now() - began >= BRIEF.as_nanos() as u64);
        // Others have it to and fro, for as long as the machine lets them wait for a processor.
        let (table, done) = (Table(table().0, Some(5)), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::SeqCst) {
                    never(lock::give_back(&FutexGround::new(&word, &table, B), B));
                    std::thread::yield_now();
                    let _ = word.compare_exchange(0, B.bits(), Ordering::SeqCst, Ordering::SeqCst);
                }
            });
            let lock = LockRef::new(&word, &table, A);
            let taken = (0..50).filter(|_| lock.acquire_brief(Some(0), &|| 0, &mut || true) == Acquired::Yes);
            let count = taken.inspect(|_| assert_eq!(lock.release(), Unlocked::Yes)).count();
            done.store(true, Ordering::SeqCst);
            assert_eq!(count, 50);
        });
    }

    #[test]
    fn who_has_no_time_takes_a_free_lock_that_others_queue_for() {
        let (table, word) = (table(), AtomicU64::new(QUEUE | WAITERS));
        let lock = LockRef::new(&word, &table, A);
        assert_eq!(lock.acquire(Some(0), &mut || true), Acquired::Yes);
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
