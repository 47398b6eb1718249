//! How many processors this process may use.

use std::sync::atomic::{AtomicUsize, Ordering};

/// 0 until it was asked for.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Their number, sched_getaffinity(2); asked once, and when it is known to have changed.
pub fn count() -> usize {
    match COUNT.load(Ordering::Relaxed) {
        0 => look_again(),
        count => count,
    }
}

/// Asks for their number: it has changed.
pub fn look_again() -> usize {
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    COUNT.store(count, Ordering::Relaxed);
    count
}

/// Whether waiting without sleeping can be of use.
pub fn several() -> bool {
    count() > 1
}
