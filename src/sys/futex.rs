//! Sleeping on a word of shared memory, futex(2). Shared, not private: the sleepers are processes.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

use rustix::io::Errno;
use rustix::thread::futex::{self, Flags, Timespec};

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
    match futex::wait(word, Flags::empty(), expected, Some(&time)) {
        Ok(()) | Err(Errno::AGAIN) => Woken::Changed,
        Err(Errno::INTR) => Woken::Interrupted,
        Err(_) => Woken::TimedOut,
    }
}

/// Wakes everybody who sleeps on `word`.
pub fn wake_all(word: &AtomicU32) {
    // Fails only for an address that is not mapped, which a reference rules out.
    let _ = futex::wake(word, Flags::empty(), i32::MAX.cast_unsigned());
}
