//! A job that a worker of a pool runs, among others.

use std::cell::RefCell;
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
    place: RefCell<Place>,
    released: bool,
}

/// A pool, and the number of a job in its own list.
type Place = (Rc<RefCell<Pool>>, Ticket);

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
        Ok(Pooled { place: RefCell::new((Rc::clone(pool), ticket)), released: false })
    }

    /// Where it is. One that no worker has moves when its host gives up privileges.
    fn place(&self) -> Place {
        let mut place = self.place.borrow_mut();
        loop {
            let moved = {
                let mut pool = place.0.borrow_mut();
                pool.succeed_if_due();
                pool.moved(place.1)
            };
            match moved {
                Some(next) => *place = next,
                None => return place.clone(),
            }
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Pool, Ticket) -> T) -> T {
        let (pool, ticket) = self.place();
        act(&mut pool.borrow_mut(), ticket)
    }

    /// Waits until one of these jobs is over, of those that there are.
    pub fn wait_for_any<'a>(jobs: impl Iterator<Item = &'a Pooled>) -> Result<(), NotYet> {
        let places: Vec<Place> = jobs.map(Pooled::place).collect();
        let Some((pool, _)) = places.last() else { return Ok(()) };
        let (here, others): (Vec<&Place>, Vec<&Place>) =
            places.iter().partition(|(other, _)| Rc::ptr_eq(other, pool));
        if others.iter().any(|(pool, ticket)| pool.borrow_mut().ended(*ticket).is_some()) {
            return Ok(());
        }
        let tickets: Vec<Ticket> = here.iter().map(|(_, ticket)| *ticket).collect();
        pool.borrow_mut().wait_for_any(&tickets)
    }

    /// Gives it up if no worker has it yet; whether that was so.
    pub fn cancel(&self, cause: Cause) -> bool {
        self.with(|pool, ticket| pool.cancel(ticket, cause))
    }

    /// Nanoseconds that a worker was at it, as that says.
    pub fn took(&self) -> u64 {
        self.with(|pool, ticket| pool.took(ticket))
    }

    /// What the zygote shall do with its worker, unless it is over. `None` if no worker has it.
    fn signal_order(&self, signal: i32) -> Option<Order> {
        // One that no worker has cannot notice any signal but those that end it.
        let ends =
            !matches!(signal, libc::SIGSTOP | libc::SIGCONT | libc::SIGCHLD | libc::SIGURG | libc::SIGWINCH);
        self.with(|pool, ticket| {
            if pool.ended(ticket).is_some() || (ends && pool.cancel(ticket, Cause::Killed)) {
                return None;
            }
            pool.signal(ticket, signal, Cause::Killed)
        })
    }
}

impl Dispatched for Pooled {
    fn is_ours(&self) -> bool {
        self.place.borrow().0.borrow().is_ours()
    }

    fn id(&self) -> u64 {
        self.with(|pool, ticket| pool.id(ticket))
    }

    fn pid(&self) -> Option<i32> {
        self.with(|pool, ticket| pool.pid(ticket))
    }

    fn wait_for_pid(&self) -> Result<Option<i32>, NotYet> {
        self.with(|pool, ticket| {
            pool.attend();
            Ok(pool.pid(ticket))
        })
    }

    fn settled(&self) -> Option<Settled> {
        self.with(|pool, ticket| pool.ended(ticket))
    }

    fn settled_by_now(&self) -> Option<Settled> {
        self.with(|pool, ticket| {
            pool.look_after(ticket);
            pool.ended(ticket)
        })
    }

    fn wait(&self, limit: Option<u64>) -> Result<Settled, NotYet> {
        self.with(|pool, ticket| pool.wait(ticket, limit))
    }

    /// Workers of pools are trusted.
    fn reply(&self, _: Option<usize>) -> Result<ReplyBytes<'_>, ReplyError> {
        self.with(|pool, ticket| pool.bytes(ticket)).ok_or(ReplyError::Gone)
    }

    /// It also polls readable when the pool wants to be looked after.
    fn watch(&self) -> io::Result<RawFd> {
        self.with(|pool, ticket| pool.watch(ticket))
    }

    fn signal(&self, signal: i32, patience: Patience<'_>) -> bool {
        loop {
            let Some(order) = self.signal_order(signal) else { return false };
            let sent = order.carry_out(patience);
            if !sent || signal != libc::SIGKILL {
                return sent
                    && (signal != libc::SIGSTOP || self.with(|pool, ticket| pool.is_running(ticket)));
            }
            if self.wait(None).is_err() && !patience() {
                return true;
            }
        }
    }

    fn is_paused(&self) -> bool {
        self.with(|pool, ticket| pool.is_paused(ticket))
    }

    fn kill_after(&self, grace: Duration, cause: Cause, patience: Patience<'_>) {
        let order = self.with(|pool, ticket| pool.kill_after(ticket, grace, cause));
        carry_out(order, patience);
    }

    fn close(&self, grace: Option<Duration>, patience: Patience<'_>) {
        let order = self.with(|pool, ticket| pool.close_job(ticket, grace));
        if self.is_paused() {
            // Stopped it could not see that it is asked.
            self.signal(libc::SIGCONT, patience);
        }
        carry_out(order, patience);
    }

    fn wall(&self) -> Duration {
        self.with(|pool, ticket| pool.wall(ticket))
    }

    fn is_lost(&self) -> bool {
        self.with(|pool, _| pool.is_lost())
    }

    fn stopper(&self) -> Option<Stopper> {
        self.with(|pool, _| pool.stopper())
    }

    fn release(&mut self) {
        if !std::mem::replace(&mut self.released, true) && self.is_ours() {
            self.with(|pool, ticket| pool.forget(ticket));
        }
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        if !self.released && self.is_ours() {
            self.with(|pool, ticket| pool.detach(ticket));
        }
    }
}
