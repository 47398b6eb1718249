//! What became of jobs: their results, and the ends of those that have none.

use std::rc::Rc;
use std::sync::atomic::Ordering;

use super::line::outcome;
use super::{Ended, Pool, Stage, Ticket};
use llib_core::shared::{ids_in_bytes, ids_in_region, ids_in_slot, release};
use llib_core::shm::{PoolMemory, Region, Word, carries, slot_capacity};
use llib_core::sys::clock;

/// A result's bytes and what keeps them where they are.
pub struct PooledBytes {
    /// First byte. The memory can change while it is read.
    pub start: *const u8,
    /// How many there are.
    pub len: usize,
    /// Whether they say to end with handles.
    pub carries: bool,
    _keep: Keep,
}

/// See [`PooledBytes`].
#[derive(Clone)]
pub(super) enum Keep {
    Slot(#[allow(dead_code)] Rc<PoolMemory>),
    Copy(Rc<Vec<u8>>),
    Apart(Rc<Region>),
}

/// Code of a result with values.
const VALUES: u32 = 1;

impl Pool {
    /// Moves a result out of its slot, which is free then.
    pub(super) fn take_out(&mut self, ticket: Ticket, index: u32) {
        self.note_result(ticket, index);
        let slot = self.slot(index);
        let carried = slot.carries().load(Ordering::Relaxed) == carries::REPLY;
        let (code, length) = (slot.code(), slot.length());
        let keep = if length <= slot.capacity() {
            Some(Keep::Copy(Rc::new(slot.copy(length))))
        } else {
            self.open_reply(ticket)
        };
        self.records[ticket].stage = Stage::Over(Ended::Reply(code), keep.map(|keep| (keep, carried)));
        self.free_used(index);
        if self.records[ticket].detached {
            self.forget(ticket);
        }
    }

    /// The segment of a long result. It stays for whoever holds it and has no name any more.
    pub(super) fn open_reply(&self, ticket: Ticket) -> Option<Keep> {
        let name = self.memory.reply_name(self.records[ticket].number);
        let mut region = Region::open(&name).ok()?;
        region.set_owner(true);
        Some(Keep::Apart(Rc::new(region)))
    }

    pub(super) fn note_result(&mut self, ticket: Ticket, index: u32) {
        let slot = self.slot(index);
        let Word { seat, .. } = slot.word();
        let (ended, code, took, length) = (slot.ended(), slot.code(), slot.took(), slot.length());
        let long = length > slot_capacity(false);
        let pid = self.crew.pid(seat);
        let record = &mut self.records[ticket];
        if record.ended == 0 {
            (record.ended, record.took, record.pid) = (ended.max(1), took, pid);
            if code == VALUES {
                self.counts.done += 1
            } else {
                self.counts.failed += 1
            }
            let at = ended.clamp(record.submitted, clock::now().max(record.submitted));
            self.end_line(ticket, if code == VALUES { "values" } else { "failure" }, at);
            // The next ones get large slots, for some time.
            self.conclude_watch(ticket);
            self.long_results = if long { 64 } else { self.long_results.saturating_sub(1) };
        }
    }

    /// The bytes of a job that ended with a result; none where they cannot be had.
    pub fn bytes(&mut self, ticket: Ticket) -> Option<PooledBytes> {
        if let Stage::Slot(index) = self.records[ticket].stage {
            let slot = self.slot(index);
            let len = slot.length();
            if len <= slot.capacity() {
                let carries = slot.carries().load(Ordering::Relaxed) == carries::REPLY;
                let start = slot.payload().cast_const();
                return Some(PooledBytes { start, len, carries, _keep: Keep::Slot(Rc::clone(&self.memory)) });
            }
            self.take_out_kept(ticket, index);
        }
        let Stage::Over(_, Some((keep, carries))) = &self.records[ticket].stage else { return None };
        let (start, len) = match keep {
            Keep::Copy(bytes) => (bytes.as_ptr(), bytes.len()),
            Keep::Apart(region) => (region.as_ptr().cast_const(), region.len()),
            Keep::Slot(_) => return None,
        };
        Some(PooledBytes { start, len, carries: *carries, _keep: keep.clone() })
    }

    pub(super) fn take_out_kept(&mut self, ticket: Ticket, index: u32) {
        let detached = std::mem::replace(&mut self.records[ticket].detached, false);
        self.take_out(ticket, index);
        self.records[ticket].detached = detached;
    }

    /// Drops the record of a job that is over, or never began.
    pub fn forget(&mut self, ticket: Ticket) {
        self.end_line(ticket, "not awaited", clock::now());
        self.records[ticket].watch = None;
        let stage = std::mem::replace(&mut self.records[ticket].stage, Stage::Vacant);
        match stage {
            Stage::Slot(index) => {
                let slot = self.slot(index);
                let length = slot.length();
                let apart = length > slot.capacity();
                if slot.carries().load(Ordering::Relaxed) == carries::REPLY && !apart {
                    self.release(ids_in_slot(slot, length));
                }
                if apart {
                    drop(self.open_reply(ticket));
                }
                self.free_used(index);
            }
            Stage::Over(_, Some((keep, true))) => {
                self.release(match &keep {
                    Keep::Copy(bytes) => ids_in_bytes(bytes),
                    Keep::Apart(region) => ids_in_region(region),
                    Keep::Slot(_) => Vec::new(),
                });
            }
            Stage::Vacant => return self.vacant.push(ticket),
            Stage::Over(..) | Stage::Backlog(_) => {}
        }
        self.vacant.push(ticket);
    }

    pub(super) fn release(&self, ids: Vec<u64>) {
        if let Some(tree) = llib_core::shm::Tree::joined().filter(|_| !ids.is_empty()) {
            release(tree.name(), ids);
        }
    }

    /// Ends a job for a reason that is not its own result. Its slot, if it has one, is free then.
    pub(super) fn settle(&mut self, ticket: Ticket, ended: Ended, pid: i32) {
        self.counts.failed += 1;
        let record = &mut self.records[ticket];
        (record.ended, record.pid) = (clock::now(), pid);
        let at = record.ended;
        self.end_line(ticket, outcome(&ended), at);
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
                    carries::REPLY if !apart => self.release(ids_in_slot(slot, length)),
                    _ => {}
                }
                // Segments apart that nobody has taken.
                let number = self.records[ticket].number;
                for name in [self.memory.job_name(number), self.memory.reply_name(number)] {
                    if apart {
                        llib_core::shm::unlink_named(&name);
                    }
                }
                self.free_used(index);
            }
            Stage::Backlog(_) => self.release(ids),
            Stage::Over(..) | Stage::Vacant => {}
        }
        if self.records[ticket].detached {
            self.forget(ticket);
        }
    }
}
