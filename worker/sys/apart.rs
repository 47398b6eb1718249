//! Memory that children do not get, for a process that others are forked from and that bytes of jobs pass through.

use std::io;
use std::ptr::{self, NonNull};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous};

/// Some of it, for the whole life of this process; a child that comes here finds nothing and ends.
pub struct Apart {
    start: NonNull<u8>,
    len: usize,
}

impl Apart {
    /// Of `len` bytes.
    pub fn new(len: usize) -> io::Result<Apart> {
        let (access, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
        // SAFETY: no address is asked for, so nothing that is mapped is replaced; the advice is for that mapping.
        let start = unsafe {
            let start = mmap_anonymous(ptr::null_mut(), len, access, flags)?;
            madvise(start, len, Advice::LinuxDontFork)?;
            start
        };
        Ok(Apart { start: NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?, len })
    }

    /// Its bytes.
    pub fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: they are mapped as long as the process lives, and nothing else refers to them.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Forked, exit_now, fork, reap_child};
    use super::*;

    #[test]
    fn a_child_has_nothing_of_it() {
        let mut apart = Apart::new(4096).unwrap();
        apart.bytes()[..6].copy_from_slice(b"secret");
        match fork().unwrap() {
            Forked::Child => exit_now(apart.bytes()[0].into()),
            Forked::Parent(pid) => {
                let status = reap_child(pid);
                assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGSEGV, "{status}");
            }
        }
        assert_eq!(&apart.bytes()[..7], b"secret\0");
    }
}
