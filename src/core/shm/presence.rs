//! Who is still there, said by locks on a tree's file that the kernel drops at a process's end, however it ends.
//!
//! Such a lock belongs to an open file, and lasts until that is closed everywhere. A mapping keeps its file open as a
//! descriptor does. It takes no descriptor, so a program that closes those which it does not know, as daemons do, leaves it
//! alone; and it can be kept from children or left to them, as is wanted:
//!
//! | lock | mapping | lasts as long as |
//! |---|---|---|
//! | [`Presence`]: one byte, by number of a place in the table of owners (F_OFD_SETLK, fcntl(2)) | not in children | the process |
//! | [`Life`]: shared (flock(2)) | in children too | the process or any that was forked from it |
//!
//! Whether a lock is there others ask with a file of their own.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use rustix::fs::{FlockOperation, flock};

use super::file::SharedFile;
use super::mapping::Mapping;
use crate::sys::PAGE;

/// See the table above.
pub(super) struct Presence(#[allow(dead_code, reason = "kept for its end")] Mapping);

impl Presence {
    /// This process is there in the place `index`. `file` was opened for this; it may be closed afterwards. `None` if
    /// another process still is.
    pub(super) fn claim(file: &SharedFile, index: u16) -> io::Result<Option<Presence>> {
        // SAFETY: the file is open, and the structure is one of the type that the call reads.
        let claimed = unsafe { libc::fcntl(file.as_fd().as_raw_fd(), libc::F_OFD_SETLK, &byte(index)) };
        if claimed != 0 {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::WouldBlock { Ok(None) } else { Err(error) };
        }
        let mapping = file.map_nothing()?;
        mapping.keep_from_children()?;
        Ok(Some(Presence(mapping)))
    }
}

/// Whether the process in the place `index` of the tree `name` is there; `None` where that cannot be known.
pub(super) fn is_present(name: &str, index: u16) -> Option<bool> {
    let file = SharedFile::open(name).ok()?;
    let mut lock = byte(index);
    // SAFETY: as above; the call writes to the structure.
    let asked = unsafe { libc::fcntl(file.as_fd().as_raw_fd(), libc::F_OFD_GETLK, &mut lock) };
    (asked == 0).then_some(i32::from(lock.l_type) != libc::F_UNLCK)
}

fn byte(index: u16) -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: libc::off_t::from(index),
        l_len: 1,
        l_pid: 0,
    }
}

/// See the table above.
pub(super) struct Life(Mapping);

impl Life {
    /// As long as this is there, [`super::stale::sweep`] leaves the file. `file` was opened for this; it may be closed
    /// afterwards. Waits while a sweep looks at the file, which may be gone then.
    pub(super) fn of(file: &SharedFile) -> io::Result<Life> {
        flock(file, FlockOperation::LockShared)?;
        Ok(Life(file.map_nothing()?))
    }

    /// Ends this process's part in it.
    pub(super) fn end(&self) {
        self.0.blank();
    }
}

impl SharedFile {
    /// Maps a page that nobody can use, which keeps the file open.
    fn map_nothing(&self) -> io::Result<Mapping> {
        Mapping::nothing(self, PAGE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shm::{RegionError, stale};

    #[test]
    fn a_place_is_taken_until_its_claim_ends() {
        let name = stale::new_name().unwrap();
        SharedFile::create(&name, |file| file.grow(PAGE)).unwrap();
        let open = || SharedFile::open(&name).unwrap();
        let first = Presence::claim(&open(), 7).unwrap().unwrap();
        assert_eq!((is_present(&name, 7), is_present(&name, 8)), (Some(true), Some(false)));
        assert!(Presence::claim(&open(), 7).unwrap().is_none());
        assert!(Presence::claim(&open(), 8).unwrap().is_some());
        drop(first);
        assert_eq!(is_present(&name, 7), Some(false));
        super::super::unlink(&name);
        assert_eq!(is_present(&name, 7), None);
    }

    #[test]
    fn a_file_is_swept_once_the_last_life_in_it_has_ended() {
        let name = stale::new_tree_name().unwrap();
        let lives = SharedFile::create(&name, |file| {
            file.grow(PAGE)?;
            let of = || Life::of(&SharedFile::open(&name).unwrap());
            Ok::<_, RegionError>([of().unwrap(), of().unwrap()])
        })
        .unwrap();
        let is_there = || SharedFile::open(&name).is_ok();
        lives[0].end();
        stale::sweep(|_| ());
        assert!(is_there());
        lives[1].end();
        stale::sweep(|_| ());
        assert!(!is_there());
    }
}
