//! Ending jobs before they end by themselves: killing, closing, and the end of the pool.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::state::{Pool, Stage, Ticket};
use crate::dispatched::{Settled, time_to_close};
use crate::session::Session;
use crate::wait::{NotYet, Patience};
use llib_core::shm::{Word, stage};
use llib_core::sys::clock;
use llib_core::wire::cause::Cause;
use llib_core::wire::control::{Action, PoolJobRef};

/// A command that the zygote has to carry out, for a moment at which the pool is not borrowed.
pub(super) struct Order {
    session: Arc<Session>,
    action: Action,
}

impl Order {
    /// Has it carried out; false if nobody is left to do so, or `patience` is at its end.
    pub(super) fn carry_out(self, patience: Patience<'_>) -> bool {
        self.session.is_ours() && self.session.command(self.action, patience)
    }
}

/// The same for one that there may be no need of.
pub(super) fn carry_out(order: Option<Order>, patience: Patience<'_>) {
    if let Some(order) = order {
        order.carry_out(patience);
    }
}

/// Has the zygote look after the limit of time of a pool's jobs, if there is one.
pub fn limit_time(pool: &RefCell<Pool>, patience: Patience<'_>) {
    let order = pool.borrow().time_limit();
    carry_out(order, patience);
}

/// Takes no more jobs, waits for all until the time `limit` if there is one, kills what is left then, and lets the workers
/// go; results that were not taken yet stay. True if all came to their own end, false also if `patience` was at its end.
pub fn close(pool: &RefCell<Pool>, limit: Option<u64>, patience: Patience<'_>) -> bool {
    if !pool.borrow().is_ours() {
        return true;
    }
    pool.borrow_mut().open = false;
    let mut by_themselves = true;
    loop {
        let waited = pool.borrow_mut().wait_for_all(limit.filter(|_| by_themselves));
        match waited {
            Ok(()) => break,
            Err(NotYet::Pause) if patience() => {}
            Err(NotYet::Pause) => return false,
            Err(NotYet::TimedOut) => {
                by_themselves = false;
                let left = pool.borrow_mut().give_up(Cause::Closed);
                for ticket in left {
                    let order = pool.borrow().kill_after(ticket, Duration::ZERO, Cause::Closed);
                    carry_out(order, patience);
                }
            }
        }
    }
    pool.borrow_mut().dismiss();
    by_themselves
}

impl Pool {
    fn order(&self, action: Action) -> Order {
        Order { session: Arc::clone(&self.session), action }
    }

    fn time_limit(&self) -> Option<Order> {
        let timeout = u64::try_from(self.plan.timeout?.as_nanos()).unwrap_or(u64::MAX);
        Some(self.order(Action::LimitPool { pool: self.number, timeout }))
    }

    fn reference(&self, ticket: Ticket) -> Option<PoolJobRef> {
        let Stage::Slot(slot) = self.records[ticket].stage else { return None };
        Some(PoolJobRef { pool: self.number, slot, number: self.records[ticket].number })
    }

    /// Gives a job up that no worker has yet; whether that was so.
    pub(super) fn cancel(&mut self, ticket: Ticket, cause: Cause) -> bool {
        match self.records[ticket].stage {
            _ if !self.is_ours() => return false,
            Stage::Backlog(_) => {}
            Stage::Slot(index) => {
                let queued = Word { number: self.records[ticket].number, seat: 0, stage: stage::QUEUED };
                if !self.slot(index).change(queued, Word { stage: stage::FREE, ..queued }) {
                    return false;
                }
            }
            Stage::Over(..) | Stage::Moved(_) | Stage::Vacant => return false,
        }
        self.settle(ticket, Settled::Cancelled(cause), 0);
        true
    }

    /// Sends a signal to the worker of a job, if that runs.
    pub(super) fn signal(&self, ticket: Ticket, signal: i32, cause: Cause) -> Option<Order> {
        let job = self.reference(ticket)?;
        Some(self.order(Action::SignalPooled { job, signal, cause }))
    }

    /// Has a job's worker killed if it is at it still after this time.
    pub(super) fn kill_after(&self, ticket: Ticket, grace: Duration, cause: Cause) -> Option<Order> {
        let job = self.reference(ticket)?;
        Some(self.order(Action::KillPooledAt { job, at: clock::after(grace), cause }))
    }

    /// Asks a job to end at its next chance; one that no worker has is given up. What comes back has it killed
    /// after `grace`, if there is one, or if it lets itself be ended anywhere.
    pub(super) fn close_job(&mut self, ticket: Ticket, grace: Option<Duration>) -> Option<Order> {
        if self.cancel(ticket, Cause::Closed) {
            return None;
        }
        let Stage::Slot(index) = self.records[ticket].stage else { return None };
        let slot = self.slot(index);
        slot.closing().store(1, Ordering::SeqCst);
        self.kill_after(ticket, time_to_close(grace, slot.autoclose())?, Cause::Closed)
    }

    /// Gives up all jobs that no worker has, and returns those that one has.
    fn give_up(&mut self, cause: Cause) -> Vec<Ticket> {
        let left: Vec<Ticket> = self.unfinished().collect();
        left.into_iter().filter(|ticket| !self.cancel(*ticket, cause)).collect()
    }
}
