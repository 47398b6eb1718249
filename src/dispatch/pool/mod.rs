//! The host's side of a pool: which jobs there are, where each stands, and what became of it.
//!
//! A worker of a pool is a worker like any other, whose job is to serve the pool; so its zygote looks after it as after
//! any other. Jobs go through the pool's memory, see [`crate::shm::PoolMemory`]. More jobs than there are slots wait
//! here, in private memory, and go in whenever the host comes by.
//!
//! One thread uses a pool: the one of its Lua state.

mod crew;
mod ending;
mod line;
mod wait;
mod watch;

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::job::{Death, Job, Settled};
use super::session::Session;
use crate::shared::{Object, ids_in_bytes, ids_in_region, ids_in_slot, release, retain};
use crate::shm::{
    LARGE_SLOTS, Payload, PoolMemory, PoolSlot, Region, RegionError, SMALL_SLOTS, Word, carries, is_large,
    slot_capacity, stage,
};
use crate::sys::clock;
use crate::sys::process::Usage;
use crate::wire::cause::Cause;

pub use crew::Plan;
pub use ending::Order;
use line::outcome;
pub use wait::PoolWait;

/// How a job of a pool ended.
#[derive(Clone)]
pub enum Ended {
    /// The worker left a result with this code.
    Reply(u32),
    /// The worker is gone without one.
    Death {
        /// Its record.
        death: Death,
        /// What it had used, for all of its jobs.
        usage: Usage,
    },
    /// It was given up before a worker had it.
    Cancelled(Cause),
    /// The pool has stopped, since its workers die at their start: how one of them did.
    Stopped(Rc<Job>, Settled),
    /// Nobody supervises the pool any more.
    Lost,
}

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

#[derive(Clone)]
enum Keep {
    Slot(#[allow(dead_code)] Rc<PoolMemory>),
    Copy(Rc<Vec<u8>>),
    Apart(Rc<Region>),
}

/// Number of a job's record.
pub type Ticket = usize;

enum Stage {
    /// Waits here for a slot.
    Backlog(Vec<u8>),
    /// In this slot.
    Slot(u32),
    /// Over; of a result its bytes, and whether they carry handles.
    Over(Ended, Option<(Keep, bool)>),
    /// Nobody's record.
    Vacant,
}

struct Record {
    number: u64,
    stage: Stage,
    /// Objects whose handles are in the job's payload.
    ids: Vec<u64>,
    submitted: u64,
    ended: u64,
    took: u64,
    pid: i32,
    detached: bool,
    /// Whether it has a line in the timeline that has not ended.
    traced: bool,
    /// What polls readable once it is over, if somebody asked for that.
    watch: Option<OwnedFd>,
}

/// See the module's header.
pub struct Pool {
    session: Arc<Session>,
    memory: Rc<PoolMemory>,
    number: u32,
    plan: Plan,
    crew: crew::Crew,
    free: [Vec<u32>; 2],
    reserved: Vec<bool>,
    /// For each slot the record of its job.
    by_slot: Vec<Option<Ticket>>,
    /// Slots in use, about in the order in which they will be done.
    order: VecDeque<u32>,
    backlog: VecDeque<Ticket>,
    records: Vec<Record>,
    vacant: Vec<Ticket>,
    next: u64,
    open: bool,
    /// Whether results have been longer than small slots.
    long_results: u32,
    /// Whether somebody polls, or did, for a job that had no slot.
    polled: bool,
    counts: Counts,
}

/// Numbers of a pool.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Jobs that ended with values.
    pub done: u64,
    /// Jobs that ended otherwise.
    pub failed: u64,
    /// Workers that died with a job, or without reason.
    pub died: u64,
    /// Workers that went as they should, and were replaced.
    pub recycled: u64,
}

/// The same for the present.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standing {
    /// Workers that live.
    pub workers: usize,
    /// Jobs that a worker has.
    pub running: usize,
    /// Jobs that wait.
    pub queued: usize,
}

/// Code of a result with values.
const VALUES: u32 = 1;

