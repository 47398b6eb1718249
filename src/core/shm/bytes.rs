//! Memory that other processes may write at any time.
//!
//! There is never a `&[u8]` over it: a reference would promise the compiler that nobody writes there. Bytes are copied in
//! and out by pointer, and what was copied out is checked then. Words that both sides change are atomics. A copy that
//! somebody writes into meanwhile has bytes of before and of after, which is no worse than what a liar can write.

use std::collections::TryReserveError;
use std::marker::PhantomData;
use std::ops::{Deref, Range};
use std::sync::atomic::{AtomicU8, AtomicU64};

use rustix::io::Errno;
use rustix::mm::{Advice, madvise};

use super::error::RegionError;
use super::payload::Payload;
use crate::sys::PAGE;

/// A type that can be looked at while others write it, and for which every bit pattern is a value.
///
/// # Safety
/// It is made of atomic integers and nothing else that anybody looks at.
pub(crate) unsafe trait Atomics: Sized {}

// SAFETY: it is one.
unsafe impl Atomics for AtomicU64 {}

/// Gives out the words of a place in shared memory, each by a method of its name.
macro_rules! accessors {
    ($life:lifetime $words:ident: $($(#[$doc:meta])* $name:ident: $type:ty,)*) => {
        $($(#[$doc])* pub fn $name(&self) -> &$life $type { &self.$words().$name })*
    };
}
pub(super) use accessors;

/// Such bytes, to be read.
#[derive(Clone, Copy)]
pub struct SharedBytes<'a> {
    start: *mut u8,
    len: usize,
    memory: PhantomData<&'a AtomicU8>,
}

// SAFETY: the bytes stay mapped for `'a`, for all threads, and each access is one that other processes may have at
// the same time.
unsafe impl Send for SharedBytes<'_> {}
// SAFETY: as above.
unsafe impl Sync for SharedBytes<'_> {}

impl<'a> From<&'a [u8]> for SharedBytes<'a> {
    fn from(private: &'a [u8]) -> Self {
        SharedBytes { start: private.as_ptr().cast_mut(), len: private.len(), memory: PhantomData }
    }
}

impl<'a> SharedBytes<'a> {
    /// How many there are.
    pub fn len(self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len == 0
    }

    /// First byte, for whoever reads by pointer as this does.
    pub fn as_ptr(self) -> *const u8 {
        self.start
    }

    /// Some of them.
    ///
    /// # Panics
    /// Where they are not all there.
    #[inline]
    pub fn part(self, range: Range<usize>) -> SharedBytes<'a> {
        assert!(
            range.start <= range.end && range.end <= self.len,
            "the part {range:?} is one of {}",
            self.len
        );
        // SAFETY: the offset lies in the bytes, checked just now.
        SharedBytes { start: unsafe { self.start.add(range.start) }, len: range.len(), memory: PhantomData }
    }

    /// The first `len`, or as many as there are.
    pub fn first(self, len: usize) -> SharedBytes<'a> {
        self.part(0..len.min(self.len))
    }

    /// Those from `at` on, if there are any.
    pub fn after(self, at: usize) -> SharedBytes<'a> {
        self.part(at.min(self.len)..self.len)
    }

    /// Copies those from `at` on; false if there are not as many.
    pub fn read(self, at: usize, to: &mut [u8]) -> bool {
        let inside = at.checked_add(to.len()).is_some_and(|end| end <= self.len);
        if inside {
            // SAFETY: the range lies in the bytes, which are mapped; `to` is private and as long.
            unsafe { self.start.add(at).copy_to_nonoverlapping(to.as_mut_ptr(), to.len()) };
        }
        inside
    }

    /// A private copy.
    pub fn copy(self) -> Vec<u8> {
        let mut bytes = vec![0; self.len];
        self.read(0, &mut bytes);
        bytes
    }

    /// Adds a copy to a vector; an error where there is no memory for that.
    pub fn append_to(self, bytes: &mut Vec<u8>) -> Result<(), TryReserveError> {
        bytes.try_reserve_exact(self.len)?;
        // SAFETY: there is room for so many bytes behind the vector's, and then they are written.
        unsafe {
            self.start.copy_to_nonoverlapping(bytes.as_mut_ptr().add(bytes.len()), self.len);
            bytes.set_len(bytes.len() + self.len);
        }
        Ok(())
    }

    /// Reads a byte for nothing, so that this process has its page.
    pub(super) fn touch(self, at: usize) {
        // SAFETY: the byte is one of the part's; volatile, so that it is read although nobody wants it.
        unsafe { self.part(at..at + 1).start.read_volatile() };
    }
}

