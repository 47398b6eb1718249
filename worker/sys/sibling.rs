//! Forking for one's parent, clone(2) with CLONE_PARENT: the child becomes a sibling, which the parent reaps.
//!
//! No function of the C library does this, so what its `_Fork` does in the child is done here: the thread's id in its books
//! is put right, and its list of robust locks is registered again.

use std::ffi::{c_int, c_void};
use std::io;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicI32, Ordering};

use super::{Forked, PAGE};

/// Where the kernel notes the id of each sibling before it runs. The parent has the same page, so it knows of a sibling even
/// if the process that forked it is dead.
pub struct Note {
    id: NonNull<AtomicI32>,
}

impl Note {
    /// A page that this process shares with the children that it forks from now on. It stays mapped.
    pub fn new() -> io::Result<Note> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping at a place of the kernel's choice.
        let page = unsafe { libc::mmap(ptr::null_mut(), PAGE, access, flags, -1, 0) };
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(page.cast()).map(|id| Note { id }).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
    }

    fn id(&self) -> &AtomicI32 {
        // SAFETY: the page is mapped for good, and holds zeros or what was stored in it.
        unsafe { self.id.as_ref() }
    }

    /// The last sibling since [`Note::clear`]; 0 if there is none. Any process with the page may have written it.
    pub fn last(&self) -> i32 {
        self.id().load(Ordering::SeqCst)
    }

    /// Forgets the last one.
    pub fn clear(&self) {
        self.id().store(0, Ordering::SeqCst);
    }
}

/// Forks a child of this process's parent, and notes its id. The child ends with the signal that this process ends with.
pub fn fork_sibling(note: &Note) -> io::Result<Forked> {
    let place = thread_id_place();
    let (mut robust, mut length): (*mut c_void, usize) = (ptr::null_mut(), 0);
    let mut flags = libc::CLONE_PARENT | libc::CLONE_PARENT_SETTID;
    if !place.is_null() {
        flags |= libc::CLONE_CHILD_SETTID | libc::CLONE_CHILD_CLEARTID;
    }
    // SAFETY: a template has one thread, so the child's copy of every lock and allocator is consistent, and it runs on with a
    // copy of this stack. The kernel writes to the note, which is shared, and in the child to the place of its thread's id.
    // Architectures differ in where they expect that place: third from last, or last; the other is not looked at.
    unsafe {
        libc::syscall(libc::SYS_get_robust_list, 0, &raw mut robust, &raw mut length);
        match libc::syscall(libc::SYS_clone, flags, 0, note.id.as_ptr(), place, place) {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                libc::syscall(libc::SYS_set_robust_list, robust, length);
                Ok(Forked::Child)
            }
            pid => Ok(Forked::Parent(pid as i32)),
        }
    }
}

/// Where the C library keeps this thread's id; null where it is not found.
fn thread_id_place() -> *mut c_int {
    /// Words in which it is searched for: the start of what describes a thread.
    const WORDS: usize = if cfg!(target_env = "gnu") { 256 } else { 32 };
    let mut place: *mut c_int = ptr::null_mut();
    // SAFETY: the kernel writes one address; it is one of the C library's words. The thread's description is longer than what
    // is read of it.
    unsafe {
        let own = libc::syscall(libc::SYS_gettid) as c_int;
        let known = libc::prctl(libc::PR_GET_TID_ADDRESS, &raw mut place) == 0 && !place.is_null();
        // musl notes the address of another word there.
        if known && place.read_volatile() == own {
            return place;
        }
        let start = ptr::with_exposed_provenance_mut::<c_int>(libc::pthread_self() as usize);
        (0..WORDS).map(|at| start.add(at)).find(|word| word.read_volatile() == own).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_the_threads_id_holds_it() {
        let place = thread_id_place();
        // SAFETY: it is one of the C library's words.
        assert_eq!(unsafe { *place }, unsafe { libc::syscall(libc::SYS_gettid) } as c_int);
    }
}
