//! An object's lock, taken: what its holder can do with the content.

use std::sync::atomic::Ordering;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

use super::halves::{LARGEST, half_at, half_in_file, half_size};
use super::header::{SMALL_AT, SMALL_HALF};
use super::segment::{Object, name_of};
use crate::shared::unreadable::Unreadable;
use crate::shm::{RegionError, open_named};

/// Pairs up to this one, of 32 KiB a half, keep their pages once they have them: giving back and taking anew
/// would cost more than they are worth. So this process needs to make sure of them once.
const KEPT: u32 = 4;

fn present_bit(pair: u32, half: usize) -> u32 {
    1 << (pair * 2 + half as u32)
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

    /// First byte of a half, with `len` bytes from there mapped; `None` where the numbers are none of this layout,
    /// or the address space is full. Valid until the next call with a larger pair.
    pub fn half(&self, pair: u32, half: usize, len: usize) -> Option<*mut u8> {
        if half > 1 || !self.object.has(pair) || len > half_size(pair) {
            return None;
        }
        if pair == 0 {
            // SAFETY: both small halves lie in the header's page.
            return Some(unsafe { self.object.header.start().add(SMALL_AT + half * SMALL_HALF) });
        }
        let start = half_at(pair, half);
        // SAFETY: the lock is held, so no other thread uses the mapping; see `Object::content`.
        let content = unsafe { &mut *self.object.content.get() };
        if start + len > content.len() {
            // Whole pairs: the other half is wanted next.
            content.grow(half_at(pair, 2)).ok()?;
        }
        // SAFETY: start..start+len is mapped now.
        Some(unsafe { content.start().add(start) })
    }

    /// Makes sure that the first `len` bytes of a half can be written. The half was asked for with [`Guard::half`].
    pub fn make_writable(&self, pair: u32, half: usize, len: usize) -> Result<(), RegionError> {
        self.make_writable_from(pair, half, 0, len)
    }

    /// The same for the bytes from `start` to `end`.
    pub fn make_writable_from(
        &self,
        pair: u32,
        half: usize,
        start: usize,
        end: usize,
    ) -> Result<(), RegionError> {
        if pair == 0 || start >= end || self.is_present(pair, half) {
            return Ok(());
        }
        let first = half_at(pair, half);
        // SAFETY: as in `half`.
        let content = unsafe { &*self.object.content.get() };
        if pair <= KEPT {
            content.reserve(first, first + half_size(pair))?;
            self.note_present(pair, half);
            return Ok(());
        }
        content.reserve(first + start, first + end)
    }

    /// Makes sure that the first `len` bytes of a half exist, without taking up memory for what was never written.
    /// `None`: they do not, so whatever says that content stands there lies.
    pub fn make_readable(&self, pair: u32, half: usize, len: usize) -> Option<()> {
        if pair <= KEPT || self.object.tree.is_confined() {
            return self.make_writable(pair, half, len).ok();
        }
        let start = half_in_file(pair, half)? as u64;
        let file = match open_named(&name_of(self.object.tree.name(), self.object.id)) {
            Ok(file) => file,
            // Without descriptors there is no way to tell, and what stands there is hardly ever a lie.
            Err(Errno::MFILE | Errno::NFILE) => return self.make_writable(pair, half, len).ok(),
            Err(_) => return None,
        };
        let hole = rustix::fs::seek(&file, SeekFrom::Hole(start)).ok()?;
        (hole >= start + len as u64).then_some(())
    }

    /// Whether all pages of a half are known to exist, and stay.
    fn is_present(&self, pair: u32, half: usize) -> bool {
        pair <= KEPT && self.object.present.load(Ordering::Relaxed) & present_bit(pair, half) != 0
    }

    fn note_present(&self, pair: u32, half: usize) {
        self.object.present.fetch_or(present_bit(pair, half), Ordering::Relaxed);
    }

    /// Gives the pages of a whole pair back, whose content nobody wants. Small pairs keep theirs.
    pub fn release_pair(&self, pair: u32) {
        if pair > KEPT && self.object.has(pair) {
            // SAFETY: as in `half`.
            unsafe { &*self.object.content.get() }.release(half_at(pair, 0), half_at(pair, 2));
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
