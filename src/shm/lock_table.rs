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
//! | `id` | whoever holds both the table's lock and the entry's | the number |
//! | `word` | see `sync::word` | the lock |
//!
//! Entries are never emptied. One whose lock is free can get another number when a new one finds no room near its
//! place; only then the table's lock is taken.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};

use super::mapping::{Mapping, PAGE};
use super::owners::{self, Owners};
use super::region::RegionError;
use crate::sync::{Acquired, LockRef, Owner, Unlocked};

#[repr(C)]
struct Entry {
    word: AtomicU64,
    id: AtomicI64,
    used: AtomicU32,
    _rest: [u32; 3],
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

/// Why a number has no lock.
#[derive(Debug)]
pub enum LockTableError {
    /// The entries near its place are all held.
    Full,
    /// The table cannot grow.
    Memory(RegionError),
    /// Waiting for the table itself was given up: its owner was stopped.
    Stopped,
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
            let acquired = lock.acquire(seeker.end, patience);
            let taken = matches!(acquired, Acquired::Yes | Acquired::Abandoned);
            if !taken || entry.id.load(Ordering::SeqCst) == id {
                return Ok(acquired);
            }
            lock.release();
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
        // SAFETY: the first page of the mapping exists; it begins with this word, an atomic.
        let word = unsafe { &*self.mapping.start().cast::<AtomicU64>() };
        let table = LockRef::new(word, seeker.owners, seeker.me);
        match table.acquire(seeker.end, patience) {
            Acquired::TimedOut => return Ok(Some(Acquired::TimedOut)),
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
        for step in 0..REACH {
            let entry = self.entry(id, step)?;
            // A free one: nobody holds it, and nobody waits for it.
            if entry.word.load(Ordering::SeqCst) != 0 {
                continue;
            }
            if LockRef::new(&entry.word, seeker.owners, seeker.me).try_acquire().is_some() {
                entry.id.store(id, Ordering::SeqCst);
                entry.used.store(1, Ordering::SeqCst);
                return Ok(Some(Acquired::Yes));
            }
        }
        Err(LockTableError::Full)
    }

    fn entry(&self, id: i64, step: usize) -> Result<&Entry, LockTableError> {
        // Fibonacci hashing: neighbours land far from each other.
        let hash = id.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - LOCKS.ilog2());
        let index = (hash as usize + step) % LOCKS;
        self.make_present(1 + index / PER_PAGE)?;
        // SAFETY: index < LOCKS, so the entry lies in the mapping of LEN bytes, aligned; its page exists. It is
        // made of atomics, and of bytes that nobody uses.
        Ok(unsafe { &*self.mapping.start().add(ENTRIES_AT).cast::<Entry>().add(index) })
    }

    /// Even a look at a page that is not there creates it, or raises SIGBUS where there is no room.
    fn make_present(&self, page: usize) -> Result<(), LockTableError> {
        if !self.present[page].load(Ordering::Relaxed) {
            self.mapping.reserve(page * PAGE, (page + 1) * PAGE).map_err(LockTableError::Memory)?;
            self.present[page].store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}
