//! A mapped range of a file in shared memory, without a descriptor that stays open.

use std::io;
use std::ops::Range;
use std::os::fd::AsFd;
use std::ptr::{self, NonNull};

use rustix::mm::{
    Advice, MapFlags, MprotectFlags, MremapFlags, ProtFlags, madvise, mmap, mmap_anonymous, mprotect, mremap,
    munmap,
};
use shared_memory::Shmem;

use super::bytes::SharedBytesMut;
use super::confined::is_confined;
use crate::sys::PAGE;

/// Some pages of a file. Dropping it unmaps them.
pub(crate) struct Mapping {
    start: NonNull<u8>,
    len: usize,
    /// Of a session's segment, which this crate has mapped and unmaps.
    session: Option<Shmem>,
}

// SAFETY: a mapping is process-wide, and is used by way of `SharedBytes`.
unsafe impl Send for Mapping {}
// SAFETY: as above; growing needs exclusive access.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `len` bytes of the file from the page at `offset` on, shared.
    pub(crate) fn new(file: impl AsFd, offset: usize, len: usize, writable: bool) -> io::Result<Mapping> {
        debug_assert!(offset.is_multiple_of(PAGE));
        let access = if writable { ProtFlags::READ | ProtFlags::WRITE } else { ProtFlags::READ };
        // SAFETY: no address is asked for, so nothing that is mapped is replaced.
        let start = unsafe { mmap(ptr::null_mut(), len, access, MapFlags::SHARED, file, offset as u64)? };
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Mapping { start, len, session: None })
    }

    /// Maps `len` bytes of the file so that nobody can use them: it keeps the file open.
    pub(super) fn nothing(file: impl AsFd, len: usize) -> io::Result<Mapping> {
        // SAFETY: as in `new`.
        let start = unsafe { mmap(ptr::null_mut(), len, ProtFlags::empty(), MapFlags::SHARED, file, 0)? };
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Mapping { start, len, session: None })
    }

    /// What the crate `shared_memory` has mapped.
    pub(super) fn of_session(session: Shmem) -> Option<Mapping> {
        let start = NonNull::new(session.as_ptr())?;
        Some(Mapping { start, len: session.len(), session: Some(session) })
    }

    /// Its bytes; in a mapping for reading alone whoever writes them is ended by a signal.
    #[inline]
    pub(crate) fn bytes(&self) -> SharedBytesMut<'_> {
        // SAFETY: they are mapped as long as this is, since it cannot be grown meanwhile; nothing else refers to them.
        unsafe { SharedBytesMut::new(self.start.as_ptr(), self.len) }
    }

    /// Its bytes, which stay mapped until the process ends.
    pub(super) fn leak(self) -> SharedBytesMut<'static> {
        Box::leak(Box::new(self)).bytes()
    }

    /// Maps more of the file, mremap(2); its pages may move to other addresses. Needs no descriptor.
    pub(crate) fn grow(&mut self, len: usize) -> io::Result<()> {
        debug_assert!(len.is_multiple_of(PAGE) && self.session.is_none());
        if len <= self.len {
            return Ok(());
        }
        // SAFETY: start and length are those of this mapping, to which nobody else holds pointers now: the
        // caller has it exclusively.
        let start = unsafe { mremap(self.start.as_ptr().cast(), self.len, len, MremapFlags::MAYMOVE)? };
        self.start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        self.len = len;
        Ok(())
    }

    /// Gives the pages of a range back to the file system, as far as it is mapped: madvise(MADV_REMOVE). They are zero
    /// then, and nobody may be using them. Where the system refuses they stay.
    pub(crate) fn release(&self, range: Range<usize>) {
        debug_assert!(
            range.start.is_multiple_of(PAGE) && range.end.is_multiple_of(PAGE),
            "only whole pages go"
        );
        let end = range.end.min(self.len);
        // A sandbox denies it; what is left behind then goes with the next change from outside, or with the object.
        if range.start < end && !is_confined() {
            let _ = self.advise(range.start..end, Advice::LinuxRemove);
        }
    }

    /// Keeps it from the children that this process forks from now on: they have nothing at its addresses.
    pub(super) fn keep_from_children(&self) -> io::Result<()> {
        self.keep_part_from_children(0..self.len)
    }

    /// The same for a range that was mapped anew.
    pub(super) fn keep_part_from_children(&self, range: Range<usize>) -> io::Result<()> {
        Ok(self.advise(range, Advice::LinuxDontFork)?)
    }

    /// The same pages once more, to be written too. Needs no descriptor, but the file was opened for writing.
    pub(super) fn writable(&self) -> io::Result<Mapping> {
        // SAFETY: of a length of 0 mremap(2) makes a second mapping of shared pages and leaves the first one; it replaces
        // nothing, for no address is asked for.
        let start = unsafe { mremap(self.start.as_ptr().cast(), 0, self.len, MremapFlags::MAYMOVE)? };
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let mapping = Mapping { start, len: self.len, session: None };
        // SAFETY: the mapping is this one's alone, and shared bytes, of which nobody relies on not being writable.
        unsafe { mprotect(start.as_ptr().cast(), self.len, MprotectFlags::READ | MprotectFlags::WRITE)? };
        Ok(mapping)
    }

    /// Unmaps it; there is nothing to be seen from now on.
    pub(crate) fn end(&mut self) {
        if self.len > 0 && self.session.is_none() {
            // SAFETY: the range is this mapping's own, and nothing refers into it, since it is had exclusively.
            let _ = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
            self.len = 0;
        }
    }

    /// Puts private zeros in the file's place, so that this keeps it open no more. For the end of a process: whoever still
    /// comes here finds memory, and nothing in it.
    pub(crate) fn blank(&self) {
        self.blank_part(0..self.len);
    }

    /// The same for a range.
    pub(super) fn blank_part(&self, range: Range<usize>) {
        let part = self.bytes().part(range);
        let (access, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE | MapFlags::FIXED);
        // SAFETY: the addresses are this mapping's, which stay mapped; what is read and written there are shared bytes, for
        // which every value is one.
        let _ = unsafe { mmap_anonymous(part.as_ptr().cast_mut().cast(), part.len(), access, flags) };
    }

    fn advise(&self, range: Range<usize>, advice: Advice) -> rustix::io::Result<()> {
        let part = self.bytes().part(range);
        // SAFETY: the part is mapped. Both advices that are given here leave every address what it is to this process:
        // shared bytes, which may change.
        unsafe { madvise(part.as_ptr().cast_mut().cast(), part.len(), advice) }
    }

    /// Puts something in its place that nobody can use; for a child that has nothing there, and that may map other things
    /// before it or its children call [`map_in_place`](Mapping::map_in_place).
    pub(super) fn hold_place(&self) -> io::Result<()> {
        let place = self.start.as_ptr().cast();
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED;
        // SAFETY: the addresses are this mapping's, where nothing is mapped in this process.
        unsafe { mmap_anonymous(place, self.len, ProtFlags::empty(), flags)? };
        Ok(())
    }

    /// Maps a part of a file, from `offset` on, at the addresses of a range: for a child that has nothing there, or in
    /// place of what is there.
    pub(super) fn map_in_place(&self, range: Range<usize>, file: impl AsFd, offset: usize) -> io::Result<()> {
        let (part, offset) = (self.bytes().part(range), offset as u64);
        let (access, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED | MapFlags::FIXED);
        // SAFETY: the addresses are this mapping's, and what is mapped there now is what they stand for: shared bytes as
        // before, in which whoever refers to them finds others, as if somebody had written them.
        unsafe { mmap(part.as_ptr().cast_mut().cast(), part.len(), access, flags, file, offset)? };
        Ok(())
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        self.end();
    }
}
