//! The host's side of a pool: which jobs there are, where each stands, and what became of it.
//!
//! A worker of a pool is a worker like any other, whose job is to serve the pool; so its zygote looks after it as after
//! any other. Jobs go through the pool's memory, see [`llib_core::shm::PoolMemory`]. More jobs than there are slots wait
//! here, in private memory, and go in whenever the host comes by.
//!
//! One thread uses a pool: the one of its Lua state.

mod crew;
mod ending;
mod line;
mod placing;
mod result;
mod wait;
mod watch;

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;

use super::job::{Death, Job, Settled};
use super::session::Session;
use llib_core::shared::{Object, retain};
use llib_core::shm::{LARGE_SLOTS, Payload, PoolMemory, RegionError, SMALL_SLOTS, Word, slot_capacity, stage};
use llib_core::sys::clock;
use llib_core::sys::process::Usage;
use llib_core::wire::cause::Cause;

pub use crew::Plan;
pub use ending::Order;
use result::Keep;
pub use result::PooledBytes;
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

    fn is_done(&self, ticket: Ticket, index: u32) -> bool {
        let Word { number, stage, .. } = self.slot(index).word();
        number == self.records[ticket].number && stage == stage::DONE
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

    /// Nobody wants to know of a job any more. One that is not over runs on.
    pub fn detach(&mut self, ticket: Ticket) {
        if self.ended(ticket).is_some() {
            return self.forget(ticket);
        }
        let record = &mut self.records[ticket];
        (record.detached, record.watch) = (true, None);
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

    /// Whether a worker has the job and is stopped, whoever did it.
    pub fn is_paused(&self, ticket: Ticket) -> bool {
        let Stage::Slot(index) = self.records[ticket].stage else { return false };
        let word = self.slot(index).word();
        matches!(word.stage, stage::RUNNING | stage::HELD) && self.crew.is_paused(word.seat)
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
