//! A mapped range of a file in shared memory, without a descriptor that stays open.

use std::io;
use std::os::fd::AsFd;
use std::ptr::{self, NonNull};

use rustix::mm::{Advice, MapFlags, MremapFlags, ProtFlags, madvise, mmap, mremap, munmap};

use super::region::{RegionError, advise};
use super::tree::is_confined;

/// A page; every range here is made of whole ones.
pub(crate) const PAGE: usize = 4096;

/// Some pages of a file. Dropping it unmaps them.
pub(crate) struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping is process-wide. What it gives out are raw pointers; who uses those has to say why.
unsafe impl Send for Mapping {}
// SAFETY: as above; growing needs exclusive access.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `len` bytes of the file from `offset` on, shared.
    pub(crate) fn new(file: impl AsFd, offset: usize, len: usize, writable: bool) -> io::Result<Mapping> {
        debug_assert!(offset.is_multiple_of(PAGE) && len.is_multiple_of(PAGE) && len > 0);
        let access = if writable { ProtFlags::READ | ProtFlags::WRITE } else { ProtFlags::READ };
        // SAFETY: no address is asked for, so nothing that is mapped is replaced.
        let start = unsafe { mmap(ptr::null_mut(), len, access, MapFlags::SHARED, file, offset as u64)? };
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Mapping { start, len })
    }

    /// First byte.
    pub(crate) fn start(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// Bytes mapped.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Maps more of the file, mremap(2); its pages may move to other addresses. Needs no descriptor.
    pub(crate) fn grow(&mut self, len: usize) -> io::Result<()> {
        debug_assert!(len.is_multiple_of(PAGE));
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

    /// Makes sure that the pages from `start` to `end` exist, as [`super::Region::reserve`] does.
    pub(crate) fn reserve(&self, start: usize, end: usize) -> Result<(), RegionError> {
        assert!(start <= end && end <= self.len, "reserved range lies in the mapping");
        let first = start / PAGE * PAGE;
        // SAFETY: the range lies in this mapping, checked above.
        match unsafe { advise(self.start().add(first), end - first) } {
            // Without the call the pages come with the first write.
            Ok(_) => Ok(()),
            Err(_) => Err(RegionError::Full { bytes: end - start }),
        }
    }

    /// Gives whole pages back to the file system, as [`super::Region::release`] does.
    pub(crate) fn release(&self, start: usize, end: usize) {
        let end = end.min(self.len);
        // A sandbox denies it; what is left behind then goes with the next change from outside, or with the object.
        if start >= end || is_confined() {
            return;
        }
        // SAFETY: the range lies in this mapping; its bytes become zero, and whoever calls this says that
        // nobody wants them. Where the system refuses, the pages stay.
        let _ = unsafe { madvise(self.start().add(start).cast(), end - start, Advice::LinuxRemove) };
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is this mapping's own, and no reference into it outlives its owner.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
    }
}
