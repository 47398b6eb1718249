//! What became of jobs: their results, and the ends of those that have none.

use std::sync::atomic::Ordering;

use super::state::{Pool, Stage, Ticket};
use crate::dispatched::Settled;
use crate::reply::ReplyBytes;
use llib_core::shared::{open_parcel, release};
use llib_core::shm::{Region, Word, carries, slot_capacity};
use llib_core::sys::clock;
use llib_core::wire::cause::Cause;

impl Pool {
    /// How a job ended, if it has.
    pub(super) fn ended(&mut self, ticket: Ticket) -> Option<Settled> {
        match &self.records[ticket].stage {
            Stage::Over(ended, _) => Some(*ended),
            Stage::Slot(index) => {
                let index = *index;
                if !self.is_done(ticket, index) {
                    return None;
                }
                self.note_result(ticket, index);
                Some(Settled::Reply(self.slot(index).code()))
            }
            Stage::Backlog(_) | Stage::Moved(_) | Stage::Vacant => None,
        }
    }

    /// Nobody wants to know of a job any more. One that is not over runs on.
    pub(super) fn detach(&mut self, ticket: Ticket) {
        if self.ended(ticket).is_some() {
            return self.forget(ticket);
        }
        let record = &mut self.records[ticket];
        (record.detached, record.watch) = (true, None);
    }

    /// Moves a result out of its slot, which is free then.
    pub(super) fn take_out(&mut self, ticket: Ticket, index: u32) {
        self.take_out_kept(ticket, index);
        if self.records[ticket].detached {
            self.forget(ticket);
        }
    }

    fn take_out_kept(&mut self, ticket: Ticket, index: u32) {
        self.note_result(ticket, index);
        let slot = self.slot(index);
        let carried = slot.carries().load(Ordering::Relaxed) == carries::REPLY;
        let (code, length) = (slot.code(), slot.length());
        let bytes = if length <= slot.capacity() {
            Some(ReplyBytes::copied(slot.payload().first(length).copy(), carried))
        } else {
            self.open_reply(ticket).map(|region| ReplyBytes::apart(region, usize::MAX, carried))
        };
        self.records[ticket].stage = Stage::Over(Settled::Reply(code), bytes);
        self.free_used(index);
    }

    /// The segment of a long result. It stays for whoever holds it and has no name any more.
    fn open_reply(&self, ticket: Ticket) -> Option<Region> {
        let name = self.memory.reply_name(self.records[ticket].number);
        Region::take(&name).ok()
    }

    fn note_result(&mut self, ticket: Ticket, index: u32) {
        let slot = self.slot(index);
        let Word { seat, .. } = slot.word();
        let (ended, code, took, length) = (slot.ended(), slot.code(), slot.took(), slot.length());
        let long = length > slot_capacity(false);
        let pid = self.crew.pid(seat);
        let record = &mut self.records[ticket];
        if record.ended == 0 {
            (record.ended, record.took, record.pid) = (ended.max(1), took, pid);
            if code == Settled::VALUES {
                self.counts.done += 1
            } else {
                self.counts.failed += 1
            }
            let at = ended.clamp(record.submitted, clock::now().max(record.submitted));
            record.traced.end(if code == Settled::VALUES { "values" } else { "failure" }, at);
            // The next ones get large slots, for some time.
            self.conclude_watch(ticket);
            self.long_results = if long { 64 } else { self.long_results.saturating_sub(1) };
        }
    }

    /// The bytes of a job that ended with a result; none where they cannot be had.
    pub(super) fn bytes(&mut self, ticket: Ticket) -> Option<ReplyBytes<'static>> {
        if let Stage::Slot(index) = self.records[ticket].stage {
            let slot = self.slot(index);
            let len = slot.length();
            if len <= slot.capacity() {
                let carries = slot.carries().load(Ordering::Relaxed) == carries::REPLY;
                return Some(ReplyBytes::in_pool(&self.memory, index, len, carries));
            }
            self.take_out_kept(ticket, index);
        }
        match &self.records[ticket].stage {
            Stage::Over(_, bytes) => bytes.clone(),
            _ => None,
        }
    }

    /// Drops the record of a job that is over, or never began.
    pub(super) fn forget(&mut self, ticket: Ticket) {
        self.records[ticket].traced.end("not awaited", clock::now());
        self.records[ticket].watch = None;
        let stage = std::mem::replace(&mut self.records[ticket].stage, Stage::Vacant);
        match stage {
            Stage::Slot(index) => {
                let slot = self.slot(index);
                let length = slot.length();
                let apart = length > slot.capacity();
                if slot.carries().load(Ordering::Relaxed) == carries::REPLY && !apart {
                    self.release(open_parcel(slot.payload().first(length), true).1);
                }
                if apart {
                    drop(self.open_reply(ticket));
                }
                self.free_used(index);
            }
            Stage::Over(_, Some(bytes)) => self.release(bytes.ids()),
            Stage::Over(..) | Stage::Backlog(_) | Stage::Moved(_) | Stage::Vacant => {}
        }
        self.vacant.push(ticket);
    }

    fn release(&self, ids: Vec<u64>) {
        if let Some(tree) = llib_core::shm::Tree::joined().filter(|_| !ids.is_empty()) {
            release(tree.name(), ids);
        }
    }

    /// Ends a job for a reason that is not its own result. Its slot, if it has one, is free then.
    pub(super) fn settle(&mut self, ticket: Ticket, ended: Settled, pid: i32) {
        self.counts.failed += 1;
        let record = &mut self.records[ticket];
        (record.ended, record.pid) = (clock::now(), pid);
        record.traced.end(outcome(ended), record.ended);
        self.conclude_watch(ticket);
        let record = &mut self.records[ticket];
        let before = std::mem::replace(&mut record.stage, Stage::Over(ended, None));
        let ids = std::mem::take(&mut record.ids);
        match before {
            Stage::Slot(index) => {
                let slot = self.slot(index);
                let length = slot.length();
                let apart = length > slot.capacity();
                match slot.carries().load(Ordering::SeqCst) {
                    carries::JOB => self.release(ids),
                    carries::REPLY if !apart => {
                        self.release(open_parcel(slot.payload().first(length), true).1)
                    }
                    _ => {}
                }
                // Segments apart that nobody has taken.
                let number = self.records[ticket].number;
                for name in [self.memory.job_name(number), self.memory.reply_name(number)] {
                    if apart {
                        llib_core::shm::unlink(&name);
                    }
                }
                self.free_used(index);
            }
            Stage::Backlog(_) => self.release(ids),
            Stage::Over(..) | Stage::Moved(_) | Stage::Vacant => {}
        }
        if self.records[ticket].detached {
            self.forget(ticket);
        }
    }
}

/// How a job ended that has no result, for the timeline.
fn outcome(settled: Settled) -> &'static str {
    match settled {
        Settled::Reply(_) => "values",
        Settled::Death(_) => "its worker died",
        Settled::Cancelled(Cause::Closed) => "closed",
        Settled::Cancelled(_) => "killed",
        Settled::Stopped => "the pool stopped",
        Settled::Lost => "lost",
    }
}