impl Pool {
    /// Whether jobs are taken.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// How a worker died whose kind of death has stopped the pool.
    pub fn stopped(&self) -> Option<(Rc<Job>, Settled)> {
        self.crew.stopped.clone()
    }

    /// Whether nobody supervises it, or this process was forked from the one whose it is.
    pub fn is_lost(&self) -> bool {
        self.session.is_lost() || !self.session.is_ours()
    }

    /// Whether this process may use it.
    pub fn is_ours(&self) -> bool {
        self.session.is_ours()
    }

    /// The session that it belongs to.
    pub fn session(&self) -> Arc<Session> {
        Arc::clone(&self.session)
    }

    /// Queues a job, whose payload ends with the ids of `objects` if there are any.
    pub fn submit(
        &mut self,
        payload: &dyn Payload,
        objects: &[&Object],
        roomy: bool,
    ) -> Result<Ticket, RegionError> {
        let roomy = roomy || self.long_results > 0;
        if self.backlog.is_empty() {
            if self.free[usize::from(roomy)].is_empty() {
                self.attend();
            }
            let wants_large = payload.len() > slot_capacity(false) || roomy;
            if let Some(index) = self.free_slot(wants_large)? {
                let ticket = self.new_record(objects);
                if let Err(error) = self.write(ticket, index, payload) {
                    self.give_slot(index);
                    self.forget(ticket);
                    return Err(error);
                }
                objects.iter().for_each(|object| retain(object));
                self.begin_line(ticket);
                self.enqueue(ticket, index);
                return Ok(ticket);
            }
        }
        let bytes = payload.to_vec();
        let ticket = self.new_record(objects);
        objects.iter().for_each(|object| retain(object));
        self.records[ticket].stage = Stage::Backlog(bytes);
        self.begin_line(ticket);
        self.backlog.push_back(ticket);
        self.attend();
        Ok(ticket)
    }

    fn new_record(&mut self, objects: &[&Object]) -> Ticket {
        self.next += 1;
        let record = Record {
            number: self.next,
            stage: Stage::Vacant,
            ids: objects.iter().map(|object| object.id()).collect(),
            submitted: clock::now(),
            ended: 0,
            took: 0,
            pid: 0,
            detached: false,
            traced: false,
            watch: None,
        };
        match self.vacant.pop() {
            Some(ticket) => {
                self.records[ticket] = record;
                ticket
            }
            None => {
                self.records.push(record);
                self.records.len() - 1
            }
        }
    }

    /// A free slot of this size, or of the other if that does.
    fn free_slot(&mut self, large: bool) -> Result<Option<u32>, RegionError> {
        let index = match self.free[usize::from(large)].pop() {
            Some(index) => index,
            // Long payloads can lie apart.
            None if large => match self.free[0].pop() {
                Some(index) => index,
                None => return Ok(None),
            },
            None => match self.free[1].pop() {
                Some(index) => index,
                None => return Ok(None),
            },
        };
        if !std::mem::replace(&mut self.reserved[index as usize], true)
            && let Err(error) = self.memory.reserve_slot(index)
        {
            self.reserved[index as usize] = false;
            self.give_slot(index);
            return Err(error);
        }
        Ok(Some(index))
    }

    fn give_slot(&mut self, index: u32) {
        self.by_slot[index as usize] = None;
        self.free[usize::from(is_large(index))].push(index);
    }

