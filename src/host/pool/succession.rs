//! A host that has other privileges than when it made a pool: another pool takes the jobs from then on.
//!
//! Jobs that a worker has come to their end where they are. Those that wait move, for nothing is begun any more with
//! what the host has given up.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::state::{Pool, Record, Stage, Ticket};
use crate::dispatched::Settled;
use crate::launch::DispatchError;
use crate::session::Session;
use llib_core::shm::{Region, Word, stage};
use llib_core::wire::control::Action;

impl Pool {
    /// Makes a successor if this pool needs one; the process's session is what it has to do with. Where there is none, jobs that
    /// wait are lost.
    pub fn succeed_if_due(&mut self) {
        if !self.session.is_ours() || !self.session.is_retired() || self.successor.is_some() {
            return;
        }
        let waiting = self.waiting();
        if !self.open && waiting.is_empty() {
            return;
        }
        let succeeded = Session::running().is_some_and(|session| self.succeed(session, &waiting).is_ok());
        if !succeeded {
            for ticket in waiting {
                if self.take_back(ticket) {
                    self.settle(ticket, Settled::Lost, 0);
                }
            }
        }
    }

    /// The pool that takes this one's place.
    pub fn successor(&self) -> Option<Rc<RefCell<Pool>>> {
        self.successor.clone()
    }

    /// Where a job has moved. Here its record is gone then.
    pub(super) fn moved(&mut self, ticket: Ticket) -> Option<(Rc<RefCell<Pool>>, Ticket)> {
        let Stage::Moved(there) = self.records[ticket].stage else { return None };
        let successor = self.successor()?;
        self.records[ticket].stage = Stage::Vacant;
        self.vacant.push(ticket);
        Some((successor, there))
    }

    fn succeed(&mut self, session: Arc<Session>, waiting: &[Ticket]) -> Result<(), DispatchError> {
        let mut successor = Pool::start(Arc::clone(&session), self.plan.clone())?;
        if let Some(timeout) = self.plan.timeout {
            let timeout = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
            // Supervisors that are gone limit nothing, and nothing runs.
            let _ = session.send(Action::LimitPool { pool: successor.number, timeout });
            session.ring.ring();
        }
        (successor.next, successor.open) = (self.next, self.open);
        for ticket in waiting.iter().copied() {
            if self.take_back(ticket) {
                let record = std::mem::take(&mut self.records[ticket]);
                self.records[ticket].stage = Stage::Moved(successor.adopt(record));
            }
        }
        self.backlog.clear();
        self.open = false;
        successor.attend();
        self.successor = Some(Rc::new(RefCell::new(successor)));
        Ok(())
    }

    /// Jobs that no worker has, oldest first.
    fn waiting(&self) -> Vec<Ticket> {
        let queued = |ticket: &Ticket| match self.records[*ticket].stage {
            Stage::Slot(index) => self.slot(index).word().stage == stage::QUEUED,
            _ => true,
        };
        let mut waiting: Vec<Ticket> = self.unfinished().filter(queued).collect();
        waiting.sort_by_key(|ticket| self.records[*ticket].number);
        waiting
    }

    /// Takes a job that waits out of its slot; false if a worker was faster.
    fn take_back(&mut self, ticket: Ticket) -> bool {
        let Stage::Slot(index) = self.records[ticket].stage else {
            return matches!(self.records[ticket].stage, Stage::Backlog(_));
        };
        let number = self.records[ticket].number;
        let slot = self.slot(index);
        let queued = Word { number, seat: 0, stage: stage::QUEUED };
        if !slot.change(queued, Word { stage: stage::FREE, ..queued }) {
            return false;
        }
        let len = slot.length();
        let bytes = if len <= slot.capacity() {
            slot.payload().first(len).copy()
        } else {
            Region::take(&self.memory.job_name(number))
                .map(|region| region.bytes().copy())
                .unwrap_or_default()
        };
        self.records[ticket].stage = Stage::Backlog(bytes);
        self.free_used(index);
        true
    }

    /// Takes a job over that waits.
    fn adopt(&mut self, mut record: Record) -> Ticket {
        record.generation = self.generation;
        let ticket = self.records.len();
        self.records.push(record);
        self.backlog.push_back(ticket);
        ticket
    }
}
