//! What a worker says of its locks to who would stop it.
//!
//! A process that is stopped (SIGSTOP) while it holds a lock keeps everybody from it until it is resumed. So a worker tells
//! in its mailbox how many locks it holds or is just taking. Its zygote stops it, looks, and lets it go on if there were
//! any; and asks it beforehand to take none for a moment, or a busy one would hardly ever be met without.
//!
//! | word | written by | meaning |
//! |---|---|---|
//! | `held` | worker | locks that it holds or is just taking, not those that it sleeps for; a futex that is woken as it becomes 0 while `asked` is set |
//! | `asked` | zygote | set for a moment: take no lock if you hold none; a futex |
//!
//! Both are the worker's to lie about: then it is stopped with a lock, or cannot be stopped, as any that holds one for ever.

use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use std::time::Duration;

use crate::sys::{clock, fork, futex};

/// See the module's header. Every bit pattern is a value.
#[repr(C)]
#[derive(Default)]
pub struct Marks {
    held: AtomicU32,
    asked: AtomicU32,
}

/// Where this process tells; null for one that nobody stops with care.
static OWN: AtomicPtr<Marks> = AtomicPtr::new(std::ptr::null_mut());

fn own() -> Option<&'static Marks> {
    // SAFETY: null, or a place that `tell_in` was given for ever. One that was forked from a worker does not tell for it.
    unsafe { OWN.load(Ordering::Relaxed).as_ref() }.filter(|_| !fork::happened())
}

/// From now on this process tells of its locks there.
pub fn tell_in(place: &'static Marks) {
    place.reset();
    OWN.store(std::ptr::from_ref(place).cast_mut(), Ordering::Relaxed);
}

/// Before a lock is taken. Waits a moment where this process is about to be stopped.
#[inline]
pub(super) fn begin() {
    if let Some(marks) = own() {
        marks.begin();
    }
}

/// After so many locks were given back, or not taken.
#[inline]
pub(super) fn end(count: u32) {
    if let Some(marks) = own() {
        marks.end(count);
    }
}

impl Marks {
    /// As if there were no process. For the slot's owner.
    pub(crate) fn reset(&self) {
        self.held.store(0, Ordering::SeqCst);
        self.asked.store(0, Ordering::SeqCst);
    }

    #[inline]
    fn begin(&self) {
        // A stop comes between two instructions, so their order in the program is all that counts.
        if self.held.fetch_add(1, Ordering::SeqCst) == 0 && self.asked.load(Ordering::SeqCst) != 0 {
            self.stand_by();
        }
    }

    /// Who asks has its answer within milliseconds, and takes the wish back.
    #[cold]
    fn stand_by(&self) {
        const SLICE: Duration = Duration::from_millis(2);
        /// Should it have been killed meanwhile.
        const LONGEST: Duration = Duration::from_millis(100);
        let end = clock::after(LONGEST);
        while self.asked.load(Ordering::SeqCst) != 0 && !clock::until(end).is_zero() {
            self.end(1);
            futex::wait(&self.asked, 1, SLICE);
            self.held.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[inline]
    fn end(&self, count: u32) {
        if self.held.fetch_sub(count, Ordering::SeqCst) == count && self.asked.load(Ordering::SeqCst) != 0 {
            futex::wake_all(&self.held);
        }
    }

    /// Zygote: asks the worker to take no lock, until [`Marks::release`].
    pub fn ask(&self) {
        self.asked.store(1, Ordering::SeqCst);
    }

    /// Zygote: takes that back.
    pub fn release(&self) {
        self.asked.store(0, Ordering::SeqCst);
        futex::wake_all(&self.asked);
    }

    /// Zygote: whether the worker says that it holds no lock. True for good once it is stopped.
    pub fn is_free(&self) -> bool {
        self.held.load(Ordering::SeqCst) == 0
    }

    /// Zygote: waits for that, so long at most; whether it came.
    pub fn wait_until_free(&self, time: Duration) -> bool {
        let end = clock::after(time);
        loop {
            let held = self.held.load(Ordering::SeqCst);
            if held == 0 {
                return true;
            }
            let left = clock::until(end);
            if left.is_zero() {
                return false;
            }
            futex::wait(&self.held, held, left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_asked_takes_no_lock_until_it_is_released_but_one_more_if_it_has_one() {
        let marks = Marks::default();
        marks.begin();
        marks.ask();
        // Inside of a lock it goes on: others may wait for its end.
        marks.begin();
        assert!(!marks.wait_until_free(Duration::from_millis(1)));
        std::thread::scope(|scope| {
            scope.spawn(|| marks.end(2));
            assert!(marks.wait_until_free(Duration::from_secs(20)));
            let taker = scope.spawn(|| marks.begin());
            while !marks.is_free() {
                std::thread::yield_now();
            }
            marks.release();
            taker.join().unwrap();
        });
        assert!(!marks.is_free());
        marks.end(1);
        assert!(marks.is_free());
    }
}
