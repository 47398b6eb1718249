//! The tree's numbered locks: a table in shared memory from numbers to lock words.
//!
//! An entry is found by its number without any lock, then its word is taken, then its number is looked at once
//! more: between the two the entry may have been given to another number.
//!
//! # Entries
//!
//! | word | written by | meaning |
//! |---|---|---|
//! | `used` | whoever gives the entry its first number, holding the table's lock | 0: never had a number, so a search ends here |
//! | `id` | the same; later whoever holds both the table's lock and the entry's | the number |
//! | `word` | see `sync::word` | the lock |
//!
//! Entries are never emptied. One whose lock is free, or whose owner died with it, can get another number when a new
//! one finds no room near its place. For a number without an entry alone the table's lock is taken.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};

use super::bytes::Atomics;
use super::error::RegionError;
use super::mapping::Mapping;
use super::owners::{self, Owners};
use super::seen::Seen;
use super::waiting::{Awaited, waiting};
use crate::observe::trace;
use crate::sync::{Acquired, LockRef, Owner, Unlocked, holder};
use crate::sys::PAGE;

#[repr(C)]
struct Entry {
    word: AtomicU64,
    id: AtomicI64,
    used: AtomicU32,
    _rest: [AtomicU32; 3],
}

/// Numbers that can have an entry.
pub const LOCKS: usize = 1 << 15;
/// Entries in which a number is looked for.
const REACH: usize = 128;
const ENTRIES_AT: usize = PAGE;
/// Bytes of the table, which follows that of owners.
pub(super) const LEN: usize = ENTRIES_AT + LOCKS * size_of::<Entry>();
const PER_PAGE: usize = PAGE / size_of::<Entry>();
const _: () = assert!(PAGE.is_multiple_of(size_of::<Entry>()));

/// The table, mapped.
pub struct LockTable {
    mapping: Mapping,
    /// Pages that are known to exist, the first one and those of the entries.
    present: Vec<AtomicBool>,
}

// SAFETY: it is made of atomic integers.
unsafe impl Atomics for Entry {}

/// A numbered lock that is held.
#[derive(Clone, Copy, Debug)]
pub struct HeldNumber {
    /// The number.
    pub id: i64,
    /// Who holds it.
    pub owner: Owner,
}

/// The locks of the table in a tree's segment that somebody holds, as others see it.
pub(super) fn seen(tree: &Seen) -> Vec<HeldNumber> {
    let mut held = Vec::new();
    let start = owners::LEN + ENTRIES_AT;
    for page in (start..start + LOCKS * size_of::<Entry>()).step_by(PAGE) {
        if !tree.has_data(page, page + PAGE) {
            continue;
        }
        let entries: Vec<Entry> = tree.read(page, PER_PAGE).unwrap_or_default();
        held.extend(entries.iter().filter(|entry| entry.used.load(Ordering::Relaxed) != 0).filter_map(
            |entry| {
                let owner = holder(entry.word.load(Ordering::Relaxed))?;
                Some(HeldNumber { id: entry.id.load(Ordering::Relaxed), owner })
            },
        ));
    }
    held
}

impl Entry {
    fn is_fresh(&self, _: &Seeker<'_>) -> bool {
        self.used.load(Ordering::SeqCst) == 0
    }

    fn is_unlocked(&self, seeker: &Seeker<'_>) -> bool {
        LockRef::new(&self.word, seeker.owners, seeker.me).is_free()
    }

    fn is_abandoned(&self, seeker: &Seeker<'_>) -> bool {
        LockRef::new(&self.word, seeker.owners, seeker.me).is_abandoned()
    }
}

/// Why a number has no lock.
#[derive(Debug)]
pub enum LockTableError {
    /// The entries near its place are all held.
    Full,
    /// The table cannot grow.
    Memory(RegionError),
    /// Waiting for the table itself was given up: its owner was stopped.
    Stopped,
    /// The table's own lock could not be had in time.
    Busy,
}

/// Who takes a lock, and how long.
pub struct Seeker<'a> {
    /// The table of owners.
    pub owners: &'a Owners,
    /// This process.
    pub me: Owner,
    /// When to give up, as in [`LockRef::acquire`].
    pub end: Option<u64>,
}

impl LockTable {
    pub(super) fn map(file: impl AsFd) -> io::Result<LockTable> {
        let mapping = Mapping::new(file, owners::LEN, LEN, true)?;
        let present = (0..LEN / PAGE).map(|_| AtomicBool::new(false)).collect();
        Ok(LockTable { mapping, present })
    }

