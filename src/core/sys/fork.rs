//! Noticing that this process was forked from one that uses llib: by the script, with a library for that.
//!
//! A fork copies what llib holds, and most of it goes on belonging to the parent: its place among the owners of locks, its
//! session, its descriptors. So each process has a number, and whoever keeps such things keeps the number with them.
//!
//! The number is on a page that the kernel wipes in every child, however that is forked (MADV_WIPEONFORK, madvise(2)); so
//! looking costs no system call. A vfork(2) child sees its parent's, whose memory it uses. Where the kernel refuses such a
//! page, process ids are compared.

#![allow(unsafe_code)]

use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

use super::PAGE;

/// The word on the page, 0 in a process that has no number yet; [`NO_PAGE`] where there is no such page.
static MARK: AtomicPtr<AtomicU64> = AtomicPtr::new(ptr::null_mut());
/// Stays 0.
static NO_PAGE: AtomicU64 = AtomicU64::new(0);
/// The number given last, to this process or to the one that it was forked from.
static LAST: AtomicU64 = AtomicU64::new(0);
/// The worker that this process is, or was forked from; 0 for others.
static WORKER: AtomicU64 = AtomicU64::new(0);

/// This process's number. The processes that it was forked from have smaller ones; those of others may be the same.
#[inline]
pub fn process() -> u64 {
    let mark = MARK.load(Ordering::Acquire);
    // SAFETY: null, or a word that stays: a page that is never unmapped, or a static.
    match unsafe { mark.as_ref() }.map(|mark| mark.load(Ordering::Relaxed)) {
        None | Some(0) => find(),
        Some(number) => number,
    }
}

#[cold]
fn find() -> u64 {
    let mark = MARK.load(Ordering::Acquire);
    let mark = if mark.is_null() { make_mark() } else { mark };
    if ptr::eq(mark, &NO_PAGE) {
        return by_id(&BY_ID, std::process::id());
    }
    // First the number that a child will count on from, then its use. Another thread may be here too.
    let number = LAST.fetch_add(1, Ordering::SeqCst) + 1;
    // SAFETY: not null, and it stays, see `process`.
    let claimed = unsafe { &*mark }.compare_exchange(0, number, Ordering::SeqCst, Ordering::SeqCst);
    claimed.map_or_else(|other| other, |_| number)
}

/// Makes the page, unless another thread was faster.
fn make_mark() -> *mut AtomicU64 {
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: no address is asked for, so nothing that is mapped is replaced.
    let page = unsafe { mmap_anonymous(ptr::null_mut(), PAGE, access, MapFlags::PRIVATE) };
    // SAFETY: the page is ours, and has nothing on it yet.
    let page = page.ok().filter(|page| unsafe { madvise(*page, PAGE, Advice::LinuxWipeOnFork) }.is_ok());
    let made = page.map_or(ptr::from_ref(&NO_PAGE).cast_mut(), <*mut _>::cast::<AtomicU64>);
    match MARK.compare_exchange(ptr::null_mut(), made, Ordering::SeqCst, Ordering::SeqCst) {
        Ok(_) => made,
        Err(other) => {
            if let Some(page) = page {
                // SAFETY: nobody has seen the page.
                let _ = unsafe { munmap(page, PAGE) };
            }
            other
        }
    }
}

/// A process id in the upper half, its number in the lower one.
static BY_ID: AtomicU64 = AtomicU64::new(0);

fn by_id(known: &AtomicU64, id: u32) -> u64 {
    let number = |word: u64| word & u64::from(u32::MAX);
    let renew = |word: u64| (word >> 32 != u64::from(id)).then_some(u64::from(id) << 32 | (number(word) + 1));
    let renewed = known.fetch_update(Ordering::SeqCst, Ordering::SeqCst, renew);
    renewed.map_or_else(number, |old| number(old) + 1)
}

/// Says that this process was forked to be one of llib's workers.
pub fn expect() {
    WORKER.store(process(), Ordering::Relaxed);
}

/// Whether this process was forked by a job.
pub fn happened() -> bool {
    let worker = WORKER.load(Ordering::Relaxed);
    worker != 0 && worker != process()
}

/// A place for something that each process has for itself: a forked one finds nothing there until it sets its own. What
/// its parent had is never dropped in it.
pub struct PerProcess<T: 'static>(AtomicPtr<(u64, T)>);

