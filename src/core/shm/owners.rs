//! The published table of owners: which processes of a tree live.
//!
//! # Entries
//!
//! | word | written by | meaning |
//! |---|---|---|
//! | `generation` | a zygote: even → odd when it takes the place for a worker, odd → even once that is gone. A host: even → odd when it takes a place for itself | odd: this process lives, or nobody was there to publish its death; 0: the place was never taken. A futex that waiters for its locks sleep on |
//! | `pid` | the zygote after the fork, or the host itself; 0 once nothing of the process is left | the process, for the case that nobody is left to publish its death; with [`HOST`] in it the place is a host's. A place with one is not given away while that lives |
//!
//! Place 0 is the root's; those that are forked from it take others. No supervisor publishes a host's death at once: a host
//! holds a lock on the file as long as it lives, see [`super::presence`], and those who have waited for a while ask for it.
//! Processes map the table for reading alone, but for the moment in which a host takes its place. So no job can make a
//! process look dead or alive, unless it means harm and is not confined.
//!
//! The generations of a place begin with a random number. A lock word that a process gone mad has damaged, were it
//! by a single bit, then names nobody who lives; with small numbers it would name somebody else, who never gives the
//! lock back.

use std::collections::HashMap;
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU32, Ordering};

use super::bytes::Atomics;
use super::confined::is_confined;
use super::file::SharedFile;
use super::mapping::Mapping;
use super::presence::{self, Presence};
use super::seen::Seen;
use crate::sync::{OWNERS, Owner, OwnerCheck};
use crate::sys::{futex, process};

#[repr(C)]
struct Entry {
    generation: AtomicU32,
    pid: AtomicU32,
}

/// Bytes of the table, the first ones of a tree's segment.
pub(super) const LEN: usize = OWNERS * size_of::<Entry>();

/// In `pid`: the place is a host's. Process ids are smaller, PID_MAX_LIMIT.
const HOST: u32 = 1 << 31;

/// The root of a fresh table, this process: which owner it is, and the bytes of its place, the first. `file` is the tree's,
/// as in [`Registrar::admit_host`].
pub(super) fn root(file: &SharedFile) -> (Owner, [u8; size_of::<Entry>()], Option<Presence>) {
    let (pid, presence) = introduction(Some(file), 0);
    let owner = Owner { index: 0, generation: first_generation() };
    let mut bytes = [0; size_of::<Entry>()];
    bytes[..4].copy_from_slice(&owner.generation.to_ne_bytes());
    bytes[4..].copy_from_slice(&pid.to_ne_bytes());
    (owner, bytes, presence)
}

/// What a host writes to its entry's `pid`, and why that is true. Where the kernel grants no such claim, its process id
/// has to do.
fn introduction(file: Option<&SharedFile>, index: u16) -> (u32, Option<Presence>) {
    let presence = file.and_then(|file| Presence::claim(file, index).ok().flatten());
    let pid = std::process::id();
    (presence.as_ref().map_or(pid, |_| pid | HOST), presence)
}

/// Where the generations of a place begin: a random odd number.
fn first_generation() -> u32 {
    let mut bytes = [0; 4];
    // A system that gives none leaves small numbers, which are as good as long as nobody goes mad.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    u32::from_ne_bytes(bytes) | 1
}

/// The table, mapped for reading.
pub struct Owners {
    mapping: Mapping,
    /// Name of the tree's segment.
    name: String,
}

impl Owners {
    /// Maps the table at the start of the tree's segment `name`.
    pub(super) fn map(file: impl AsFd, name: &str) -> io::Result<Owners> {
        Ok(Owners { mapping: Mapping::new(file, 0, LEN, false)?, name: name.to_owned() })
    }

    fn entry(&self, index: u16) -> Option<&Entry> {
        entry(&self.mapping, index)
    }

    /// The same for writing, for a host that cannot open the file any more.
    pub(super) fn registrar(&self) -> io::Result<Registrar> {
        Ok(Registrar { mapping: self.mapping.writable()?, name: self.name.clone(), next: 1 })
    }
}

