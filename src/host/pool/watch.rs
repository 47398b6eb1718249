//! A descriptor for an event loop: it polls readable once a job of a pool is over.
//!
//! The other end is the zygote's. A worker that has ended a job whose slot says so rings it, and it closes that end, which
//! stays readable. There are ends that no worker can tell of: a pool needs its host to replace a dead worker, and to
//! put jobs that wait in the host's memory into slots. Then the zygote writes a byte, so that a host that sleeps in its
//! loop comes by; looking after the job takes the byte out again. So readable is a hint, as poll(2) has it.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::Ordering;

use rustix::net::{RecvFlags, Shutdown, recv, shutdown};

use super::state::{Pool, Stage, Ticket};
use llib_core::shm::POLLED;
use llib_core::sys::fork::Owned;
use llib_core::wire::control::{NO_SLOT, PoolJobRef, Watched};

impl Pool {
    /// The descriptor of a job; the same each time, until the job is forgotten.
    pub(super) fn watch(&mut self, ticket: Ticket) -> io::Result<RawFd> {
        if let Some(watch) = &self.records[ticket].watch {
            return Ok(watch.as_raw_fd());
        }
        self.attend();
        let what = self.ended(ticket).is_none().then(|| {
            let slot = match self.records[ticket].stage {
                Stage::Slot(index) => {
                    self.slot(index).notify().store(1, Ordering::SeqCst);
                    index
                }
                _ => NO_SLOT,
            };
            self.polled |= slot == NO_SLOT;
            let job = PoolJobRef { pool: self.number, slot, number: self.records[ticket].number };
            Watched::Pooled(job, self.crew.deaths_seen)
        });
        let ours = self.session.watch(what)?;
        let number = ours.as_raw_fd();
        self.records[ticket].watch = Some(Owned::new(ours));
        if self.polled {
            self.ask_for_visits();
        }
        Ok(number)
    }

    /// Sees to what the pool needs of its host, on behalf of whoever waits for a job.
    pub(super) fn look_after(&mut self, ticket: Ticket) {
        if self.ended(ticket).is_none()
            && let Some(watch) = &self.records[ticket].watch
            && drain(watch)
        {
            // The job is over, or whoever would tell is gone.
            self.session.check();
        }
        self.attend();
    }

    /// A job is over: its descriptor is readable from now on, whatever is read from it.
    pub(super) fn conclude_watch(&self, ticket: Ticket) {
        if let Some(watch) = &self.records[ticket].watch
            && self.session.is_ours()
        {
            let _ = shutdown(&**watch, Shutdown::Both);
        }
    }

    /// While jobs wait here for slots and somebody polls for one of them: has the workers ring when they have nothing to do.
    pub(super) fn ask_for_visits(&mut self) {
        if !self.backlog.is_empty() {
            self.memory.hungry().store(POLLED, Ordering::SeqCst);
        }
    }
}

/// Takes out what the zygote wrote; whether it has closed its end.
fn drain(watch: &OwnedFd) -> bool {
    let mut bytes = [0; 64];
    loop {
        match recv(watch, &mut bytes, RecvFlags::DONTWAIT) {
            Ok((0, _)) => return true,
            Ok((count, _)) if count == bytes.len() => {}
            _ => return false,
        }
    }
}