impl<T: Send + Sync> PerProcess<T> {
    /// Nothing yet.
    pub const fn new() -> PerProcess<T> {
        PerProcess(AtomicPtr::new(ptr::null_mut()))
    }

    /// What this process has there.
    #[inline]
    pub fn get(&self) -> Option<&'static T> {
        // SAFETY: null, or what `set` leaked.
        let set = unsafe { self.0.load(Ordering::Acquire).as_ref() };
        set.filter(|(number, _)| *number == process()).map(|(_, value)| value)
    }

    /// The same, set now if it was not.
    pub fn get_or_init(&self, make: impl FnOnce() -> T) -> &'static T {
        self.get().unwrap_or_else(|| self.set(make()))
    }

    /// Sets it. It stays for good, so a process does this once. Of two threads the first one's stays.
    pub fn set(&self, value: T) -> &'static T {
        let before = self.0.load(Ordering::Acquire);
        if let Some(value) = self.get() {
            return value;
        }
        let made = Box::into_raw(Box::new((process(), value)));
        // Who was faster is of this process: it began with what stood there before.
        let set = self.0.compare_exchange(before, made, Ordering::SeqCst, Ordering::SeqCst);
        // SAFETY: both are from a box that was leaked.
        let (_, value) = unsafe { &*set.map_or_else(|other| other, |_| made) };
        value
    }
}

impl<T: Send + Sync> Default for PerProcess<T> {
    fn default() -> PerProcess<T> {
        PerProcess::new()
    }
}

/// Something whose end is for the process that made it to see to. In one that was forked from that, dropping it does
/// nothing: what is there may be the parent's, as with memory that is shared, and a descriptor's number may be another
/// file's by now.
#[derive(Debug)]
pub struct Owned<T> {
    maker: u64,
    value: ManuallyDrop<T>,
}

impl<T> Owned<T> {
    /// Made by this process.
    pub fn new(value: T) -> Owned<T> {
        Owned { maker: process(), value: ManuallyDrop::new(value) }
    }

    /// Whether this process made it.
    pub fn is_ours(&self) -> bool {
        self.maker == process()
    }
}

impl<T> Deref for Owned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        if self.is_ours() {
            // SAFETY: dropped once, here.
            unsafe { ManuallyDrop::drop(&mut self.value) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `check` in a forked child; whether it said yes. It must not allocate: the tests' other threads are not there.
    fn in_child(check: impl FnOnce() -> bool) -> bool {
        // SAFETY: the child does nothing but the check, and ends without running anything of the tests'.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            let status = i32::from(!check());
            // SAFETY: ends the process.
            unsafe { libc::_exit(status) };
        }
        let mut status = 0;
        // SAFETY: the status is written to a variable of its type.
        unsafe { libc::waitpid(pid, &mut status, 0) };
        status == 0
    }

    #[test]
    fn each_child_has_a_number_of_its_own() {
        let number = process();
        assert_eq!(process(), number);
        assert!(in_child(|| {
            let child = process();
            child > number && process() == child && in_child(|| process() > child && process() == process())
        }));
        assert_eq!(process(), number);
    }

    #[test]
    fn without_a_page_that_is_wiped_the_id_tells() {
        let known = AtomicU64::new(0);
        let numbers = [7, 7, 8, 8, 7].map(|id| by_id(&known, id));
        assert_eq!(numbers, [1, 1, 2, 2, 3]);
    }

    #[test]
    fn what_a_process_has_its_child_has_not_and_does_not_drop() {
        static PLACE: PerProcess<u32> = PerProcess::new();
        struct Told<'a>(&'a AtomicU64);
        impl Drop for Told<'_> {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let drops = AtomicU64::new(0);
        let owned = Owned::new(Told(&drops));
        assert_eq!((PLACE.get(), PLACE.set(5), PLACE.get_or_init(|| 6)), (None, &5, &5));
        assert!(in_child(|| {
            let none = PLACE.get().is_none() && !owned.is_ours();
            drop(owned);
            none && drops.load(Ordering::SeqCst) == 0
        }));
    }

    #[test]
    fn the_maker_drops_what_it_made() {
        let value = std::sync::Arc::new(());
        let owned = Owned::new(std::sync::Arc::clone(&value));
        assert!(owned.is_ours() && std::sync::Arc::strong_count(&owned) == 2);
        drop(owned);
        assert_eq!(std::sync::Arc::strong_count(&value), 1);
    }
}
