//! Sleeping until something is the case, in slices: after each there is time for other things.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use llib_core::sys::clock;
use llib_core::sys::futex::{self, Woken};

/// How long a sleep lasts at most before it looks whether its supervisors live. They wake sleepers before
/// they go; this is for the case that all of them were killed at once.
pub(super) const SLICE: Duration = Duration::from_millis(50);

/// Asked again and again while something takes longer than usual, for instance because the zygote was
/// stopped: whether to wait on.
pub type Patience<'a> = &'a mut dyn FnMut() -> bool;

/// Why a wait ended without what was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotYet {
    /// Not in this time.
    TimedOut,
    /// A signal handler ran, or may have: time for the interpreter's hooks. Wait again.
    Pause,
}

/// Sleeps until `look` finds something, at most until `limit` on the monotonic clock. It looks whenever the bell was
/// rung; with `true` when a slice has passed without that, so that nobody may be left who would ring.
///
/// No spinning first: the scheduler likes to put the worker on the core of whoever woke it, where a
/// spinning host would only be in its way. Measured in `docs/decisions/0006-no-spinning.md`.
pub(super) fn sleep_until<T>(
    bell: &AtomicU32,
    limit: Option<u64>,
    mut look: impl FnMut(bool) -> Option<T>,
) -> Result<T, NotYet> {
    let pause = clock::after(SLICE);
    loop {
        let seen = bell.load(Ordering::SeqCst);
        if let Some(found) = look(false) {
            return Ok(found);
        }
        let left = limit.map_or(SLICE, clock::until).min(SLICE);
        if left.is_zero() {
            return Err(NotYet::TimedOut);
        }
        match futex::wait(bell, seen, left) {
            // Ringing again and again must not keep the hooks from running.
            Woken::Changed if !clock::until(pause).is_zero() => {}
            Woken::Changed | Woken::Interrupted => return Err(NotYet::Pause),
            // A handler that ran just before the sleep began did not interrupt it.
            Woken::TimedOut => return look(true).ok_or(NotYet::Pause),
        }
    }
}

/// Sleeps until a word that counts has come to `number`; false if `goes_on` did not want that any more. It is asked before
/// each sleep, and with `true` after one in which nothing happened.
pub(super) fn reaches(word: &AtomicU32, number: u32, mut goes_on: impl FnMut(bool) -> bool) -> bool {
    loop {
        let seen = word.load(Ordering::SeqCst);
        // Numbers wrap around; half the circle away is far more than can be under way.
        if seen.wrapping_sub(number) < u32::MAX / 2 {
            return true;
        }
        if !goes_on(false) || (futex::wait(word, seen, SLICE) != Woken::Changed && !goes_on(true)) {
            return false;
        }
    }
}
