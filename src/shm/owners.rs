//! The published table of owners: which processes of a tree live.
//!
//! # Entries
//!
//! | word | written by | meaning |
//! |---|---|---|
//! | `generation` | a zygote: even → odd when it takes the place for a worker, odd → even once that is gone | odd: this process lives. A futex that waiters for its locks sleep on |
//! | `pid` | the zygote after the fork | the process, for the case that nobody is left to publish its death |
//!
//! Place 0 is the root host's, which never dies: with it ends everything. Workers and hosts map the table for
//! reading alone, so no job can make a process look dead or alive.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU32, Ordering};

use super::mapping::Mapping;
use crate::sync::{OWNERS, Owner, OwnerCheck};
use crate::sys::{futex, process};

#[repr(C)]
struct Entry {
    generation: AtomicU32,
    pid: AtomicU32,
}

/// Bytes of the table, the first ones of a tree's segment.
pub(super) const LEN: usize = OWNERS * size_of::<Entry>();

/// The bytes of a fresh table's first place, that of the process with this id.
pub(super) fn first_place(pid: u32) -> [u8; size_of::<Entry>()] {
    let mut bytes = [0; size_of::<Entry>()];
    bytes[..4].copy_from_slice(&1u32.to_ne_bytes());
    bytes[4..].copy_from_slice(&pid.to_ne_bytes());
    bytes
}

/// The owner that a tree's root is.
pub(super) const ROOT: Owner = Owner { index: 0, generation: 1 };

/// The table, mapped for reading.
pub struct Owners {
    mapping: Mapping,
}

impl Owners {
    /// Maps the table at the start of a tree's segment.
    pub(super) fn map(file: impl AsFd) -> io::Result<Owners> {
        Ok(Owners { mapping: Mapping::new(file, 0, LEN, false)? })
    }

    fn entry(&self, index: u16) -> Option<&Entry> {
        entry(&self.mapping, index)
    }
}

fn entry(mapping: &Mapping, index: u16) -> Option<&Entry> {
    if usize::from(index) >= OWNERS {
        return None;
    }
    // SAFETY: the mapping is LEN bytes long and its pages exist (the creator allocated them); the place is
    // inside, aligned, and made of atomics.
    Some(unsafe { &*mapping.start().cast::<Entry>().add(usize::from(index)) })
}

impl OwnerCheck for Owners {
    fn generation(&self, index: u16) -> Option<&AtomicU32> {
        self.entry(index).map(|entry| &entry.generation)
    }

    fn is_gone(&self, owner: Owner) -> bool {
        let Some(entry) = self.entry(owner.index) else { return true };
        let pid = entry.pid.load(Ordering::SeqCst).cast_signed();
        entry.generation.load(Ordering::SeqCst) != owner.generation || (pid > 0 && process::has_ended(pid))
    }
}

/// The table as a zygote has it: for writing.
pub struct Registrar {
    mapping: Mapping,
    /// Where to look for a free place first.
    next: usize,
}

impl Registrar {
    pub(super) fn map(file: impl AsFd) -> io::Result<Registrar> {
        Ok(Registrar { mapping: Mapping::new(file, 0, LEN, true)?, next: 1 })
    }

    /// Keeps the table from the children that this process forks from now on.
    pub fn keep_from_children(&self) -> io::Result<()> {
        use rustix::mm::{Advice, madvise};
        // SAFETY: the range is this mapping, of which a child uses nothing.
        unsafe { madvise(self.mapping.start().cast(), LEN, Advice::LinuxDontFork)? };
        Ok(())
    }

    /// Takes a place for a process that is about to be forked. `None`: as many processes live as there are
    /// places.
    pub fn admit(&mut self) -> Option<Owner> {
        for step in 0..OWNERS - 1 {
            let index = 1 + (self.next - 1 + step) % (OWNERS - 1);
            if let Some(owner) = self.take(index as u16, |generation, _| generation % 2 == 0) {
                self.next = 1 + index % (OWNERS - 1);
                return Some(owner);
            }
        }
        // Some may belong to workers whose zygote was killed, so that nobody gave their places back.
        let abandoned =
            |generation, pid: u32| generation % 2 == 1 && pid != 0 && process::has_ended(pid.cast_signed());
        (1..OWNERS as u16).find_map(|index| self.take(index, abandoned))
    }

    fn take(&self, index: u16, is_free: impl Fn(u32, u32) -> bool) -> Option<Owner> {
        let entry = entry(&self.mapping, index)?;
        let current = entry.generation.load(Ordering::SeqCst);
        if !is_free(current, entry.pid.load(Ordering::SeqCst)) {
            return None;
        }
        // Other zygotes of the tree look for places too.
        let generation = current.wrapping_add(1) | 1;
        entry.generation.compare_exchange(current, generation, Ordering::SeqCst, Ordering::SeqCst).ok()?;
        entry.pid.store(0, Ordering::SeqCst);
        Some(Owner { index, generation })
    }

    /// Notes which process it is.
    pub fn introduce(&self, owner: Owner, pid: i32) {
        if let Some(entry) = entry(&self.mapping, owner.index) {
            entry.pid.store(pid.cast_unsigned(), Ordering::SeqCst);
        }
    }

    /// Publishes that a process is gone, and wakes whoever waits for its locks.
    pub fn bury(&self, owner: Owner) {
        if let Some(entry) = entry(&self.mapping, owner.index) {
            let dead = owner.generation.wrapping_add(1);
            let _ =
                entry.generation.compare_exchange(owner.generation, dead, Ordering::SeqCst, Ordering::SeqCst);
            futex::wake_all(&entry.generation);
        }
    }
}
