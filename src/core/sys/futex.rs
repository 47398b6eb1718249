//! Sleeping on a word of shared memory, futex(2). Shared, not private: the sleepers are processes.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use rustix::io::Errno;
use rustix::thread::futex::{self, Flags, Timespec, Wait, WaitFlags, WaitvFlags};
use rustix::time::ClockId;

use super::clock;

/// Why a sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// Somebody woke us, or the word had changed already: look again.
    Changed,
    /// The time is over.
    TimedOut,
    /// A signal handler ran.
    Interrupted,
}

/// Sleeps while `word` holds `expected`, at most for `time`.
///
/// There is always a time: without one the kernel restarts the call after a handler that was installed
/// with SA_RESTART (signal(7)), and an interpreter's Ctrl-C would not get through.
pub fn wait(word: &AtomicU32, expected: u32, time: Duration) -> Woken {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    let time = Timespec { tv_sec: seconds, tv_nsec: i64::from(time.subsec_nanos()) };
    woken(futex::wait(word, Flags::empty(), expected, Some(&time)))
}

fn woken<T>(result: Result<T, Errno>) -> Woken {
    match result {
        Ok(_) | Err(Errno::AGAIN) => Woken::Changed,
        Err(Errno::INTR) => Woken::Interrupted,
        Err(_) => Woken::TimedOut,
    }
}

/// A word and what a sleeper expects there.
#[derive(Clone, Copy)]
pub struct Pair<'a> {
    /// The word.
    pub word: &'a AtomicU32,
    /// Its value as long as the sleep is to last.
    pub expected: u32,
}

/// Whether the kernel has futex_waitv(2), as far as is known.
static HAS_WAITV: AtomicBool = AtomicBool::new(true);

/// Sleeps while both words hold what is expected, at most for `time`. futex_waitv(2), Linux 5.16.
///
/// A kernel without it sleeps on the first word alone, and looks at the second every few milliseconds. After a
/// handler that was installed with SA_RESTART this call goes on until its time is over, unlike [`wait`]: who has
/// to see to signals sleeps for a short time.
pub fn wait_either(first: Pair<'_>, second: Option<Pair<'_>>, time: Duration) -> Woken {
    let Some(second) = second else { return wait(first.word, first.expected, time) };
    if HAS_WAITV.load(Ordering::Relaxed) {
        match wait_for_two(first, second, time) {
            // Unknown to the kernel, or to a filter of system calls.
            Err(Errno::NOSYS | Errno::PERM) => HAS_WAITV.store(false, Ordering::Relaxed),
            result => return woken(result),
        }
    }
    wait_and_look(first, second, time)
}

fn wait_for_two(first: Pair<'_>, second: Pair<'_>, time: Duration) -> Result<usize, Errno> {
    let futexes = [first, second].map(|pair| {
        let mut futex = Wait::new();
        futex.val = u64::from(pair.expected);
        futex.uaddr = futex::WaitPtr::new(pair.word.as_ptr().cast());
        futex.flags = WaitFlags::SIZE_U32;
        futex
    });
    let end = clock::after(time);
    let end = Timespec {
        tv_sec: (end / 1_000_000_000).cast_signed(),
        tv_nsec: (end % 1_000_000_000).cast_signed(),
    };
    futex::waitv(&futexes, WaitvFlags::empty(), Some(&end), ClockId::Monotonic)
}

fn wait_and_look(first: Pair<'_>, second: Pair<'_>, time: Duration) -> Woken {
    /// How soon a change of the second word is seen.
    const LOOK: Duration = Duration::from_millis(10);
    let end = clock::after(time);
    loop {
        if second.word.load(Ordering::SeqCst) != second.expected {
            return Woken::Changed;
        }
        let left = clock::until(end);
        if left.is_zero() {
            return Woken::TimedOut;
        }
        match wait(first.word, first.expected, left.min(LOOK)) {
            Woken::TimedOut => {}
            woken => return woken,
        }
    }
}

/// Wakes everybody who sleeps on `word`.
pub fn wake_all(word: &AtomicU32) {
    wake(word, i32::MAX.cast_unsigned());
}

/// Wakes at most `count` of those who sleep on `word`, those first that have slept longest.
pub fn wake(word: &AtomicU32, count: u32) {
    // Fails only for an address that is not mapped, which a reference rules out.
    let _ = futex::wake(word, Flags::empty(), count);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleeper_on_two_words_wakes_for_either_with_the_kernels_help_and_without() {
        for change_first in [true, false] {
            for helped in [true, false] {
                let words = [AtomicU32::new(1), AtomicU32::new(2)];
                std::thread::scope(|scope| {
                    let sleeper = scope.spawn(|| {
                        let first = Pair { word: &words[0], expected: 1 };
                        let second = Pair { word: &words[1], expected: 2 };
                        let time = Duration::from_secs(20);
                        if helped {
                            wait_either(first, Some(second), time)
                        } else {
                            wait_and_look(first, second, time)
                        }
                    });
                    let word = &words[usize::from(!change_first)];
                    word.store(0, Ordering::SeqCst);
                    wake_all(word);
                    assert_eq!(sleeper.join().unwrap(), Woken::Changed);
                });
            }
        }
    }

    #[test]
    fn a_sleep_on_two_words_ends_in_time() {
        let words = [AtomicU32::new(1), AtomicU32::new(2)];
        let [first, second] = [0, 1].map(|at| Pair { word: &words[at], expected: at as u32 + 1 });
        let time = Duration::from_millis(15);
        assert_eq!(wait_either(first, Some(second), time), Woken::TimedOut);
        assert_eq!(wait_and_look(first, second, time), Woken::TimedOut);
    }
}
