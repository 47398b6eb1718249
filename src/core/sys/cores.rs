//! How many processors this process may use.

use std::sync::OnceLock;

/// Their number, sched_getaffinity(2); asked once.
pub fn count() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// Whether waiting without sleeping can be of use.
pub fn several() -> bool {
    count() > 1
}
