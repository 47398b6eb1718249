//! How many processors this process may use.

use std::sync::atomic::{AtomicUsize, Ordering};

static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Their number, sched_getaffinity(2); asked once.
pub fn count() -> usize {
    match COUNT.load(Ordering::Relaxed) {
        0 => {
            let count = std::thread::available_parallelism().map_or(1, usize::from);
            COUNT.store(count, Ordering::Relaxed);
            count
        }
        count => count,
    }
}

/// Whether waiting without sleeping can be of use.
pub fn several() -> bool {
    count() > 1
}
