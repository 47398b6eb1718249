//! Waiting for a job of a pool.

use std::sync::atomic::Ordering;

use super::{Pool, Stage, Ticket};
use crate::session::SLICE;
use llib_core::observe::{Awaited, Board, waiting_in};
use llib_core::shm::{ANY, stage};
use llib_core::sync::spin;
use llib_core::sys::clock;
use llib_core::sys::futex::{self, Woken};

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolWait {
    /// What was waited for is the case.
    Ready,
    /// Not in this time.
    TimedOut,
    /// A signal handler ran, or may have: time for the interpreter's hooks. Wait again.
    Pause,
}

impl Pool {
    /// Waits until a job is over, at most until `limit` on the monotonic clock.
    ///
    /// Other than for a process of its own, this looks out for the result for a little while before it sleeps: the worker
    /// is awake already, and a job is often done sooner than a sleeper wakes.
    pub fn wait(&mut self, ticket: Ticket, limit: Option<u64>) -> PoolWait {
        if self.ended(ticket).is_some() {
            return PoolWait::Ready;
        }
        if self.records[ticket].watch.is_some() {
            self.look_after(ticket);
        }
        if let Stage::Slot(index) = self.records[ticket].stage
            && self.backlog.is_empty()
        {
            let slot = self.slot(index);
            let ended = || slot.word().stage == stage::DONE;
            if limit.is_none_or(|limit| clock::now() < limit)
                && spin::until(ended)
                && self.ended(ticket).is_some()
            {
                return PoolWait::Ready;
            }
        }
        let awaited = if matches!(self.records[ticket].stage, Stage::Slot(_)) {
            self.records[ticket].number
        } else {
            ANY
        };
        self.sleep(awaited, limit, |pool| pool.ended(ticket).is_some())
    }

    /// Waits until no job is left that is not over.
    pub fn wait_for_all(&mut self, limit: Option<u64>) -> PoolWait {
        self.sleep(ANY, limit, |pool| pool.unfinished().next().is_none())
    }

    /// Waits until one of these jobs is over, of those that there are.
    pub fn wait_for_any(&mut self, tickets: &[Ticket], limit: Option<u64>) -> PoolWait {
        let any = |pool: &mut Pool| tickets.iter().any(|ticket| pool.ended(*ticket).is_some());
        if any(self) {
            return PoolWait::Ready;
        }
        self.sleep(ANY, limit, any)
    }

    fn sleep(&mut self, awaited: u64, limit: Option<u64>, done: impl Fn(&mut Pool) -> bool) -> PoolWait {
        let session = self.session();
        let what = Awaited::Pool(self.number.into());
        waiting_in(session.waiting(), what, || self.sleep_until(awaited, limit, done))
    }

    fn sleep_until(
        &mut self,
        awaited: u64,
        limit: Option<u64>,
        done: impl Fn(&mut Pool) -> bool,
    ) -> PoolWait {
        let pause = clock::after(SLICE);
        loop {
            let seen = self.memory.bell().load(Ordering::SeqCst);
            self.memory.awaited().store(awaited, Ordering::SeqCst);
            self.attend();
            if !self.backlog.is_empty() {
                let _ = self.memory.hungry().compare_exchange(0, 1, Ordering::SeqCst, Ordering::SeqCst);
                if self.memory.waiting() == 0 {
                    self.attend();
                }
            }
            let outcome = if done(self) {
                Some(PoolWait::Ready)
            } else {
                let left = limit.map_or(SLICE, clock::until).min(SLICE);
                if left.is_zero() { Some(PoolWait::TimedOut) } else { self.doze(seen, left, pause, &done) }
            };
            if let Some(outcome) = outcome {
                self.memory.awaited().store(0, Ordering::SeqCst);
                return outcome;
            }
        }
    }

    fn doze(
        &mut self,
        seen: u32,
        time: std::time::Duration,
        pause: u64,
        done: &impl Fn(&mut Pool) -> bool,
    ) -> Option<PoolWait> {
        match futex::wait(self.memory.bell(), seen, time) {
            Woken::Changed if clock::until(pause).is_zero() => Some(PoolWait::Pause),
            Woken::Changed => None,
            Woken::Interrupted => Some(PoolWait::Pause),
            Woken::TimedOut => {
                self.session.check();
                self.attend();
                self.look_for_deaths();
                Some(if done(self) { PoolWait::Ready } else { PoolWait::Pause })
            }
        }
    }
}