    /// Takes the lock of a number.
    pub fn acquire(
        &self,
        id: i64,
        seeker: &Seeker<'_>,
        patience: &mut dyn FnMut() -> bool,
    ) -> Result<Acquired, LockTableError> {
        loop {
            let Some(entry) = self.find(id)? else {
                match self.give_entry(id, seeker, patience)? {
                    Some(acquired) => return Ok(acquired),
                    None => continue,
                }
            };
            let lock = LockRef::new(&entry.word, seeker.owners, seeker.me);
            let is_still = || entry.id.load(Ordering::SeqCst) == id;
            // Between two owners the entry can be given to another number, whose owner is not to be waited for.
            let acquired = lock.try_acquire().unwrap_or_else(|| {
                let _span = trace::span("wait", || format!("lock {id}"));
                waiting(Awaited::Lock(id), || lock.acquire(seeker.end, &mut || is_still() && patience()))
            });
            match acquired {
                acquired @ (Acquired::Yes | Acquired::Abandoned) if is_still() => return Ok(acquired),
                Acquired::Yes | Acquired::Abandoned => {
                    lock.release();
                }
                Acquired::Stopped if !is_still() => {}
                acquired => return Ok(acquired),
            }
        }
    }

    /// Gives the lock of a number back.
    pub fn release(&self, id: i64, owners: &Owners, me: Owner) -> Result<Unlocked, LockTableError> {
        let found = self.find(id)?;
        Ok(found.map_or(Unlocked::NotHeld, |entry| LockRef::new(&entry.word, owners, me).release()))
    }

