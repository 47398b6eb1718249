//! Waiting for a job of a pool.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::state::{Pool, Stage, Ticket};
use crate::dispatched::Settled;
use crate::wait::{NotYet, sleep_until};
use llib_core::shm::{ANY, Awaited, Board, stage, waiting_in};
use llib_core::sync::spin;
use llib_core::sys::clock;

impl Pool {
    /// Waits until a job is over, at most until `limit` on the monotonic clock.
    ///
    /// Other than for a process of its own, this looks out for the result for a little while before it sleeps: the worker
    /// is awake already, and a job is often done sooner than a sleeper wakes.
    pub(super) fn wait(&mut self, ticket: Ticket, limit: Option<u64>) -> Result<Settled, NotYet> {
        if let Some(settled) = self.ended(ticket) {
            return Ok(settled);
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
                && let Some(settled) = self.ended(ticket)
            {
                return Ok(settled);
            }
        }
        let awaited = if matches!(self.records[ticket].stage, Stage::Slot(_)) {
            self.records[ticket].number
        } else {
            ANY
        };
        self.sleep(awaited, limit, |pool| pool.ended(ticket))
    }

    /// Waits until no job is left that is not over.
    pub(super) fn wait_for_all(&mut self, limit: Option<u64>) -> Result<(), NotYet> {
        self.sleep(ANY, limit, |pool| pool.unfinished().next().is_none().then_some(()))
    }

    /// Waits until one of these jobs is over, of those that there are.
    pub fn wait_for_any(&mut self, tickets: &[Ticket]) -> Result<(), NotYet> {
        let any = |pool: &mut Pool| tickets.iter().find_map(|ticket| pool.ended(*ticket)).map(|_| ());
        match any(self) {
            Some(()) => Ok(()),
            None => self.sleep(ANY, None, any),
        }
    }

    fn sleep<T>(
        &mut self,
        awaited: u64,
        limit: Option<u64>,
        done: impl Fn(&mut Pool) -> Option<T>,
    ) -> Result<T, NotYet> {
        let (session, memory) = (Arc::clone(&self.session), Rc::clone(&self.memory));
        let what = Awaited::Pool(self.number.into());
        let look = |late: bool| {
            memory.awaited().store(awaited, Ordering::SeqCst);
            if late {
                session.check();
            }
            self.attend();
            if late {
                self.look_for_deaths();
            } else if !self.backlog.is_empty() {
                let _ = memory.hungry().compare_exchange(0, 1, Ordering::SeqCst, Ordering::SeqCst);
                if memory.waiting() == 0 {
                    self.attend();
                }
            }
            done(self)
        };
        let outcome = waiting_in(session.waiting(), what, || sleep_until(memory.bell(), limit, look));
        memory.awaited().store(0, Ordering::SeqCst);
        outcome
    }
}
