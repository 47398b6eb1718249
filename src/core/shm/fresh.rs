//! Mailboxes of sandboxed workers. Each is a file of its own, made for one worker and never used before: what others wrote or were sent
//! is not there, and whoever kept a mapping of an earlier one has no part in it.
//!
//! `SESSION.SLOT.NUMBER.box`. Whoever takes a slot for such a worker makes the file and writes its number into the slot's entry.
//! Every process maps it in place of the slot's mailbox in the session's segment, so that nothing else is different: host and
//! zygote when they come to the slot next, the worker before it reads a byte of its job. Who frees the slot removes the name.
//!
//! A spare that waits for any job has the session's own mailbox. If it gets a sandboxed one it goes over to a new file before it
//! reads anything.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;

use super::bitmap::SLOTS;
use super::error::RegionError;
use super::file::SharedFile;
use super::layout;
use super::mailbox::Mailbox;
use super::segment::Segment;

/// Numbers leave one bit of their word.
const MOST: u32 = u32::MAX >> 1;

/// Stands for no file at all.
const NOTHING: u32 = u32::MAX;

/// Which files this process has mapped in place of mailboxes.
pub(super) struct Places {
    /// By slot the number of the file; 0 where the mailbox is the session's own.
    mapped: Vec<AtomicU32>,
    /// Held while a place changes: two threads may come to the same slot.
    changing: Mutex<()>,
    /// Whether what is mapped there is kept from children.
    pub(super) hidden: AtomicBool,
}

impl Places {
    pub(super) fn new() -> Places {
        let mapped = (0..SLOTS).map(|_| AtomicU32::new(0)).collect();
        Places { mapped, changing: Mutex::new(()), hidden: AtomicBool::new(false) }
    }

    pub(super) fn is(&self, index: u32, number: u32) -> bool {
        self.mapped.get(index as usize).is_some_and(|mapped| mapped.load(Ordering::Acquire) == number)
    }
}

impl Segment {
    /// Name of the file with a slot's mailbox.
    pub(super) fn own_name(&self, index: u32, number: u32) -> String {
        own_name(self.name(), index, number)
    }

    /// Gives a slot, which is the caller's, a mailbox that nobody has ever used. Its first pages exist, and are zero.
    pub fn renew(&self, index: u32) -> Result<(), RegionError> {
        self.make(index, |_| ())
    }

    /// The same for a spare that waits there for any job: it goes over as well, and waits on.
    pub fn renew_with_spare(&self, index: u32) -> Result<(), RegionError> {
        let mailbox = self.slot(index).mailbox;
        // By the old mailbox, which is in this process's place for a moment yet.
        self.make(index, |number| mailbox.move_on(number))
    }

    fn make(&self, index: u32, made: impl FnOnce(u32)) -> Result<(), RegionError> {
        let entry = self.entry(index);
        // Each taking of a slot has its own generation, so no number comes again before the last file of it is long gone.
        let number = (entry.generation.fetch_add(1, Ordering::SeqCst).wrapping_add(1) & MOST).max(1);
        let name = self.own_name(index, number);
        SharedFile::create(&name, |file| {
            file.grow(Mailbox::LEN)?;
            file.allocate(0..Mailbox::PAYLOAD_AT + Mailbox::READY)?;
            made(number);
            entry.set_own_file(number);
            self.map_place(index, number, file, 0).map_err(file.failed("map"))
        })
    }

    /// Lets a slot, which is the caller's, have the mailbox in the session's own segment.
    pub fn restore(&self, index: u32) -> Result<(), RegionError> {
        self.entry(index).set_own_file(0);
        self.follow(index)
    }

    /// Maps a slot's mailbox as the slot's entry says it is. [`Segment::slot`] does this too, but tells of no failure; this is for
    /// who is about to use it.
    pub fn follow(&self, index: u32) -> Result<(), RegionError> {
        let number = self.entry(index).own_file();
        if self.places.is(index, number) {
            return Ok(());
        }
        let (name, offset) = match number {
            0 => (self.name().to_owned(), layout::mailbox_range(index).start),
            number => (self.own_name(index, number), 0),
        };
        SharedFile::open(&name)
            .map_err(io::Error::from)
            .and_then(|file| self.map_place(index, number, &file, offset))
            .map_err(|error| RegionError::map("open", &name, error))
    }

