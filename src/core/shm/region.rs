//! A named piece of shared memory, and the promise that its pages exist before they are written.

use std::fmt;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::os::fd::AsFd;

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap};
use rustix::process::{Resource, getrlimit};
use rustix::shm::OFlags;
use shared_memory::{Shmem, ShmemConf, ShmemError};

use super::stale;

/// Why a piece of shared memory cannot be had.
#[derive(Debug)]
pub enum RegionError {
    /// Creating or opening failed.
    Map {
        /// What was tried: `create` or `open`.
        action: &'static str,
        /// Name of the segment.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The file system of shared memory has no room for this many bytes.
    Full {
        /// How many were asked for.
        bytes: usize,
    },
}

impl fmt::Display for RegionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RegionError::Map { action, name, source } => {
                write!(f, "failed to {action} the shared memory segment '{name}': {source}{}", advice(source))
            }
            RegionError::Full { bytes } => {
                write!(f, "no space left in shared memory (/dev/shm) for {bytes} bytes")
            }
        }
    }
}

impl std::error::Error for RegionError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            RegionError::Map { source, .. } => Some(source),
            RegionError::Full { .. } => None,
        }
    }
}

/// What to do about an error that says that /dev/shm is not what it should be.
fn advice(source: &io::Error) -> &'static str {
    match source.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOENT | Errno::NOTDIR) if !stale::has_directory() => {
            " (there is no /dev/shm: mount a tmpfs there)"
        }
        Some(Errno::ROFS | Errno::ACCESS | Errno::PERM) => {
            " (llib needs a /dev/shm, usually a tmpfs, in which this user may create files)"
        }
        _ => "",
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

/// A mapped segment. Dropping it unmaps it and, where this process created it, removes its name.
pub struct Region {
    memory: Shmem,
}

// SAFETY: the mapping is process-wide and stays where it is until drop. `Region` hands out raw pointers
// and references to atomics only, so threads that share one have no more access than processes that do.
unsafe impl Send for Region {}
// SAFETY: as above; no method needs exclusive access.
unsafe impl Sync for Region {}

impl Region {
    /// Creates a segment of `len` bytes, all zero, readable by this user alone.
    pub fn create(name: &str, len: usize) -> Result<Region, RegionError> {
        check_length(len).map_err(|source| {
            let source = source.into();
            RegionError::Map { action: "create", name: name.to_owned(), source }
        })?;
        let memory = ShmemConf::new().os_id(name).size(len).create();
        memory.map(|memory| Region { memory }).map_err(|error| map_error("create", name, error))
    }

    /// Maps a segment that exists, whole.
    pub fn open(name: &str) -> Result<Region, RegionError> {
        let memory = ShmemConf::new().os_id(name).open();
        memory.map(|memory| Region { memory }).map_err(|error| map_error("open", name, error))
    }

    /// Whether dropping this removes the segment's name. Creators own, openers do not, unless told here.
    pub fn set_owner(&mut self, owner: bool) {
        self.memory.set_owner(owner);
    }

    /// Removes the segment's name now, and not when this is dropped. The mapping stays.
    pub fn remove_name(&mut self) {
        self.set_owner(false);
        // One that is gone already is as good.
        let _ = rustix::shm::unlink(self.memory.get_os_id());
    }

    /// First byte of the mapping.
    pub fn as_ptr(&self) -> *mut u8 {
        self.memory.as_ptr()
    }

    /// Length of the mapping in bytes.
    pub fn len(&self) -> usize {
        self.memory.len()
    }

    /// Its bytes as text, for a segment that nobody writes any more.
    pub fn text(&self) -> String {
        // SAFETY: so many bytes are mapped, and were written when the segment was made.
        let bytes = unsafe { copy_out(self.as_ptr(), self.len()) };
        String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_owned()
    }

