//! Waiting without sleeping, as long as that pays.
//!
//! Going to sleep and being woken costs some microseconds where the processor stays busy, and 50 to 100 where it
//! falls idle. So whoever waits for a process that runs already does better to look a little while. How long is
//! learned: each success allows more, each failure less, so that waits that are long anyway cost next to nothing. Two
//! processes that both sleep never meet awake, so now and then the longest time is tried again.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::sys::{clock, cores};

/// The longest time, in nanoseconds: what a sleep through an idle processor costs.
const LONGEST: u64 = 60_000;
/// The shortest one: a success has to be possible, or the time could never grow again.
const SHORTEST: u64 = 2_000;

/// One wait of so many tries the longest time.
const PROBE: u64 = 32;

static TIME: AtomicU64 = AtomicU64::new(LONGEST / 2);
static WAITS: AtomicU64 = AtomicU64::new(0);

/// Looks again and again until `done`, for a little while; whether it is.
pub fn until(done: impl Fn() -> bool) -> bool {
    if done() {
        return true;
    }
    if !cores::several() {
        return false;
    }
    let waits = WAITS.load(Ordering::Relaxed);
    WAITS.store(waits.wrapping_add(1), Ordering::Relaxed);
    let probes = waits.is_multiple_of(PROBE);
    let learned = TIME.load(Ordering::Relaxed);
    let time = if probes { LONGEST } else { learned };
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
            if !probes {
                TIME.store((learned / 2).max(SHORTEST), Ordering::Relaxed);
            }
            return false;
        }
    }
}
