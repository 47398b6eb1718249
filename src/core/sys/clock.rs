//! The monotonic clock, the same for every process of the machine.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since some fixed point, CLOCK_MONOTONIC of clock_gettime(2).
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

/// Nanoseconds of CPU time that this thread has used, CLOCK_THREAD_CPUTIME_ID of clock_gettime(2).
pub fn thread() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

/// The point in time that lies `duration` ahead; the end of time if that is too far.
pub fn after(duration: Duration) -> u64 {
    add(now(), duration)
}

/// The point in time that lies `duration` after another; the end of time if that is too far.
pub fn add(time: u64, duration: Duration) -> u64 {
    time.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}

/// How long until a point in time; zero if it is past.
pub fn until(time: u64) -> Duration {
    Duration::from_nanos(time.saturating_sub(now()))
}