    /// Whether the mapping has no bytes at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Creates a segment of these bytes, one part after the other, readable by this user alone. It stays
    /// when this returns: somebody has to remove its name.
    ///
    /// The kernel copies them in. Through a mapping each page would be zeroed, faulted in and unmapped as
    /// well, which costs twice as much (16 MiB: 14 ms, this way 7). A full file system is an error here, too.
    pub fn write_new(name: &str, parts: &[&[u8]]) -> Result<(), RegionError> {
        let failed = |source: Errno| RegionError::Map {
            action: "create",
            name: name.to_owned(),
            source: source.into(),
        };
        check_length(parts.iter().map(|part| part.len()).sum()).map_err(failed)?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR;
        let file = rustix::shm::open(name, flags, Mode::RUSR | Mode::WUSR).map_err(failed)?;
        write_all(&file, parts).map_err(|error| {
            // Nobody knows of it yet; a name that stays is removed with the session.
            let _ = rustix::shm::unlink(name);
            match error {
                Errno::NOSPC => RegionError::Full { bytes: parts.iter().map(|part| part.len()).sum() },
                error => failed(error),
            }
        })
    }

    /// A copy of the first `len` bytes of a segment, or of as many as there are, without mapping it.
    pub fn read_out(name: &str, len: usize) -> Result<Vec<u8>, RegionError> {
        let failed =
            |source: Errno| RegionError::Map { action: "read", name: name.to_owned(), source: source.into() };
        let file = rustix::shm::open(name, OFlags::RDONLY, Mode::empty()).map_err(failed)?;
        let there = rustix::fs::fstat(&file).map_err(failed)?.st_size;
        let len = len.min(usize::try_from(there).unwrap_or(0));
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(len).map_err(|_| failed(Errno::NOMEM))?;
        while bytes.len() < len {
            let room = len - bytes.len();
            match rustix::io::read(&file, rustix::buffer::spare_capacity(&mut bytes)) {
                Ok(0) => break,
                Ok(count) if count >= room => break,
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        bytes.truncate(len);
        Ok(bytes)
    }

    /// Makes sure that the pages of `range` exist.
    ///
    /// A store into a page that the file system cannot provide raises SIGBUS, so this comes before every
    /// first write. The kernel call is `madvise(MADV_POPULATE_WRITE)` (Linux 5.14), which reports a full
    /// file system as an error; an older kernel gets `fallocate` on the segment's name.
    pub fn reserve(&self, range: Range<usize>) -> Result<(), RegionError> {
        const PAGE: usize = 4096;
        assert!(range.start <= range.end && range.end <= self.len(), "reserved range lies in the mapping");
        let start = range.start / PAGE * PAGE;
        let bytes = range.end - start;
        if bytes == 0 {
            return Ok(());
        }
        // SAFETY: start..range.end lies in this mapping, checked above.
        match unsafe { advise(self.as_ptr().add(start), bytes) } {
            Ok(true) => Ok(()),
            Ok(false) => self.allocate(start, bytes),
            Err(_) => Err(RegionError::Full { bytes: range.end - range.start }),
        }
    }

    /// Gives the pages of `range` back to the file system: madvise(MADV_REMOVE). Nobody may be using them.
    pub fn release(&self, range: Range<usize>) {
        const PAGE: usize = 4096;
        assert!(range.start <= range.end && range.end <= self.len(), "released range lies in the mapping");
        assert!(range.start.is_multiple_of(PAGE) && range.end.is_multiple_of(PAGE), "only whole pages go");
        // SAFETY: the range lies in this mapping, checked above; its bytes become zero. Where the system cannot,
        // the pages stay, which is as if this was not called.
        let _ = unsafe {
            madvise(self.as_ptr().add(range.start).cast(), range.end - range.start, Advice::LinuxRemove)
        };
    }

    /// See [`super::Segment::keep_from_children`]; madvise(MADV_DONTFORK).
    pub(super) fn keep_from_children(&self) -> io::Result<()> {
        // SAFETY: the range is this mapping. It stays as it is in this process; a child reaches none of it
        // but what it maps again.
        unsafe { madvise(self.as_ptr().cast(), self.len(), Advice::LinuxDontFork)? };
        Ok(())
    }

    /// Maps `range` of the file once more, at the same addresses; for a child that has nothing there.
    pub(super) fn map_again(&self, range: Range<usize>, file: impl AsFd) -> io::Result<()> {
        assert!(range.start <= range.end && range.end <= self.len(), "mapped range lies in the region");
        let flags = MapFlags::SHARED | MapFlags::FIXED;
        // SAFETY: the addresses belong to this region, in which nothing is mapped in this process, or the very
        // same pages; what is mapped there now is what they stand for.
        unsafe {
            let start = self.as_ptr().add(range.start).cast();
            mmap(start, range.len(), ProtFlags::READ | ProtFlags::WRITE, flags, file, range.start as u64)?;
        }
        Ok(())
    }

    fn allocate(&self, start: usize, bytes: usize) -> Result<(), RegionError> {
        let name = self.memory.get_os_id();
        let file = rustix::shm::open(name, rustix::shm::OFlags::RDWR, rustix::fs::Mode::empty()).map_err(
            |error| RegionError::Map { action: "open", name: name.to_owned(), source: error.into() },
        )?;
        let flags = rustix::fs::FallocateFlags::empty();
        rustix::fs::fallocate(&file, flags, start as u64, bytes as u64)
            .map_err(|_| RegionError::Full { bytes })
    }
}

fn write_all(file: impl AsFd, parts: &[&[u8]]) -> Result<(), Errno> {
    /// The most that one call takes, IOV_MAX.
    const AT_ONCE: usize = 1024;
    let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
    let mut left = slices.as_mut_slice();
    // Drops empty parts, of which nothing could be written.
    IoSlice::advance_slices(&mut left, 0);
    while !left.is_empty() {
        match rustix::io::writev(&file, &left[..left.len().min(AT_ONCE)]) {
            Ok(0) => return Err(Errno::NOSPC),
            Ok(count) => IoSlice::advance_slices(&mut left, count),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// [`Region::reserve`] for a process that has only an address. On a kernel without the call the pages are
/// left to come with the first write.
///
/// # Safety
/// `len` bytes from the page-aligned `start` are mapped and writable.
pub(super) unsafe fn populate(start: *mut u8, len: usize) -> Result<(), RegionError> {
    // SAFETY: as demanded.
    match unsafe { advise(start, len) } {
        Ok(_) => Ok(()),
        Err(_) => Err(RegionError::Full { bytes: len }),
    }
}

/// Makes pages exist, see [`Region::reserve`]. False where the system does not do that: an older kernel, or a filter of
/// system calls around this process.
///
/// # Safety
/// `len` bytes from the page-aligned `start` are mapped and writable.
pub(super) unsafe fn advise(start: *mut u8, len: usize) -> Result<bool, Errno> {
    loop {
        // SAFETY: as demanded; populating changes no contents.
        match unsafe { madvise(start.cast(), len, Advice::LinuxPopulateWrite) } {
            Ok(()) => return Ok(true),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(Errno::INVAL | Errno::NOSYS | Errno::PERM | Errno::ACCESS) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}

/// A private copy of bytes that lie in shared memory.
///
/// # Safety
/// `len` bytes from `start` on are mapped and readable.
pub unsafe fn copy_out(start: *const u8, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    // SAFETY: as demanded; the vector is as long.
    unsafe { start.copy_to_nonoverlapping(bytes.as_mut_ptr(), len) };
    bytes
}

fn map_error(action: &'static str, name: &str, error: ShmemError) -> RegionError {
    let source = match error {
        ShmemError::MapCreateFailed(code)
        | ShmemError::MapOpenFailed(code)
        | ShmemError::UnknownOsError(code) => io::Error::from_raw_os_error(code.cast_signed()),
        other => io::Error::other(other),
    };
    RegionError::Map { action, name: name.to_owned(), source }
}
