//! What a pool consists of.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::AddAssign;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::renewal::Host;
use crate::dispatched::{Dispatched, Settled, Stopper};
use crate::job::Job;
use crate::reply::ReplyBytes;
use crate::session::Session;
use crate::traced::Traced;
use llib_core::shared::Object;
use llib_core::shm::{LARGE_SLOTS, PoolMemory, PoolSlot, SMALL_SLOTS, Word, stage};
use llib_core::sys::clock;
use llib_core::sys::fork::Owned;
use llib_core::wire::settings::Settings;

/// What a pool is to be.
#[derive(Clone)]
pub struct Plan {
    /// Workers.
    pub size: usize,
    /// Settings of each worker.
    pub settings: Settings,
    /// What each runs first, encoded as any job: a whole parcel.
    pub init: Vec<u8>,
    /// Objects whose handles are in there.
    pub objects: Vec<Arc<Object>>,
    /// Wall-clock limit of a job.
    pub timeout: Option<Duration>,
    /// See [`llib_core::wire::settings::PoolPost::max_jobs`].
    pub max_jobs: u64,
    /// See [`llib_core::wire::settings::PoolPost::max_memory`].
    pub max_memory: u64,
}

/// Number of a job's record.
pub type Ticket = usize;

/// Where a job stands.
#[derive(Default)]
pub(super) enum Stage {
    /// Waits here for a slot.
    Backlog(Vec<u8>),
    /// In this slot.
    Slot(u32),
    /// Over; of a result its bytes.
    Over(Settled, Option<ReplyBytes<'static>>),
    /// In the pool's successor.
    Moved(Ticket),
    /// Nobody's record.
    #[default]
    Vacant,
}

/// A job.
#[derive(Default)]
pub(super) struct Record {
    pub(super) number: u64,
    pub(super) stage: Stage,
    /// Objects whose handles are in the job's payload.
    pub(super) ids: Vec<u64>,
    /// The pool's when it was submitted.
    pub(super) generation: u32,
    pub(super) submitted: u64,
    pub(super) ended: u64,
    pub(super) took: u64,
    pub(super) pid: i32,
    pub(super) detached: bool,
    pub(super) traced: Traced,
    /// What polls readable once it is over, if somebody asked for that.
    pub(super) watch: Option<Owned<OwnedFd>>,
}

/// A pool's workers.
#[derive(Default)]
pub(super) struct Crew {
    /// By seat.
    pub(super) workers: Vec<Option<Job>>,
    /// By seat: the generation of its worker.
    pub(super) generations: Vec<u32>,
    pub(super) deaths_seen: u32,
    pub(super) bad_starts: u32,
    /// Whether workers are missing that could not be started.
    pub(super) short: bool,
    /// The one whose end has stopped the pool.
    pub(super) stopper: Option<Stopper>,
}

impl Crew {
    pub(super) fn pid(&self, seat: u16) -> i32 {
        self.worker(seat).and_then(Job::pid).unwrap_or(0)
    }

    fn worker(&self, seat: u16) -> Option<&Job> {
        self.workers.get(usize::from(seat))?.as_ref()
    }

    pub(super) fn count(&self) -> usize {
        self.workers.iter().flatten().count()
    }
}

/// A pool, see the folder's header.
pub struct Pool {
    pub(super) session: Arc<Session>,
    pub(super) memory: Rc<PoolMemory>,
    pub(super) number: u32,
    pub(super) plan: Plan,
    /// Number of the session's attributes that workers shall have, see [`Session::keep_in_step`].
    pub(super) generation: u32,
    pub(super) host: Host,
    pub(super) crew: Crew,
    pub(super) free: [Vec<u32>; 2],
    pub(super) reserved: Vec<bool>,
    /// For each slot the record of its job.
    pub(super) by_slot: Vec<Option<Ticket>>,
    /// Slots in use, about in the order in which they will be done.
    pub(super) order: VecDeque<u32>,
    pub(super) backlog: VecDeque<Ticket>,
    pub(super) records: Vec<Record>,
    pub(super) vacant: Vec<Ticket>,
    pub(super) next: u64,
    pub(super) open: bool,
    /// Whether results have been longer than small slots.
    pub(super) long_results: u32,
    /// Whether somebody polls, or did, for a job that had no slot.
    pub(super) polled: bool,
    pub(super) counts: Counts,
    /// The pool that takes jobs in this one's place, since the host has other privileges now.
    pub(super) successor: Option<Rc<RefCell<Pool>>>,
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

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.done += other.done;
        self.failed += other.failed;
        self.died += other.died;
        self.recycled += other.recycled;
    }
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

impl AddAssign for Standing {
    fn add_assign(&mut self, other: Standing) {
        self.workers += other.workers;
        self.running += other.running;
        self.queued += other.queued;
    }
}

impl Pool {
    /// Whether jobs are taken.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// How a worker died whose kind of death has stopped the pool.
    pub fn stopper(&self) -> Option<Stopper> {
        self.crew.stopper.clone()
    }

    /// Whether nobody supervises it, or this process was forked from the one whose it is.
    pub fn is_lost(&self) -> bool {
        self.session.is_lost() || !self.session.is_ours()
    }

    /// Whether this process may use it.
    pub fn is_ours(&self) -> bool {
        self.session.is_ours()
    }

    pub(super) fn slot(&self, index: u32) -> PoolSlot<'_> {
        self.memory.slot(index).unwrap_or_else(|| unreachable!("slot {index} is one of the pool's"))
    }

    /// Whether the result of this job, which has the slot, is there.
    pub(super) fn is_done(&self, ticket: Ticket, index: u32) -> bool {
        let Word { number, stage, .. } = self.slot(index).word();
        number == self.records[ticket].number && stage == stage::DONE
    }

    /// A job's number.
    pub(super) fn id(&self, ticket: Ticket) -> u64 {
        self.records[ticket].number
    }

    /// Process id of the worker that has the job, or had it.
    pub(super) fn pid(&self, ticket: Ticket) -> Option<i32> {
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
    pub(super) fn is_running(&self, ticket: Ticket) -> bool {
        match self.records[ticket].stage {
            Stage::Slot(index) => matches!(self.slot(index).word().stage, stage::RUNNING | stage::HELD),
            _ => false,
        }
    }

    /// Whether a worker has the job and is stopped, whoever did it.
    pub(super) fn is_paused(&self, ticket: Ticket) -> bool {
        let Stage::Slot(index) = self.records[ticket].stage else { return false };
        let Word { seat, stage, .. } = self.slot(index).word();
        matches!(stage, stage::RUNNING | stage::HELD) && self.crew.worker(seat).is_some_and(Job::is_paused)
    }

    /// Wall-clock time since it was submitted, or until it ended.
    pub(super) fn wall(&mut self, ticket: Ticket) -> Duration {
        let over = self.ended(ticket).is_some();
        let (record, now) = (&self.records[ticket], clock::now());
        let ended = if over { record.ended } else { now };
        Duration::from_nanos(ended.clamp(record.submitted, now.max(record.submitted)) - record.submitted)
    }

    /// Nanoseconds that a worker was at it, as that says.
    pub(super) fn took(&self, ticket: Ticket) -> u64 {
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

pub(super) fn slots() -> usize {
    SMALL_SLOTS + LARGE_SLOTS
}