    fn slot(&self, index: u32) -> PoolSlot<'_> {
        self.memory.slot(index).unwrap_or_else(|| unreachable!("slot {index} is one of the pool's"))
    }

    fn write(&mut self, ticket: Ticket, index: u32, payload: &dyn Payload) -> Result<(), RegionError> {
        let record = &self.records[ticket];
        let slot = self.slot(index);
        let carried = if record.ids.is_empty() { carries::NONE } else { carries::JOB };
        let len = payload.len();
        if len <= slot.capacity() {
            slot.fill(len, |bytes| payload.write_to(bytes));
        } else {
            // From here on the worker reads and removes it.
            Region::write_new(&self.memory.job_name(record.number), &payload.parts())?;
        }
        slot.prepare(len, carried);
        Ok(())
    }

    fn enqueue(&mut self, ticket: Ticket, index: u32) {
        self.by_slot[index as usize] = Some(ticket);
        self.note_order(index);
        if self.records[ticket].watch.is_some() {
            self.slot(index).notify().store(1, Ordering::SeqCst);
        }
        let record = &mut self.records[ticket];
        record.stage = Stage::Slot(index);
        // There are more entries than slots, and what was given up is passed over by the first who looks.
        while !self.memory.push(index, record.number) {
            self.memory.wake_workers();
            std::thread::yield_now();
        }
        self.memory.wake_for_work();
    }

    /// Takes in what has happened: deaths, results that stand in the way of jobs that wait.
    pub fn attend(&mut self) {
        self.attend_deaths();
        if self.backlog.is_empty() && self.free.iter().all(|free| !free.is_empty()) {
            return;
        }
        self.place_backlog();
        if self.polled && !self.backlog.is_empty() {
            self.ask_for_visits();
            // Workers that had nothing to do before they could see that do not ring.
            if self.memory.waiting() == 0 {
                self.place_backlog();
            }
        }
    }

    /// Puts jobs that wait here into slots, as far as there are some.
    fn place_backlog(&mut self) {
        self.harvest();
        while let Some(&ticket) = self.backlog.front() {
            let Stage::Backlog(bytes) = &mut self.records[ticket].stage else {
                // Given up.
                self.backlog.pop_front();
                continue;
            };
            let bytes = std::mem::take(bytes);
            let large = bytes.len() > slot_capacity(false) || self.long_results > 0;
            let placed = match self.free_slot(large) {
                Ok(Some(index)) => self
                    .write(ticket, index, &&bytes[..])
                    .map(|()| index)
                    .inspect_err(|_| {
                        self.give_slot(index);
                    })
                    .ok(),
                // Without room in shared memory it waits until there is some.
                Ok(None) | Err(_) => None,
            };
            let Some(index) = placed else {
                self.records[ticket].stage = Stage::Backlog(bytes);
                return;
            };
            self.backlog.pop_front();
            self.enqueue(ticket, index);
        }
    }

    /// Copies results out of slots, some at a time.
    fn harvest(&mut self) {
        const SOME: usize = 32;
        for _ in 0..self.order.len().min(SOME) {
            let Some(index) = self.order.pop_front() else { break };
            let Some(ticket) = self.by_slot[index as usize] else { continue };
            if !matches!(self.records[ticket].stage, Stage::Slot(at) if at == index) {
                continue;
            }
            if self.is_done(ticket, index) {
                self.take_out(ticket, index);
            } else {
                self.order.push_back(index);
            }
        }
    }

    /// Notes a slot as the one that will be done last. Slots whose results are taken by `await` stay in the order until
    /// there are too many of them: only the last entry of a slot in use says anything.
    fn note_order(&mut self, index: u32) {
        self.order.push_back(index);
        if self.order.len() > 2 * slots() {
            let mut wanted: Vec<bool> = self.by_slot.iter().map(Option::is_some).collect();
            let last = |index: &u32| std::mem::take(&mut wanted[*index as usize]);
            let newest_first: Vec<u32> = self.order.drain(..).rev().filter(last).collect();
            self.order.extend(newest_first.into_iter().rev());
        }
    }

    fn is_done(&self, ticket: Ticket, index: u32) -> bool {
        let Word { number, stage, .. } = self.slot(index).word();
        number == self.records[ticket].number && stage == stage::DONE
    }

    /// Moves a result out of its slot, which is free then.
    fn take_out(&mut self, ticket: Ticket, index: u32) {
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
    fn open_reply(&self, ticket: Ticket) -> Option<Keep> {
        let name = self.memory.reply_name(self.records[ticket].number);
        let mut region = Region::open(&name).ok()?;
        region.set_owner(true);
        Some(Keep::Apart(Rc::new(region)))
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

    /// Frees a slot whose job is over.
    fn free_used(&mut self, index: u32) {
        let slot = self.slot(index);
        slot.set(Word { stage: stage::FREE, ..slot.word() });
        self.give_slot(index);
    }

    /// How a job ended, if it has.
    pub fn ended(&mut self, ticket: Ticket) -> Option<Ended> {
        match &self.records[ticket].stage {
            Stage::Over(ended, _) => Some(ended.clone()),
            Stage::Slot(index) => {
                let index = *index;
                if !self.is_done(ticket, index) {
                    return None;
                }
                self.note_result(ticket, index);
                Some(Ended::Reply(self.slot(index).code()))
            }
            Stage::Backlog(_) | Stage::Vacant => None,
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

    fn take_out_kept(&mut self, ticket: Ticket, index: u32) {
        let detached = std::mem::replace(&mut self.records[ticket].detached, false);
        self.take_out(ticket, index);
        self.records[ticket].detached = detached;
    }

    /// Nobody wants to know of a job any more. One that is not over runs on.
    pub fn detach(&mut self, ticket: Ticket) {
        if self.ended(ticket).is_some() {
            return self.forget(ticket);
        }
        let record = &mut self.records[ticket];
        (record.detached, record.watch) = (true, None);
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

    fn release(&self, ids: Vec<u64>) {
        if let Some(tree) = crate::shm::Tree::joined().filter(|_| !ids.is_empty()) {
            release(tree.name(), ids);
        }
    }

    /// Ends a job for a reason that is not its own result. Its slot, if it has one, is free then.
    fn settle(&mut self, ticket: Ticket, ended: Ended, pid: i32) {
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
                        crate::shm::unlink_named(&name);
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

    /// A job's number.
    pub fn id(&self, ticket: Ticket) -> u64 {
        self.records[ticket].number
    }

    /// Process id of the worker that has the job, or had it.
    pub fn pid(&self, ticket: Ticket) -> Option<i32> {
        let record = &self.records[ticket];
        let pid = match record.stage {
            Stage::Slot(index) => {
                let word = self.slot(index).word();
                if word.stage >= stage::RUNNING { self.crew.pid(word.seat) } else { 0 }
            }
            _ => record.pid,
        };
        Some(pid).filter(|pid| *pid > 0)
    }

    /// Whether a worker has the job.
    pub fn is_running(&self, ticket: Ticket) -> bool {
        match self.records[ticket].stage {
            Stage::Slot(index) => matches!(self.slot(index).word().stage, stage::RUNNING | stage::HELD),
            _ => false,
        }
    }

    /// Wall-clock time since it was submitted, or until it ended.
    pub fn wall(&mut self, ticket: Ticket) -> std::time::Duration {
        let over = self.ended(ticket).is_some();
        let (record, now) = (&self.records[ticket], clock::now());
        let ended = if over { record.ended } else { now };
        std::time::Duration::from_nanos(
            ended.clamp(record.submitted, now.max(record.submitted)) - record.submitted,
        )
    }

    /// Nanoseconds that a worker was at it, as that says.
    pub fn took(&self, ticket: Ticket) -> u64 {
        self.records[ticket].took
    }

    /// Numbers since the pool was made.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// How it stands.
    pub fn standing(&self) -> Standing {
        let mut standing = Standing { workers: self.crew.count(), running: 0, queued: self.backlog.len() };
        for (index, _) in self.by_slot.iter().enumerate().filter(|(_, ticket)| ticket.is_some()) {
            match self.slot(index as u32).word().stage {
                stage::QUEUED => standing.queued += 1,
                stage::RUNNING | stage::HELD => standing.running += 1,
                _ => {}
            }
        }
        standing
    }

    /// How many workers it should have.
    pub fn size(&self) -> usize {
        self.plan.size
    }
}

fn slots() -> usize {
    SMALL_SLOTS + LARGE_SLOTS
}
