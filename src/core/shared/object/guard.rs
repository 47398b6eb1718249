//! An object's lock, taken: what its holder can do with the content.

use std::ops::Range;
use std::sync::atomic::Ordering;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

use super::halves::{LARGEST, half_at, half_in_file, half_size};
use super::header::{SMALL_AT, SMALL_HALF, name_of};
use super::segment::Object;
use crate::observe::trace;
use crate::shared::unreadable::Unreadable;
use crate::shm::{Awaited, Mapping, Owners, RegionError, SharedBytesMut, SharedFile, TreeError, waiting};
use crate::sync::{Acquired, LockRef, Unlocked};

/// Pairs up to this one, of 32 KiB a half, keep their pages once they have them: giving back and taking anew
/// would cost more than they are worth. So this process needs to make sure of them once.
pub(in crate::shared) const KEPT: u32 = 4;

fn present_bit(pair: u32, half: usize) -> u32 {
    1 << (pair * 2 + half as u32)
}

/// What came of waiting for an object's lock, where it was not taken.
#[derive(Debug)]
pub enum LockError {
    /// The time is over.
    TimedOut,
    /// The caller wanted no more.
    Stopped,
    /// This process cannot own locks.
    NoOwner(TreeError),
}

impl Object {
    /// Takes the lock in the name of a process that is dead: the guard does not give it back, and others inherit it.
    #[cfg(test)]
    pub(in crate::shared) fn lock_as_a_dead_owner(&self) -> Guard<'_> {
        let dead = crate::sync::Owner { index: 9999, generation: 77 };
        let owners = self.tree.owners().expect("mapped since the object was");
        let taken = crate::sync::LockRef::new(&self.header().lock, owners, dead).try_acquire();
        assert_eq!(taken, Some(Acquired::Yes));
        Guard { object: self, abandoned: false }
    }

    /// Takes the object's lock if that needs no waiting.
    pub fn try_lock(&self) -> Option<Guard<'_>> {
        let lock = self.lock_ref().ok()?;
        lock.try_acquire().map(|_| Guard { object: self, abandoned: false })
    }

    /// Takes the object's lock, see [`LockRef::acquire`].
    pub fn lock(&self, end: Option<u64>, patience: &mut dyn FnMut() -> bool) -> Result<Guard<'_>, LockError> {
        self.lock_by(|lock| lock.acquire(end, patience))
    }

    /// The same where nobody keeps it, see [`LockRef::acquire_brief`].
    pub fn lock_brief(
        &self,
        end: Option<u64>,
        patience: &mut dyn FnMut() -> bool,
    ) -> Result<Guard<'_>, LockError> {
        let header = self.header();
        let uses = || {
            let [pushed, popped] =
                [&header.pushed, &header.popped].map(|word| u64::from(word.load(Ordering::SeqCst)));
            pushed << 32 | popped
        };
        self.lock_by(|lock| lock.acquire_brief(end, &uses, patience))
    }

    fn lock_by(
        &self,
        acquire: impl FnOnce(&LockRef<'_, Owners>) -> Acquired,
    ) -> Result<Guard<'_>, LockError> {
        let lock = self.lock_ref().map_err(LockError::NoOwner)?;
        let acquired = lock.try_acquire().unwrap_or_else(|| {
            let _span = trace::span("wait", || self.title());
            waiting(Awaited::Object(self.id()), || acquire(&lock))
        });
        match acquired {
            Acquired::Yes => Ok(Guard { object: self, abandoned: false }),
            Acquired::Abandoned => Ok(Guard { object: self, abandoned: true }),
            Acquired::TimedOut => Err(LockError::TimedOut),
            Acquired::Stopped => Err(LockError::Stopped),
        }
    }

    /// Gives the lock back that a [`Guard::keep`] left taken.
    pub fn unlock(&self) -> Unlocked {
        self.lock_ref().map_or(Unlocked::NotHeld, |lock| lock.release())
    }
}

/// The object's lock, taken. Dropping it gives it back once.
pub struct Guard<'a> {
    pub(super) object: &'a Object,
    pub(super) abandoned: bool,
}