    fn map_place(&self, index: u32, number: u32, file: impl AsFd, offset: usize) -> io::Result<()> {
        let _changing = self.places.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.entry(index).own_file() != number {
            // Another thread has come here later and got further.
            return Ok(());
        }
        let (range, mapping) = (layout::mailbox_range(index), self.region().mapping());
        mapping.map_in_place(range.clone(), file, offset)?;
        if self.places.hidden.load(Ordering::SeqCst) {
            mapping.keep_part_from_children(range)?;
        }
        if let Some(mapped) = self.places.mapped.get(index as usize) {
            mapped.store(number, Ordering::Release);
        }
        Ok(())
    }

    /// Puts zeros in the place of a mailbox that cannot be had.
    pub(super) fn map_nothing(&self, index: u32) {
        let _changing = self.places.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mapped) = self.places.mapped.get(index as usize) else { return };
        if mapped.swap(NOTHING, Ordering::AcqRel) != NOTHING {
            self.region().mapping().blank_part(layout::mailbox_range(index));
        }
    }

    /// In a worker: maps the file of this number in place of its mailbox.
    pub fn adopt_own(&self, index: u32, number: u32) -> io::Result<Mailbox<'_>> {
        let file = SharedFile::open(&self.own_name(index, number))?;
        self.region().mapping().map_in_place(layout::mailbox_range(index), &file, 0)?;
        Ok(self.mailbox(index))
    }

    /// See [`Region::reserve`](super::region::Region::reserve), for a mailbox with a file of its own.
    pub(super) fn reserve_own(&self, index: u32, number: u32, bytes: usize) -> Result<(), RegionError> {
        match self.mailbox(index).populate(bytes) {
            Err(Errno::INVAL) => {
                let name = self.own_name(index, number);
                let file = SharedFile::open(&name).map_err(|error| RegionError::map("open", &name, error))?;
                file.allocate(0..bytes)
            }
            populated => populated.map_err(|_| RegionError::Full { bytes }),
        }
    }
}

/// Name of the file with a slot's mailbox in a session.
pub(super) fn own_name(session: &str, index: u32, number: u32) -> String {
    format!("{session}.{index}.{number}.box")
}

#[cfg(test)]
mod tests {
    use super::super::mailbox::Go;
    use super::super::stale;
    use super::*;

    /// A session as two processes have it.
    fn with_session(test: impl FnOnce(&Segment, &Segment)) {
        let name = stale::new_name().unwrap();
        let segment = Segment::create(&name, 1).unwrap();
        let _lock = stale::claim(&name).unwrap().expect("nobody else removes a session of this test");
        test(&segment, &Segment::open(&name).unwrap());
        stale::remove_session(&name);
    }

    fn names(segment: &Segment) -> Vec<String> {
        stale::listed().filter(|name| name.starts_with(&format!("{}.", segment.name()))).collect()
    }

    #[test]
    fn a_renewed_mailbox_is_empty_on_both_sides_and_what_was_before_stands_where_it_was() {
        with_session(|host, zygote| {
            host.reserve(3, Mailbox::READY).unwrap();
            host.slot(3).mailbox.write(&&b"of an earlier job"[..]);
            host.slot(3).mailbox.handles().store(7, Ordering::SeqCst);
            host.renew(3).unwrap();
            for side in [host, zygote] {
                let mailbox = side.slot(3).mailbox;
                assert_eq!(mailbox.payload().first(17).copy(), [0; 17]);
                assert_eq!(mailbox.handles().load(Ordering::SeqCst), 0);
            }
            host.slot(3).mailbox.write(&&b"new"[..]);
            assert_eq!(zygote.slot(3).mailbox.payload().first(3).copy(), b"new");
            // Once more: nothing of the one before.
            zygote.renew(3).unwrap();
            assert_eq!(host.slot(3).mailbox.payload().first(3).copy(), [0; 3]);
            zygote.clear(zygote.slot(3));
            host.restore(3).unwrap();
            assert_eq!(zygote.slot(3).mailbox.payload().first(17).copy(), b"of an earlier job");
        });
    }

    #[test]
    fn a_spare_hears_by_its_old_mailbox_where_the_new_one_is() {
        with_session(|host, worker| {
            host.reserve(0, Mailbox::READY).unwrap();
            let old = worker.mailbox(0);
            host.renew_with_spare(0).unwrap();
            assert_eq!(old.go().load(Ordering::SeqCst), Go::Moved as u32);
            host.slot(0).mailbox.publish_job(9, 4);
            let new = worker.adopt_own(0, old.generation()).unwrap();
            assert_eq!((new.generation(), new.length()), (9, 4));
        });
    }

    #[test]
    fn a_slot_that_is_cleared_leaves_no_file() {
        with_session(|host, _| {
            host.renew(5).unwrap();
            assert_eq!(names(host).len(), 1);
            host.clear(host.slot(5));
            assert_eq!(names(host), [""; 0]);
        });
    }
}
