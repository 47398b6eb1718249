//! Waiting without sleeping, as long as that pays.
//!
//! Going to sleep and being woken costs some microseconds where the processor stays busy, and 50 to 100 where it
//! falls idle. So whoever waits for a process that runs already does better to look a little while. How long is
//! learned: each success allows more, each failure less, so that waits that are long anyway cost next to nothing.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::sys::{clock, cores};

/// The longest time, in nanoseconds: what a sleep through an idle processor costs.
const LONGEST: u64 = 60_000;
/// The shortest one: a success has to be possible, or the time could never grow again.
const SHORTEST: u64 = 2_000;

static TIME: AtomicU64 = AtomicU64::new(LONGEST / 2);

/// Looks again and again until `done`, for a little while; whether it is.
pub fn until(done: impl Fn() -> bool) -> bool {
    if done() {
        return true;
    }
    if !cores::several() {
        return false;
    }
    let time = TIME.load(Ordering::Relaxed);
    let end = clock::now() + time;
    loop {
        for _ in 0..16 {
            std::hint::spin_loop();
            if done() {
                TIME.store((time + time / 4).min(LONGEST), Ordering::Relaxed);
                return true;
            }
        }
        if clock::now() >= end {
            TIME.store((time / 2).max(SHORTEST), Ordering::Relaxed);
            return false;
        }
    }
}