/// Such bytes, to be read and written. Their pages have to exist before, see [`SharedBytesMut::reserve`].
#[derive(Clone, Copy)]
pub struct SharedBytesMut<'a>(SharedBytes<'a>);

impl<'a> Deref for SharedBytesMut<'a> {
    type Target = SharedBytes<'a>;

    fn deref(&self) -> &SharedBytes<'a> {
        &self.0
    }
}

impl<'a> From<&'a mut [u8]> for SharedBytesMut<'a> {
    fn from(private: &'a mut [u8]) -> Self {
        SharedBytesMut(SharedBytes { start: private.as_mut_ptr(), len: private.len(), memory: PhantomData })
    }
}

impl<'a> SharedBytesMut<'a> {
    /// # Safety
    /// `len` bytes from `start` on stay mapped for `'a`, and there is no reference to any of them but to atomics. In a
    /// mapping for reading alone nothing is written.
    pub(super) unsafe fn new(start: *mut u8, len: usize) -> Self {
        SharedBytesMut(SharedBytes { start, len, memory: PhantomData })
    }

    /// As [`SharedBytes::part`].
    #[inline]
    pub fn part(self, range: Range<usize>) -> Self {
        SharedBytesMut(self.0.part(range))
    }

    /// The words that begin at `at`.
    #[inline]
    pub(crate) fn words<T: Atomics>(self, at: usize) -> &'a T {
        let place = self.0.part(at..at + size_of::<T>()).start.cast::<T>();
        assert!(place.is_aligned(), "words are aligned");
        // SAFETY: inside and aligned, checked just now. It consists of atomics, which others may write meanwhile, and for
        // which every bit pattern is a value.
        unsafe { &*place }
    }

    /// Writes a payload from `at` on.
    ///
    /// # Panics
    /// Where it has no room.
    pub fn write(self, mut at: usize, payload: &dyn Payload) {
        payload.each(&mut |piece| {
            self.put(at, piece);
            at += piece.len();
        });
    }

    /// The same for bytes in one piece.
    #[inline]
    pub fn put(self, at: usize, bytes: &[u8]) {
        let to = self.part(at..at.saturating_add(bytes.len()));
        // SAFETY: there is room for them, checked just now; they are none of these bytes, to which there are no references.
        unsafe { to.start.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }

    /// Copies as many from elsewhere.
    pub(crate) fn copy_from(self, from: SharedBytes<'_>) {
        assert_eq!(self.len, from.len, "a copy has the length of what it is made from");
        // SAFETY: both are mapped and of that length.
        unsafe { from.start.copy_to(self.start, self.len) };
    }

    /// Makes sure that the pages of a range exist.
    ///
    /// A store into a page that the file system cannot provide raises SIGBUS, so this comes before every first write. A
    /// kernel without the call (before Linux 5.14), or a filter of system calls, leaves the pages to come with the first write.
    pub fn reserve(self, range: Range<usize>) -> Result<(), RegionError> {
        let bytes = range.len();
        match self.populate(range) {
            Ok(()) | Err(Errno::INVAL) => Ok(()),
            Err(_) => Err(RegionError::Full { bytes }),
        }
    }

    /// The same with the kernel's answer, madvise(MADV_POPULATE_WRITE); `INVAL` where there is no such call.
    pub(super) fn populate(self, range: Range<usize>) -> Result<(), Errno> {
        let part = self.part(range);
        let before = part.start.addr() % PAGE;
        while !part.is_empty() {
            // SAFETY: whole pages are mapped, so what stands before the part in its first page is too. Contents stay.
            let populated = unsafe {
                madvise(part.start.wrapping_sub(before).cast(), before + part.len, Advice::LinuxPopulateWrite)
            };
            match populated {
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(Errno::NOSYS | Errno::PERM | Errno::ACCESS) => return Err(Errno::INVAL),
                populated => return populated,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_and_written_where_they_are_and_nowhere_else() {
        let mut memory = *b"0123456789";
        let bytes = SharedBytesMut::from(&mut memory[..]);
        bytes.part(2..8).write(1, &&b"ab"[..]);
        assert_eq!(bytes.after(2).first(4).copy(), b"2ab5");
        let mut two = [0; 2];
        assert!(bytes.read(8, &mut two) && two == *b"89");
        assert!(!bytes.read(9, &mut two) && !bytes.read(usize::MAX, &mut two));
        bytes.part(0..2).copy_from(bytes.part(8..10).0);
        assert_eq!(&memory, b"892ab56789");
    }

    #[test]
    #[should_panic(expected = "the part 3..6 is one of 5")]
    fn a_payload_that_has_no_room_is_not_written() {
        SharedBytesMut::from(&mut [0; 5][..]).write(3, &&b"abc"[..]);
    }
}