impl<'a> Guard<'a> {
    /// The object.
    pub fn object(&self) -> &'a Object {
        self.object
    }

    /// Whether the last owner died holding the lock.
    pub fn abandoned(&self) -> bool {
        self.abandoned
    }

    /// Says that the content will be replaced by one that is made of it: what others in this thread write meanwhile
    /// would be lost.
    pub fn begin_change(self) -> Change<'a> {
        self.object.changing.store(true, Ordering::Relaxed);
        Change { guard: self }
    }

    /// Leaves the lock taken.
    pub fn keep(self) {
        std::mem::forget(self);
    }

    /// The smallest pair whose halves have `len` bytes, if the file has one.
    pub fn pair_for(&self, len: usize) -> Option<u32> {
        (0..=LARGEST).find(|pair| half_size(*pair) >= len).filter(|pair| self.object.has(*pair))
    }

    /// Whether this process was given the pair, which somebody says content stands in.
    pub fn reach(&self, pair: u32) -> Result<(), Unreadable> {
        if self.object.tree.is_confined() && !self.object.has(pair) {
            return Err(Unreadable::OutOfReach { limit: self.object.capacity() });
        }
        Ok(())
    }

    /// The first `len` bytes of a half, mapped; `None` where the numbers are none of this layout, or the address space is
    /// full.
    ///
    /// # Safety
    /// Others that this thread was given of this object are not used any more, if their pair is smaller: the mapping grows
    /// and may move.
    pub(in crate::shared) unsafe fn half(
        &self,
        pair: u32,
        half: usize,
        len: usize,
    ) -> Option<SharedBytesMut<'_>> {
        if half > 1 || !self.object.has(pair) || len > half_size(pair) {
            return None;
        }
        if pair == 0 {
            let start = SMALL_AT + half * SMALL_HALF;
            return Some(self.object.header.bytes().part(start..start + len));
        }
        let start = half_at(pair, half);
        if start + len > self.content().bytes().len() {
            // Whole pairs: the other half is wanted next.
            // SAFETY: the lock is held, so no other thread uses the mapping, see `Object::content`; and this one uses
            // nothing of it now, as demanded.
            unsafe { &mut *self.object.content.get() }.grow(half_at(pair, 2)).ok()?;
        }
        Some(self.content().bytes().part(start..start + len))
    }

    fn content(&self) -> &Mapping {
        // SAFETY: the lock is held, so no other thread uses the mapping, see `Object::content`; this one changes it in
        // `half` alone.
        unsafe { &*self.object.content.get() }
    }

    /// Makes sure that some bytes of a half can be written, which was asked for with `half`.
    pub fn make_writable(&self, pair: u32, half: usize, part: Range<usize>) -> Result<(), RegionError> {
        if pair == 0 || part.is_empty() || self.is_present(pair, half) {
            return Ok(());
        }
        let first = half_at(pair, half);
        if pair > KEPT {
            return self.content().bytes().reserve(first + part.start..first + part.end);
        }
        self.content().bytes().reserve(first..first + half_size(pair))?;
        self.object.present.fetch_or(present_bit(pair, half), Ordering::Relaxed);
        Ok(())
    }

    /// Makes sure that the first `len` bytes of a half exist, without taking up memory for what was never written.
    /// `None`: they do not, so whatever says that content stands there lies.
    pub fn make_readable(&self, pair: u32, half: usize, len: usize) -> Option<()> {
        if pair <= KEPT || self.object.tree.is_confined() {
            return self.make_writable(pair, half, 0..len).ok();
        }
        let start = half_in_file(pair, half)? as u64;
        let file = match SharedFile::open(&name_of(self.object.tree.name(), self.object.id)) {
            Ok(file) => file,
            // Without descriptors there is no way to tell, and what stands there is hardly ever a lie.
            Err(Errno::MFILE | Errno::NFILE) => return self.make_writable(pair, half, 0..len).ok(),
            Err(_) if !self.object.tree.is_in_reach() => return self.make_writable(pair, half, 0..len).ok(),
            Err(_) => return None,
        };
        let hole = rustix::fs::seek(&file, SeekFrom::Hole(start)).ok()?;
        (hole >= start + len as u64).then_some(())
    }

    /// Whether all pages of a half are known to exist, and stay.
    fn is_present(&self, pair: u32, half: usize) -> bool {
        pair <= KEPT && self.object.present.load(Ordering::Relaxed) & present_bit(pair, half) != 0
    }

    /// Gives the pages of a whole pair back, whose content nobody wants. Small pairs keep theirs.
    pub fn release_pair(&self, pair: u32) {
        if pair > KEPT && self.object.has(pair) {
            self.content().release(half_at(pair, 0)..half_at(pair, 2));
        }
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.object.unlock();
    }
}

/// A change under way, with the object's lock.
pub struct Change<'a> {
    guard: Guard<'a>,
}

impl<'a> Change<'a> {
    /// The lock.
    pub fn guard(&self) -> &Guard<'a> {
        &self.guard
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        // Before the lock is given back: then the mark is the next owner's.
        self.guard.object.changing.store(false, Ordering::Relaxed);
    }
}
