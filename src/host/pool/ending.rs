//! Ending jobs before they end by themselves: killing, closing, and the end of the pool.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Ended, Pool, Stage, Ticket};
use crate::session::{Patience, Session};
use llib_core::shm::{Word, stage};
use llib_core::sys::clock;
use llib_core::wire::cause::Cause;
use llib_core::wire::control::{Action, PoolJobRef};

/// A command that the zygote has to carry out, for a moment at which the pool is not borrowed.
pub struct Order {
    session: Arc<Session>,
    action: Action,
}

impl Order {
    /// Has it carried out; false if nobody is left to do so, or `patience` is at its end.
    pub fn carry_out(self, patience: Patience<'_>) -> bool {
        self.session.is_ours() && self.session.command(self.action, patience)
    }
}

impl Pool {
    fn order(&self, action: Action) -> Order {
        Order { session: Arc::clone(&self.session), action }
    }

    /// Has the zygote look after the limit of time of this pool's jobs, if there is one.
    pub fn limit_time(&self) -> Option<Order> {
        let timeout = u64::try_from(self.plan.timeout?.as_nanos()).unwrap_or(u64::MAX);
        Some(self.order(Action::LimitPool { pool: self.number, timeout }))
    }

    fn reference(&self, ticket: Ticket) -> Option<PoolJobRef> {
        let Stage::Slot(slot) = self.records[ticket].stage else { return None };
        Some(PoolJobRef { pool: self.number, slot, number: self.records[ticket].number })
    }

    /// Gives a job up that no worker has yet; whether that was so.
    pub fn cancel(&mut self, ticket: Ticket, cause: Cause) -> bool {
        match self.records[ticket].stage {
            Stage::Backlog(_) => {}
            Stage::Slot(index) => {
                let queued = Word { number: self.records[ticket].number, seat: 0, stage: stage::QUEUED };
                if !self.slot(index).change(queued, Word { stage: stage::FREE, ..queued }) {
                    return false;
                }
            }
            Stage::Over(..) | Stage::Vacant => return false,
        }
        self.settle(ticket, Ended::Cancelled(cause), 0);
        true
    }

    /// Sends a signal to the worker of a job, if that runs.
    pub fn signal(&self, ticket: Ticket, signal: i32, cause: Cause) -> Option<Order> {
        let job = self.reference(ticket)?;
        Some(self.order(Action::SignalPooled { job, signal, cause }))
    }

    /// Has a job's worker killed if it is at it still after this time.
    pub fn kill_after(&self, ticket: Ticket, grace: Duration, cause: Cause) -> Option<Order> {
        let job = self.reference(ticket)?;
        Some(self.order(Action::KillPooledAt { job, at: clock::after(grace), cause }))
    }

    /// Asks a job to end at its next chance; one that no worker has is given up. What comes back has it killed
    /// after `grace`, if there is one, or if it lets itself be ended anywhere.
    pub fn close_job(&mut self, ticket: Ticket, grace: Option<Duration>) -> Option<Order> {
        /// As for a job of its own, see `Job::close`.
        const NOTICE: Duration = Duration::from_millis(50);
        if self.cancel(ticket, Cause::Closed) {
            return None;
        }
        let Stage::Slot(index) = self.records[ticket].stage else { return None };
        let slot = self.slot(index);
        slot.closing().store(1, Ordering::SeqCst);
        let anywhere = slot.autoclose().load(Ordering::SeqCst) != 0;
        let time = grace.or(anywhere.then_some(NOTICE))?;
        self.kill_after(ticket, time, Cause::Closed)
    }

    /// Takes no more jobs.
    pub fn shut(&mut self) {
        self.open = false;
    }

    /// Gives up all jobs that no worker has, and returns those that one has.
    pub fn give_up(&mut self, cause: Cause) -> Vec<Ticket> {
        let left: Vec<Ticket> = self.unfinished().collect();
        left.into_iter().filter(|ticket| !self.cancel(*ticket, cause)).collect()
    }

    /// Lets the workers go; results that were not taken yet stay.
    pub fn leave(&mut self) {
        self.dismiss();
    }
}
