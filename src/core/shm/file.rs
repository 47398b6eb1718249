//! A file of shared memory: what all segments have in common before anybody maps them.
//!
//! Whatever llib shares stands in files of `/dev/shm`, each made once, for this user alone, and gone again where making
//! it fails half way. A process behind walls may open and remove none, see [`super::confined`].

use std::io::{self, IoSlice};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    FallocateFlags, FlockOperation, Mode, SeekFrom, fallocate, fchmod, flock, fstat, ftruncate, seek,
};
use rustix::io::{Errno, pread, pwrite, pwritev};
use rustix::process::{Resource, getrlimit};
use rustix::shm::OFlags;

use super::bytes::Atomics;
use super::confined::is_confined;
use super::error::RegionError;
use super::mapping::Mapping;
use super::monitor;
use super::payload::Payload;
use crate::wire::monitor::Request;

/// An open file, and its name.
pub(crate) struct SharedFile {
    file: OwnedFd,
    name: String,
}

impl AsFd for SharedFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl From<SharedFile> for OwnedFd {
    fn from(file: SharedFile) -> OwnedFd {
        file.file
    }
}

impl SharedFile {
    /// Creates a file that no other process has, empty, readable by this user alone, and has `build` make of it what
    /// it is to be. Where that fails the file is removed.
    pub(crate) fn create<T, E: From<RegionError>>(
        name: &str,
        build: impl FnOnce(&SharedFile) -> Result<T, E>,
    ) -> Result<T, E> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR;
        let file = rustix::shm::open(name, flags, Mode::RUSR | Mode::WUSR)
            .or_else(|error| monitor::instead(error, || Request::Create(name.to_owned())))
            .map_err(|error| RegionError::map("create", name, error))?;
        build(&SharedFile { file, name: name.to_owned() }).inspect_err(|_| unlink(name))
    }

    /// Opens the file of this name for reading and writing.
    pub(crate) fn open(name: &str) -> Result<SharedFile, Errno> {
        if is_confined() {
            return Err(Errno::PERM);
        }
        let file = rustix::shm::open(name, OFlags::RDWR, Mode::empty())
            .or_else(|error| monitor::instead(error, || Request::Open(name.to_owned())))?;
        Ok(SharedFile { file, name: name.to_owned() })
    }

    /// Marks it for everybody and for good, see [`crate::shared::Object::distrust`].
    pub(crate) fn mark(&self) -> Result<(), Errno> {
        fchmod(self, Mode::RWXU).or_else(|_| monitor::order(Request::Mark(self.name.clone())))
    }

    /// Its length in bytes.
    pub(crate) fn len(&self) -> io::Result<usize> {
        Ok(usize::try_from(fstat(self)?.st_size).unwrap_or(0))
    }

    /// Whether it has any pages.
    pub(crate) fn has_pages(&self) -> bool {
        fstat(self).is_ok_and(|about| about.st_blocks > 0)
    }

    /// Says that this process has it, as long as a mapping of this open file is there, here or in a process that is forked
    /// from this one. Waits while another looks whether anybody has it.
    pub(crate) fn hold(&self) -> io::Result<()> {
        Ok(flock(self, FlockOperation::LockShared)?)
    }

    /// Whether nobody [`hold`](SharedFile::hold)s it; then nobody begins to before [`let_go`](SharedFile::let_go).
    pub(crate) fn is_unheld(&self) -> bool {
        flock(self, FlockOperation::NonBlockingLockExclusive).is_ok()
    }

    /// See [`is_unheld`](SharedFile::is_unheld).
    pub(crate) fn let_go(&self) {
        let _ = flock(self, FlockOperation::Unlock);
    }

    /// Makes it so long; what is new is zero, and has no pages yet.
    pub(crate) fn grow(&self, len: usize) -> Result<(), RegionError> {
        check_length(len).and_then(|()| ftruncate(self, len as u64)).map_err(self.failed("create"))
    }

    /// Gives it the pages of a range, and the length for them.
    pub(super) fn allocate(&self, range: Range<usize>) -> Result<(), RegionError> {
        let (at, bytes) = (range.start as u64, range.len());
        let allocated =
            check_length(range.end).and_then(|()| fallocate(self, FallocateFlags::empty(), at, bytes as u64));
        allocated.map_err(self.no_room(bytes))
    }

    /// Maps some of its pages.
    pub(crate) fn map(&self, range: Range<usize>) -> io::Result<Mapping> {
        Mapping::new(self, range.start, range.len(), true)
    }

    /// Writes a payload at `at`; the file becomes longer where it has to.
    pub(crate) fn write_at(&self, mut at: usize, payload: &dyn Payload) -> Result<(), RegionError> {
        /// The most that one call takes, IOV_MAX.
        const AT_ONCE: usize = 1024;
        let bytes = payload.len();
        check_length(at.saturating_add(bytes)).map_err(self.failed("create"))?;
        let mut slices: Vec<IoSlice<'_>> = payload.parts().into_iter().map(IoSlice::new).collect();
        let mut left = slices.as_mut_slice();
        // Drops empty parts, of which nothing could be written.
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            match pwritev(self, &left[..left.len().min(AT_ONCE)], at as u64) {
                Ok(0) => return Err(RegionError::Full { bytes }),
                Ok(count) => {
                    IoSlice::advance_slices(&mut left, count);
                    at += count;
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(self.no_room(bytes)(error)),
            }
        }
        Ok(())
    }

    /// Makes the bytes of a range zero where the file has pages.
    pub(crate) fn write_zeros(&self, range: Range<usize>) -> Result<(), RegionError> {
        self.each_data(range, |part| {
            let bytes = vec![0; part.len().min(64 << 10)];
            part.clone().step_by(bytes.len()).try_for_each(|at| {
                let mut left = &bytes[..bytes.len().min(part.end - at)];
                let mut at = at as u64;
                while !left.is_empty() {
                    match pwrite(self, left, at) {
                        Ok(count) => (left, at) = (&left[count..], at + count as u64),
                        Err(Errno::INTR) => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(())
            })
        })
    }

    /// The same, and gives its whole pages back.
    pub(crate) fn give_back(&self, range: Range<usize>) -> Result<(), RegionError> {
        let how = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        self.each_data(range, |part| fallocate(self, how, part.start as u64, part.len() as u64))
    }

    /// Hands over the parts of a range that have pages.
    fn each_data(
        &self,
        range: Range<usize>,
        mut take: impl FnMut(Range<usize>) -> Result<(), Errno>,
    ) -> Result<(), RegionError> {
        let mut at = range.start;
        while at < range.end {
            let data = match seek(self, SeekFrom::Data(at as u64)) {
                Err(Errno::NXIO) => break,
                data => data.map_err(self.failed("wipe"))? as usize,
            };
            if data >= range.end {
                break;
            }
            let hole = seek(self, SeekFrom::Hole(data as u64)).map_err(self.failed("wipe"))? as usize;
            let end = hole.min(range.end);
            take(data..end).map_err(self.failed("wipe"))?;
            at = end;
        }
        Ok(())
    }

    /// Copies what stands from `at` on; false if there is less. A file that somebody cuts meanwhile is such a case, and no
    /// SIGBUS as it would be in a mapping.
    pub(crate) fn read_at(&self, at: usize, to: &mut [u8]) -> bool {
        read_at(self, at, to)
    }

    /// A copy of a value that stands there, if all of it does.
    pub(crate) fn read_one<T: Atomics>(&self, at: usize) -> Option<T> {
        read_values(self, at, 1)?.pop()
    }

    /// A copy of its first `len` bytes, or of as many as there are.
    pub(super) fn read_out(&self, len: usize) -> Result<Vec<u8>, RegionError> {
        let len = len.min(self.len().map_err(self.failed("read"))?);
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(len).map_err(|_| self.failed("read")(Errno::NOMEM))?;
        while bytes.len() < len {
            let (at, room) = (bytes.len() as u64, len - bytes.len());
            match pread(self, rustix::buffer::spare_capacity(&mut bytes), at) {
                Ok(0) => break,
                Ok(count) if count >= room => break,
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(self.failed("read")(error)),
            }
        }
        bytes.truncate(len);
        Ok(bytes)
    }

    /// The error that something failed which was tried with the file.
    pub(crate) fn failed<E: Into<io::Error>>(&self, action: &'static str) -> impl Fn(E) -> RegionError {
        move |source| RegionError::map(action, &self.name, source)
    }

    fn no_room(&self, bytes: usize) -> impl Fn(Errno) -> RegionError {
        move |error| match error {
            Errno::NOSPC => RegionError::Full { bytes },
            error => self.failed("create")(error),
        }
    }
}

/// See [`SharedFile::read_at`].
pub(super) fn read_at(file: impl AsFd, mut at: usize, mut to: &mut [u8]) -> bool {
    while !to.is_empty() {
        match pread(&file, &mut *to, at as u64) {
            Ok(0) => return false,
            Ok(count) => (at, to) = (at + count, &mut to[count..]),
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
    true
}

/// Copies of `count` values that stand one after the other from `at` on; none if the file ends before.
pub(super) fn read_values<T: Atomics>(file: impl AsFd, at: usize, count: usize) -> Option<Vec<T>> {
    let mut bytes = vec![0u8; count.checked_mul(size_of::<T>())?];
    if !read_at(file, at, &mut bytes) {
        return None;
    }
    let values = (0..count).map(|index| {
        // SAFETY: the vector has `count` values' bytes, each pattern of which is a value; no alignment is needed.
        unsafe { bytes.as_ptr().add(index * size_of::<T>()).cast::<T>().read_unaligned() }
    });
    Some(values.collect())
}

/// Removes a name, unless this process may remove none.
pub fn unlink(name: &str) {
    if !is_confined() {
        // One that is gone already, or that is another user's, is as good.
        if rustix::shm::unlink(name).is_err_and(monitor::is_out_of_reach) {
            let _ = monitor::order(Request::Remove(name.to_owned()));
        }
    }
}

/// An error for a file that would be longer than this process's files may be: making it would end the process
/// with SIGXFSZ, setrlimit(2).
pub(super) fn check_length(length: usize) -> Result<(), Errno> {
    match getrlimit(Resource::Fsize).current {
        Some(limit) if limit < length as u64 => Err(Errno::FBIG),
        _ => Ok(()),
    }
}
