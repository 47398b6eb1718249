//! A job that a worker of a pool runs, among others.

use std::cell::{RefCell, RefMut};
use std::io;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::time::Duration;

use super::ending::{Order, carry_out};
use super::state::{Pool, Ticket};
use crate::dispatched::{Dispatched, Settled, Stopper};
use crate::reply::{ReplyBytes, ReplyError};
use crate::wait::{NotYet, Patience};
use llib_core::shared::Object;
use llib_core::shm::{Payload, RegionError};
use llib_core::wire::cause::Cause;

/// See [`Dispatched`]. The pool stays as long as one of its jobs is held.
pub struct Pooled {
    pool: Rc<RefCell<Pool>>,
    ticket: Ticket,
    released: bool,
}

impl Pooled {
    /// Queues a job, whose payload ends with the ids of `objects` if there are any. For a `roomy` one a long reply is
    /// expected.
    pub fn submit(
        pool: &Rc<RefCell<Pool>>,
        payload: &dyn Payload,
        objects: &[&Object],
        roomy: bool,
    ) -> Result<Pooled, RegionError> {
        let ticket = pool.borrow_mut().submit(payload, objects, roomy)?;
        Ok(Pooled { pool: Rc::clone(pool), ticket, released: false })
    }

    /// Its number in the pool's own list, as long as it is held.
    pub fn ticket(&self) -> Ticket {
        self.ticket
    }

    fn pool(&self) -> RefMut<'_, Pool> {
        self.pool.borrow_mut()
    }

    /// Gives it up if no worker has it yet; whether that was so.
    pub fn cancel(&self, cause: Cause) -> bool {
        self.pool().cancel(self.ticket, cause)
    }

    /// Nanoseconds that a worker was at it, as that says.
    pub fn took(&self) -> u64 {
        self.pool().took(self.ticket)
    }

    /// What the zygote shall do with its worker, unless it is over. `None` if no worker has it.
    fn signal_order(&self, signal: i32) -> Option<Order> {
        // One that no worker has cannot notice any signal but those that end it.
        let ends =
            !matches!(signal, libc::SIGSTOP | libc::SIGCONT | libc::SIGCHLD | libc::SIGURG | libc::SIGWINCH);
        let mut pool = self.pool();
        if pool.ended(self.ticket).is_some() || (ends && pool.cancel(self.ticket, Cause::Killed)) {
            return None;
        }
        pool.signal(self.ticket, signal, Cause::Killed)
    }
}

impl Dispatched for Pooled {
    fn is_ours(&self) -> bool {
        self.pool().is_ours()
    }

    fn id(&self) -> u64 {
        self.pool().id(self.ticket)
    }

    fn pid(&self) -> Option<i32> {
        self.pool().pid(self.ticket)
    }

    fn wait_for_pid(&self) -> Result<Option<i32>, NotYet> {
        let mut pool = self.pool();
        pool.attend();
        Ok(pool.pid(self.ticket))
    }

    fn settled(&self) -> Option<Settled> {
        self.pool().ended(self.ticket)
    }

    fn settled_by_now(&self) -> Option<Settled> {
        let mut pool = self.pool();
        pool.look_after(self.ticket);
        pool.ended(self.ticket)
    }

    fn wait(&self, limit: Option<u64>) -> Result<Settled, NotYet> {
        self.pool().wait(self.ticket, limit)
    }

    /// Workers of pools are trusted.
    fn reply(&self, _: Option<usize>) -> Result<ReplyBytes<'_>, ReplyError> {
        self.pool().bytes(self.ticket).ok_or(ReplyError::Gone)
    }

    /// It also polls readable when the pool wants to be looked after.
    fn watch(&self) -> io::Result<RawFd> {
        self.pool().watch(self.ticket)
    }

    fn signal(&self, signal: i32, patience: Patience<'_>) -> bool {
        loop {
            let Some(order) = self.signal_order(signal) else { return false };
            let sent = order.carry_out(patience);
            if !sent || signal != libc::SIGKILL {
                return sent && (signal != libc::SIGSTOP || self.pool().is_running(self.ticket));
            }
            if self.wait(None).is_err() && !patience() {
                return true;
            }
        }
    }

    fn is_paused(&self) -> bool {
        self.pool().is_paused(self.ticket)
    }

    fn kill_after(&self, grace: Duration, cause: Cause, patience: Patience<'_>) {
        let order = self.pool().kill_after(self.ticket, grace, cause);
        carry_out(order, patience);
    }

    fn close(&self, grace: Option<Duration>, patience: Patience<'_>) {
        let order = self.pool().close_job(self.ticket, grace);
        if self.is_paused() {
            // Stopped it could not see that it is asked.
            self.signal(libc::SIGCONT, patience);
        }
        carry_out(order, patience);
    }

    fn wall(&self) -> Duration {
        self.pool().wall(self.ticket)
    }

    fn is_lost(&self) -> bool {
        self.pool().is_lost()
    }

    fn stopper(&self) -> Option<Stopper> {
        self.pool().stopper()
    }

    fn release(&mut self) {
        if !std::mem::replace(&mut self.released, true) && self.is_ours() {
            self.pool().forget(self.ticket);
        }
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        if !self.released && self.is_ours() {
            self.pool().detach(self.ticket);
        }
    }
}