// SAFETY: it is made of atomic integers.
unsafe impl Atomics for Entry {}

/// The table in a tree's segment as others see it: generation and process id of those who live, by place.
pub(super) fn seen(tree: &Seen) -> Option<HashMap<u16, (u32, i32)>> {
    let entries: Vec<Entry> = tree.read(0, OWNERS)?;
    let live = entries.iter().enumerate().filter_map(|(index, entry)| {
        let generation = entry.generation.load(Ordering::Relaxed);
        let pid = process_id(entry.pid.load(Ordering::Relaxed));
        (generation % 2 == 1).then_some((index as u16, (generation, pid)))
    });
    Some(live.collect())
}

fn entry(mapping: &Mapping, index: u16) -> Option<&Entry> {
    // The pages exist: the creator allocated them.
    let index = usize::from(index);
    (index < OWNERS).then(|| mapping.bytes().words(index * size_of::<Entry>()))
}

/// The process in an entry's `pid`, 0 for none.
fn process_id(pid: u32) -> i32 {
    (pid & !HOST).cast_signed()
}

/// Whether the process of a place is gone that nobody has published to be.
fn is_dead(name: &str, index: u16, pid: u32) -> bool {
    if pid & HOST != 0
        && let Some(present) = presence::is_present(name, index)
    {
        return !present;
    }
    process_id(pid) > 0 && process::has_ended(process_id(pid))
}

impl OwnerCheck for Owners {
    fn generation(&self, index: u16) -> Option<&AtomicU32> {
        self.entry(index).map(|entry| &entry.generation)
    }

    fn is_gone(&self, owner: Owner) -> bool {
        let Some(entry) = self.entry(owner.index) else { return true };
        let pid = entry.pid.load(Ordering::SeqCst);
        entry.generation.load(Ordering::SeqCst) != owner.generation
            || (!is_confined() && is_dead(&self.name, owner.index, pid))
    }

    fn runnable(&self, owner: Owner) -> Option<u64> {
        let pid = process_id(self.entry(owner.index)?.pid.load(Ordering::SeqCst));
        (pid > 0 && !is_confined()).then(|| process::cpu_time_of_runnable(pid))?
    }
}

/// What follows the generation of a process that is gone: even, but not zero, which is a place that nobody ever had.
fn next(generation: u32) -> u32 {
    generation.checked_add(1).unwrap_or(2)
}

/// The table for writing: as a zygote has it, and for a moment a host.
pub struct Registrar {
    mapping: Mapping,
    /// Name of the tree's segment.
    name: String,
    /// Where to look for a free place first.
    next: usize,
}

impl Registrar {
    pub(super) fn map(file: impl AsFd, name: &str) -> io::Result<Registrar> {
        Ok(Registrar { mapping: Mapping::new(file, 0, LEN, true)?, name: name.to_owned(), next: 1 })
    }

    /// Keeps the table from the children that this process forks from now on.
    pub fn keep_from_children(&self) -> io::Result<()> {
        self.mapping.keep_from_children()
    }

    /// Takes a place for a process that is about to be forked. `None`: as many processes live as there are
    /// places.
    pub fn admit(&mut self) -> Option<Owner> {
        for step in 0..OWNERS - 1 {
            let index = 1 + (self.next - 1 + step) % (OWNERS - 1);
            if let Some(owner) = self.take(index as u16, |generation, pid| generation % 2 == 0 && pid == 0) {
                self.next = 1 + index % (OWNERS - 1);
                return Some(owner);
            }
        }
        // Some may belong to hosts that have ended, or to workers whose zygote was killed: nobody gave their places back.
        (1..OWNERS as u16).find_map(|index| self.take(index, |_, pid| is_dead(&self.name, index, pid)))
    }

    /// Takes a place for this process, a host; `None` as in [`admit`](Registrar::admit). `file` is the tree's, opened for
    /// this; it may be closed afterwards. A host that has none is known by its process id.
    pub(super) fn admit_host(&mut self, file: Option<&SharedFile>) -> Option<(Owner, Option<Presence>)> {
        let owner = self.admit()?;
        // The claim comes before others read whose place this is, and look for it.
        let (pid, presence) = introduction(file, owner.index);
        self.introduce(owner, pid.cast_signed());
        Some((owner, presence))
    }

