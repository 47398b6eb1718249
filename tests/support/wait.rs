//! Waiting for an event. A test never sleeps for luck: it names what it waits for, and for how long.

use std::thread;
use std::time::{Duration, Instant};

/// Looks every millisecond until `event` gives something; `None` if that takes longer than `limit`.
pub fn until<T>(limit: Duration, mut event: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        if let Some(result) = event() {
            return Some(result);
        }
        if start.elapsed() > limit {
            return None;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// [`until`] for a condition.
pub fn until_true(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    until(limit, || condition().then_some(())).is_some()
}