    fn find(&self, id: i64) -> Result<Option<&Entry>, LockTableError> {
        for step in 0..REACH {
            let entry = self.entry(id, step)?;
            if entry.used.load(Ordering::SeqCst) == 0 {
                return Ok(None);
            }
            if entry.id.load(Ordering::SeqCst) == id {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// Finds an entry for a number that has none, and takes it. `None`: somebody else was faster.
    fn give_entry(
        &self,
        id: i64,
        seeker: &Seeker<'_>,
        patience: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Acquired>, LockTableError> {
        self.make_present(0)?;
        let table = LockRef::new(self.mapping.bytes().words(0), seeker.owners, seeker.me);
        match table.acquire_brief(seeker.end, &|| 0, patience) {
            Acquired::TimedOut => return Err(LockTableError::Busy),
            Acquired::Stopped => return Err(LockTableError::Stopped),
            // Each of its owner's steps leaves the table sound.
            Acquired::Yes | Acquired::Abandoned => {}
        }
        let outcome = self.claim(id, seeker);
        table.release();
        outcome
    }

    fn claim(&self, id: i64, seeker: &Seeker<'_>) -> Result<Option<Acquired>, LockTableError> {
        if self.find(id)?.is_some() {
            return Ok(None);
        }
        // One that never had a number, then one that nobody holds, then one whose owner died with it.
        for is_to_be_had in [Entry::is_fresh, Entry::is_unlocked, Entry::is_abandoned] {
            for step in 0..REACH {
                let entry = self.entry(id, step)?;
                if !is_to_be_had(entry, seeker) {
                    continue;
                }
                if entry.used.load(Ordering::SeqCst) == 0 {
                    // All entries before this one are in use, and this one has to be before it is locked: a death
                    // in between would leave one at which searches end, and that can be given to nobody.
                    entry.id.store(id, Ordering::SeqCst);
                    entry.used.store(1, Ordering::SeqCst);
                    return Ok(None);
                }
                let lock = LockRef::new(&entry.word, seeker.owners, seeker.me);
                // It is free, or dead: this waits for nobody, unless somebody was faster.
                if matches!(lock.acquire(Some(0), &mut || false), Acquired::Yes | Acquired::Abandoned) {
                    entry.id.store(id, Ordering::SeqCst);
                    return Ok(Some(Acquired::Yes));
                }
            }
        }
        Err(LockTableError::Full)
    }

    fn entry(&self, id: i64, step: usize) -> Result<&Entry, LockTableError> {
        // Fibonacci hashing: neighbours land far from each other.
        let hash = id.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - LOCKS.ilog2());
        let index = (hash as usize + step) % LOCKS;
        self.make_present(1 + index / PER_PAGE)?;
        Ok(self.mapping.bytes().words(ENTRIES_AT + index * size_of::<Entry>()))
    }

    /// Even a look at a page that is not there creates it, or raises SIGBUS where there is no room.
    fn make_present(&self, page: usize) -> Result<(), LockTableError> {
        if !self.present[page].load(Ordering::Relaxed) {
            self.mapping.bytes().reserve(page * PAGE..(page + 1) * PAGE).map_err(LockTableError::Memory)?;
            self.present[page].store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

    use super::*;
    use crate::sys::clock;

    /// A tree's tables in a file of their own, with this process in place 0 and others that live in 1 and 2.
    struct Tables {
        owners: Owners,
        locks: LockTable,
        live: [Owner; 3],
        dead: Owner,
    }

    fn tables() -> Tables {
        let file = memfd_create("tables", MemfdFlags::CLOEXEC).unwrap();
        ftruncate(&file, (owners::LEN + LEN) as u64).unwrap();
        let mut registrar = owners::Registrar::map(&file, "").unwrap();
        let mut admit = || registrar.admit().unwrap();
        let (live, dead) = ([admit(), admit(), admit()], admit());
        registrar.bury(dead);
        Tables { owners: Owners::map(&file, "").unwrap(), locks: LockTable::map(&file).unwrap(), live, dead }
    }

    impl Tables {
        fn seeker(&self, who: usize, time: Duration) -> Seeker<'_> {
            Seeker { owners: &self.owners, me: self.live[who], end: Some(clock::after(time)) }
        }

        fn acquire(&self, id: i64, who: usize) -> Acquired {
            let seeker = self.seeker(who, Duration::from_millis(30));
            self.locks.acquire(id, &seeker, &mut || true).unwrap()
        }
    }

    /// Another process's hold of a lock: this thread would only take it once more.
    fn hold_as(tables: &Tables, id: i64, owner: Owner) {
        assert_eq!(tables.acquire(id, 0), Acquired::Yes);
        assert_eq!(tables.locks.release(id, &tables.owners, tables.live[0]).unwrap(), Unlocked::Yes);
        tables.locks.find(id).unwrap().unwrap().word.store(word_of(owner), Ordering::SeqCst);
    }

    fn word_of(owner: Owner) -> u64 {
        u64::from(owner.generation) << 32 | u64::from(owner.index) << 2
    }

    #[test]
    fn a_number_has_one_entry_whatever_a_death_left_before_it() {
        let tables = tables();
        // Numbers whose search begins at the same entry.
        let at = |id: i64| std::ptr::from_ref(tables.locks.entry(id, 0).unwrap());
        let (first, second) = (7, (8..).find(|id| at(*id) == at(7)).unwrap());
        hold_as(&tables, first, tables.live[1]);
        // The next entry is locked by a dead process, but was never given to a number.
        let next = tables.locks.entry(first, 1).unwrap();
        next.word.store(word_of(tables.dead), Ordering::SeqCst);
        assert_eq!(tables.acquire(second, 0), Acquired::Abandoned);
        assert_eq!(tables.locks.release(second, &tables.owners, tables.live[0]).unwrap(), Unlocked::Yes);
        // Had it got an entry behind that one, nobody would find it.
        hold_as(&tables, second, tables.live[2]);
        assert_eq!(tables.acquire(second, 0), Acquired::TimedOut);
    }

    #[test]
    fn locks_of_the_dead_do_not_fill_the_table() {
        let tables = tables();
        let neighbours: Vec<&Entry> = (0..REACH).map(|step| tables.locks.entry(1, step).unwrap()).collect();
        for (number, entry) in neighbours.iter().enumerate() {
            entry.id.store(1_000_000 + number as i64, Ordering::SeqCst);
            entry.used.store(1, Ordering::SeqCst);
            entry.word.store(word_of(tables.live[1]), Ordering::SeqCst);
        }
        let seeker = tables.seeker(0, Duration::from_millis(30));
        let full = tables.locks.acquire(1, &seeker, &mut || true);
        assert!(matches!(full, Err(LockTableError::Full)), "{full:?}");
        neighbours[99].word.store(word_of(tables.dead), Ordering::SeqCst);
        assert_eq!(tables.acquire(1, 0), Acquired::Yes);
        assert_eq!(tables.locks.release(1, &tables.owners, tables.live[0]).unwrap(), Unlocked::Yes);
    }

    #[test]
    fn a_waiter_does_not_wait_for_the_owner_of_another_number_that_got_the_entry() {
        let tables = tables();
        hold_as(&tables, 5, tables.live[1]);
        let entry = tables.locks.find(5).unwrap().unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let seeker = tables.seeker(2, Duration::from_secs(20));
                let acquired = tables.locks.acquire(5, &seeker, &mut || true).unwrap();
                (acquired, tables.locks.release(5, &tables.owners, tables.live[2]).unwrap())
            });
            // It sleeps once it has marked the word.
            while entry.word.load(Ordering::SeqCst) & 1 == 0 {
                std::thread::yield_now();
            }
            // The lock was given back and the entry taken for another number, whose owner keeps it.
            entry.id.store(6, Ordering::SeqCst);
            assert_eq!(waiter.join().unwrap(), (Acquired::Yes, Unlocked::Yes));
        });
    }
}