    /// Publishes the deaths of hosts, for which they had nobody; whether there were any.
    pub fn bury_hosts(&self) -> bool {
        let mut found = false;
        for index in 0..OWNERS as u16 {
            let Some(entry) = entry(&self.mapping, index) else { continue };
            let generation = entry.generation.load(Ordering::SeqCst);
            let pid = entry.pid.load(Ordering::SeqCst);
            if pid & HOST != 0 && generation % 2 == 1 && is_dead(&self.name, index, pid) {
                let owner = Owner { index, generation };
                self.bury(owner);
                self.vacate(owner);
                found = true;
            }
        }
        found
    }

    fn take(&self, index: u16, is_free: impl Fn(u32, u32) -> bool) -> Option<Owner> {
        let entry = entry(&self.mapping, index)?;
        let current = entry.generation.load(Ordering::SeqCst);
        if !is_free(current, entry.pid.load(Ordering::SeqCst)) {
            return None;
        }
        // Other zygotes of the tree look for places too.
        let generation = if current == 0 { first_generation() } else { current.wrapping_add(1) | 1 };
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

    /// Publishes that a process is gone, and wakes whoever waits for its locks. Its place stays its own until
    /// [`vacate`](Registrar::vacate): what it held is noted under the place's number.
    ///
    /// Doing this again does no harm, for whoever does it may be killed and another go on.
    pub fn bury(&self, owner: Owner) {
        if let Some(entry) = entry(&self.mapping, owner.index) {
            let (alive, dead) = (owner.generation, next(owner.generation));
            let _ = entry.generation.compare_exchange(alive, dead, Ordering::SeqCst, Ordering::SeqCst);
            futex::wake_all(&entry.generation);
        }
    }

    /// Lets others have the place of a process that was buried, and of which nothing is left.
    pub fn vacate(&self, owner: Owner) {
        if let Some(entry) = entry(&self.mapping, owner.index)
            && entry.generation.load(Ordering::SeqCst) == next(owner.generation)
        {
            entry.pid.store(0, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

    use super::*;

    #[test]
    fn a_damaged_number_of_a_live_process_names_no_other_that_lives() {
        let file = memfd_create("owners", MemfdFlags::CLOEXEC).unwrap();
        ftruncate(&file, LEN as u64).unwrap();
        let mut registrar = Registrar::map(&file, "").unwrap();
        let live: Vec<Owner> = (0..64).map(|_| registrar.admit().unwrap()).collect();
        let table = Owners::map(&file, "").unwrap();
        let lives = |owner: Owner| {
            let current = table.generation(owner.index).map(|entry| entry.load(Ordering::SeqCst));
            owner.generation != 0 && current == Some(owner.generation)
        };
        for owner in live {
            assert!(lives(owner) && owner.generation % 2 == 1);
            for bit in 0..14 {
                assert!(!lives(Owner { index: owner.index ^ 1 << bit, ..owner }), "{owner:?}, bit {bit}");
            }
            for bit in 0..32 {
                assert!(!lives(Owner { generation: owner.generation ^ 1 << bit, ..owner }));
            }
        }
    }

    #[test]
    fn a_place_has_another_generation_each_time_also_where_numbers_begin_anew() {
        let file = memfd_create("owners", MemfdFlags::CLOEXEC).unwrap();
        ftruncate(&file, LEN as u64).unwrap();
        let registrar = Registrar::map(&file, "").unwrap();
        let entry = entry(&registrar.mapping, 3).unwrap();
        for (before, alive, buried) in [(u32::MAX - 1, u32::MAX, 2), (2, 3, 4), (4, 5, 6)] {
            entry.generation.store(before, Ordering::SeqCst);
            let owner = registrar.take(3, |generation, _| generation % 2 == 0).unwrap();
            assert_eq!(owner.generation, alive);
            registrar.bury(owner);
            assert_eq!(entry.generation.load(Ordering::SeqCst), buried);
        }
    }
}
