//! How long a message of a distrusted sender may take to become values.
//!
//! Lua's tables and its set of strings have hash functions that everybody knows. A sender can choose keys that all fall on one
//! place, and values that have a table counted anew at each store; then the time grows with the square of the length. What counts is this
//! thread's CPU time: a busy machine makes no message worse.

use llib_core::sys::clock;

/// CPU time that any message has, in nanoseconds.
pub(super) const LEAST: u64 = 20_000_000;

/// What a byte of the message adds. The slowest honest ones take a tenth of it.
pub(super) const EACH_BYTE: u64 = if cfg!(debug_assertions) { 2_000 } else { 200 };

/// Steps between two looks at the clock, a power of two. A single step takes a millisecond where everything collides.
const STEPS: u32 = 8;

/// Steps before the first look: in those nothing can take long, and a look at CPU time is a system call.
const FREE: u32 = 64;

/// What is left of the time.
pub(super) struct Budget {
    /// Length of the message.
    len: usize,
    steps: u32,
    /// When the CPU time is looked at, in the time of [`clock::now`]; less cannot have been used before. 0 before the first look.
    next: u64,
    /// The CPU time at which it is used up.
    end: u64,
}

impl Budget {
    /// For a message of this length.
    pub(super) fn new(len: usize) -> Budget {
        Budget { len, steps: 0, next: 0, end: 0 }
    }

    /// Notes a step; whether the time is used up.
    #[inline]
    pub(super) fn is_used_up(&mut self) -> bool {
        self.steps += 1;
        self.steps >= FREE && self.steps.is_multiple_of(STEPS) && self.look()
    }

    #[cold]
    fn look(&mut self) -> bool {
        self.steps = FREE;
        let now = clock::now();
        if now < self.next {
            return false;
        }
        let used = clock::thread();
        if self.next == 0 {
            self.end = used.saturating_add(LEAST.saturating_add(EACH_BYTE.saturating_mul(self.len as u64)));
        }
        let left = self.end.saturating_sub(used);
        self.next = now.saturating_add(left).max(1);
        left == 0
    }
}
