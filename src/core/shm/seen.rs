//! A file of shared memory as it is looked at from outside, by a process that has no part in it.
//!
//! Files are opened for reading alone and read with pread(2), never mapped: a file that somebody cuts meanwhile is a short
//! read and no SIGBUS, and reading creates no pages. What comes out are private copies, in which nothing is trusted.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, fstat};

use super::bytes::Atomics;
use super::file::{read_at, read_values};
use super::stale::DIRECTORY;

/// A file of shared memory that belongs to a user whose sessions this process may see, opened for reading.
pub(crate) struct Seen {
    file: OwnedFd,
    pub(crate) len: u64,
    /// The user whose file it is.
    pub(crate) user: u32,
}

impl Seen {
    /// Opens it by its name. Neither a link nor a pipe of that name is followed or waited for.
    pub(crate) fn open(name: &str) -> Option<Seen> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let path = std::path::Path::new(DIRECTORY).join(name);
        let file = rustix::fs::open(path, flags, Mode::empty()).ok()?;
        let about = fstat(&file).ok()?;
        let me = rustix::process::geteuid();
        let mine = me.is_root() || about.st_uid == me.as_raw();
        let is_file = FileType::from_raw_mode(about.st_mode) == FileType::RegularFile;
        let len = u64::try_from(about.st_size).ok()?;
        (mine && is_file).then_some(Seen { file, len, user: about.st_uid })
    }

    /// Copies of `count` values that stand one after the other from `at` on; none if the file ends before.
    pub(crate) fn read<T: Atomics>(&self, at: usize, count: usize) -> Option<Vec<T>> {
        read_values(&self.file, at, count)
    }

    /// The same for bytes.
    pub(crate) fn read_bytes(&self, at: usize, len: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0u8; len];
        read_at(&self.file, at, &mut bytes).then_some(bytes)
    }

    /// One value.
    pub(crate) fn read_one<T: Atomics>(&self, at: usize) -> Option<T> {
        self.read(at, 1)?.pop()
    }

    /// Whether anything was ever written to the file between two offsets: tmpfs(5) has no pages there otherwise.
    pub(crate) fn has_data(&self, from: usize, to: usize) -> bool {
        let next = rustix::fs::seek(self.file.as_fd(), rustix::fs::SeekFrom::Data(from as u64));
        next.is_ok_and(|next| next < to as u64)
    }
}
