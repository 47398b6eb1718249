//! When to kill whom.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use llib_core::shm::SLOTS;
use llib_core::wire::cause::Cause;
use llib_core::wire::control::JobRef;

/// One appointment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Deadline {
    pub(super) at: u64,
    pub(super) job: JobRef,
    pub(super) cause: Cause,
}

/// All of them, the next one first. Those of jobs that ended are dropped when their time comes.
#[derive(Default)]
pub(super) struct Deadlines {
    heap: BinaryHeap<Reverse<(u64, u32, u32, u32)>>,
}

impl Deadlines {
    pub(super) fn add(&mut self, deadline: Deadline) {
        let Deadline { at, job, cause } = deadline;
        self.heap.push(Reverse((at, job.slot, job.generation, cause.code())));
    }

    /// Drops those of jobs that `is_current` does not know any more, if there are many.
    pub(super) fn tidy(&mut self, is_current: impl Fn(JobRef) -> bool) {
        if self.heap.len() > 2 * SLOTS {
            self.heap.retain(|Reverse((_, slot, generation, _))| {
                is_current(JobRef { slot: *slot, generation: *generation })
            });
        }
    }

    /// When the next one is.
    pub(super) fn next(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    /// Takes one that is due.
    pub(super) fn due(&mut self, now: u64) -> Option<Deadline> {
        if self.next()? > now {
            return None;
        }
        let Reverse((at, slot, generation, cause)) = self.heap.pop()?;
        Some(Deadline { at, job: JobRef { slot, generation }, cause: Cause::from_code(cause) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_come_in_the_order_of_their_time_and_not_before_it() {
        let mut deadlines = Deadlines::default();
        let deadline = |at| Deadline { at, job: JobRef { slot: 1, generation: 2 }, cause: Cause::Deadline };
        for at in [30, 10, 20] {
            deadlines.add(deadline(at));
        }
        assert_eq!(deadlines.next(), Some(10));
        assert_eq!(deadlines.due(9), None);
        assert_eq!(deadlines.due(25), Some(deadline(10)));
        assert_eq!(deadlines.due(25), Some(deadline(20)));
        assert_eq!(deadlines.due(25), None);
    }

    #[test]
    fn deadlines_of_jobs_that_ended_do_not_pile_up() {
        let mut deadlines = Deadlines::default();
        for generation in 0..10 * SLOTS as u32 {
            let job = JobRef { slot: 1, generation };
            deadlines.add(Deadline { at: u64::MAX, job, cause: Cause::Deadline });
            deadlines.tidy(|job| job.generation == generation);
        }
        assert!(deadlines.heap.len() <= 2 * SLOTS + 1);
    }
}
