//! Looking at sessions and trees from outside, for a process that has no part in them.
//!
//! Files are opened for reading alone and read with pread(2), never mapped: a file that somebody cuts meanwhile is a short
//! read and no SIGBUS, and reading creates no pages. What comes out are private copies. Nothing in them is trusted:
//! anybody who may write to `/dev/shm` as this user can have put it there. Numbers are held to their ranges here; whether
//! a process id is that of a worker the caller finds out.

mod session;
mod tree;

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, fstat};

pub use session::{PoolSeat, SessionView, SlotView, sessions};
pub use tree::{HeldNumber, TreeView};

/// A type for which every bit pattern is a value, so that it can be read from a file that anybody may have written.
///
/// # Safety
/// It is: plain integers and atomics of them, without padding that anybody looks at.
pub(crate) unsafe trait AnyBits: Sized {}

// SAFETY: an integer.
unsafe impl AnyBits for u8 {}

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
        let path = std::path::Path::new(super::stale::DIRECTORY).join(name);
        let file = rustix::fs::open(path, flags, Mode::empty()).ok()?;
        let about = fstat(&file).ok()?;
        let me = rustix::process::geteuid();
        let mine = me.is_root() || about.st_uid == me.as_raw();
        let is_file = FileType::from_raw_mode(about.st_mode) == FileType::RegularFile;
        let len = u64::try_from(about.st_size).ok()?;
        (mine && is_file).then_some(Seen { file, len, user: about.st_uid })
    }

    /// Copies of `count` values that stand one after the other from `at` on; none if the file ends before.
    pub(crate) fn read<T: AnyBits>(&self, at: usize, count: usize) -> Option<Vec<T>> {
        let mut bytes = vec![0u8; count.checked_mul(size_of::<T>())?];
        let mut filled = 0;
        while filled < bytes.len() {
            match rustix::io::pread(self.file.as_fd(), &mut bytes[filled..], (at + filled) as u64) {
                Ok(0) => return None,
                Ok(count) => filled += count,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return None,
            }
        }
        let values = (0..count).map(|index| {
            // SAFETY: the vector has `count` values' bytes, each pattern of which is a value; no alignment is needed.
            unsafe { bytes.as_ptr().add(index * size_of::<T>()).cast::<T>().read_unaligned() }
        });
        Some(values.collect())
    }

    /// One value.
    pub(crate) fn read_one<T: AnyBits>(&self, at: usize) -> Option<T> {
        self.read(at, 1)?.pop()
    }

    /// Whether anything was ever written to the file between two offsets: tmpfs(5) has no pages there otherwise.
    pub(crate) fn has_data(&self, from: usize, to: usize) -> bool {
        let next = rustix::fs::seek(self.file.as_fd(), rustix::fs::SeekFrom::Data(from as u64));
        next.is_ok_and(|next| next < to as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::super::region::Region;
    use super::super::{Segment, new_name, remove_session};
    use super::*;
    use crate::shm::State;

    #[test]
    fn a_session_is_seen_as_it_stands_in_memory() {
        let name = new_name().unwrap();
        let segment = Segment::create(&name, 0xabc).unwrap();
        segment.reserve(7, 100).unwrap();
        assert!(segment.header().free.take(7));
        segment.header().processes[2].store(42, std::sync::atomic::Ordering::SeqCst);
        let slot = segment.slot(7);
        slot.entry.swap(State::Busy);
        let settings = crate::wire::settings::Settings { name: "a job".to_owned(), ..Default::default() };
        let bytes = settings.to_bytes();
        slot.mailbox.fill(bytes.len(), |to| to.copy_from_slice(&bytes));
        slot.mailbox.publish_job(3, bytes.len());
        let view = sessions().find(|view| view.name == name).unwrap();
        assert_eq!((view.tree.as_str(), view.zygote), ("llib-tree-0000000000000abc", 42));
        assert_eq!(view.slots.len(), 1);
        assert_eq!((view.slots[0].index, view.slots[0].state), (7, State::Busy));
        assert_eq!(view.slots[0].name.as_deref(), Some("a job"));
        // Nonsense in the mailbox is no name.
        slot.mailbox.fill(64, |to| to.fill(0xff));
        let view = sessions().find(|view| view.name == name).unwrap();
        assert_eq!(view.slots[0].name, None);
        remove_session(&name);
    }

    #[test]
    fn whatever_stands_in_a_session_it_is_looked_at_without_harm() {
        let name = new_name().unwrap();
        let mut segment = Region::create(&name, super::super::layout::LEN).unwrap();
        segment.set_owner(true);
        // A guard that starts elsewhere takes a segment without a lock for a leftover.
        let _lock = super::super::claim(&name).unwrap();
        let bytes = 64 << 10;
        segment.reserve(0..bytes).unwrap();
        for round in 0..20u64 {
            let mut state = round.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let mut noise = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                if round == 0 { 0xff } else { (state >> 56) as u8 }
            };
            let noise: Vec<u8> = std::iter::repeat_with(&mut noise).take(bytes).collect();
            // SAFETY: so many bytes are mapped and reserved; this test is the only one to use them.
            unsafe { segment.as_ptr().copy_from_nonoverlapping(noise.as_ptr(), bytes) };
            for view in sessions().filter(|view| view.name == name) {
                assert!(view.slots.iter().all(|slot| (slot.index as usize) < crate::shm::SLOTS));
                assert!(view.pool(u32::MAX).is_none() && TreeView::of(&view.tree).is_none());
            }
        }
    }

    #[test]
    fn a_file_of_a_sessions_name_that_is_none_is_not_seen() {
        let name = new_name().unwrap();
        let mut region = Region::create(&name, 4096).unwrap();
        region.set_owner(true);
        assert!(sessions().all(|view| view.name != name));
        assert!(Seen::open(&name).unwrap().read::<u8>(4000, 100).is_none());
        assert!(Seen::open("..").is_none());
    }
}
