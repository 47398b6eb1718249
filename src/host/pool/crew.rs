//! A pool's workers: starting them, noticing their deaths, replacing them.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::renewal::Host;
use super::state::{Counts, Crew, Plan, Pool, Stage, Ticket, slots};
use crate::dispatched::{Death, Dispatched, Settled};
use crate::job::Job;
use crate::launch::{DispatchError, Launch};
use crate::session::Session;
use llib_core::shared::Object;
use llib_core::shm::{Joined, LARGE_SLOTS, OVER, PoolMemory, SEATS, SMALL_SLOTS, pool_name, seat, stage};
use llib_core::wire::cause::Cause;
use llib_core::wire::settings::{PoolPost, Settings};

/// Deaths in a row, of workers that had not begun to serve, that stop a pool.
const BAD_STARTS: u32 = 3;

impl Pool {
    /// Makes a pool and starts its workers, without waiting for them.
    pub fn start(session: Arc<Session>, plan: Plan) -> Result<Pool, DispatchError> {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // Those that are about to go have theirs until they are gone.
        let seats = (plan.size * 2 + 4).min(SEATS);
        let memory = PoolMemory::create(&pool_name(session.segment.name(), number), seats);
        let memory = Rc::new(memory.map_err(DispatchError::Memory)?);
        let small = (0..SMALL_SLOTS as u32).rev().collect();
        let large = (0..LARGE_SLOTS as u32).rev().map(|index| index + SMALL_SLOTS as u32).collect();
        let generation = session.keep_in_step().map_err(DispatchError::Attributes)?;
        memory.generation().store(generation, Ordering::SeqCst);
        let mut pool = Pool {
            session,
            memory,
            number,
            plan,
            generation,
            host: Host::new(),
            crew: Crew::default(),
            free: [small, large],
            reserved: vec![false; slots()],
            by_slot: vec![None; slots()],
            order: Default::default(),
            backlog: Default::default(),
            records: Vec::new(),
            vacant: Vec::new(),
            next: 0,
            open: true,
            long_results: 0,
            polled: false,
            counts: Counts::default(),
            successor: None,
        };
        pool.crew.workers.resize_with(seats, || None);
        pool.crew.generations.resize(seats, generation);
        for _ in 0..pool.plan.size {
            pool.start_worker()?;
        }
        Ok(pool)
    }

    fn start_worker(&mut self) -> Result<(), DispatchError> {
        let Some(seat) = self.crew.workers.iter().position(Option::is_none) else { return Ok(()) };
        self.memory.clear_seat(seat);
        let plan = &self.plan;
        let post = PoolPost {
            memory: pool_name(self.session.segment.name(), self.number),
            seat: seat as u16,
            timeout: plan.timeout.map_or(0, |timeout| u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX)),
            max_jobs: plan.max_jobs,
            max_memory: plan.max_memory,
            generation: self.generation,
        };
        let settings = Settings { pool: Some(post), ..plan.settings.clone() }.to_bytes();
        let objects: Vec<&Object> = plan.objects.iter().map(|object| &**object).collect();
        let payload = Joined([&settings, &plan.init]);
        let pool = u64::from(self.number) << 16 | (seat as u64 + 1);
        let launch = Launch { pool, ..Launch::default() };
        let job = self.session.dispatch(&payload, &objects, &launch)?;
        self.crew.workers[seat] = Some(job);
        self.crew.generations[seat] = self.generation;
        Ok(())
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

    /// Takes note of workers that are gone, if any are.
    fn attend_deaths(&mut self) {
        if !self.session.is_ours() {
            return self.disown();
        }
        if self.session.is_lost() {
            return self.end_with(Settled::Lost);
        }
        let deaths = self.memory.deaths().load(Ordering::SeqCst);
        if deaths != self.crew.deaths_seen || self.crew.short {
            self.crew.deaths_seen = deaths;
            self.look_for_deaths();
        }
    }

    /// The same without having been told: also for a worker that could not even be started.
    pub(super) fn look_for_deaths(&mut self) {
        for index in 0..self.crew.workers.len() {
            let settled = self.crew.workers[index].as_ref().and_then(|job| job.settled());
            if let Some(settled) = settled {
                self.bury(index, settled);
            }
        }
        self.refill();
    }

    fn bury(&mut self, index: usize, settled: Settled) {
        let Some(mut job) = self.crew.workers[index].take() else { return };
        let state = self.memory.seat(index).map_or(seat::STARTING, |seat| seat.state.load(Ordering::SeqCst));
        // One that says why it cannot serve is gone as soon as it is let go.
        let death = match settled {
            Settled::Death(death) => death,
            _ => Death { cause: Cause::Itself, status: 0 },
        };
        let pid = job.settled_pid().unwrap_or(0);
        let victims: Vec<Ticket> = self.tickets_of(index).collect();
        if state == seat::LEAVING && victims.is_empty() {
            self.counts.recycled += 1
        } else {
            self.counts.died += 1
        }
        for ticket in victims {
            self.settle(ticket, Settled::Death(death), pid);
        }
        if state == seat::STARTING && self.open {
            self.crew.bad_starts += 1;
            if matches!(settled, Settled::Reply(_)) || self.crew.bad_starts >= BAD_STARTS {
                return self.stop(job, settled);
            }
        } else {
            self.crew.bad_starts = 0;
        }
        job.release();
    }

    /// Jobs that the worker of a seat has.
    fn tickets_of(&self, seat: usize) -> impl Iterator<Item = Ticket> + '_ {
        let used = self.by_slot.iter().enumerate().filter_map(|(index, ticket)| Some((index, (*ticket)?)));
        used.filter(move |(index, ticket)| {
            let word = self.slot(*index as u32).word();
            usize::from(word.seat) == seat
                && word.number == self.records[*ticket].number
                && matches!(word.stage, stage::RUNNING | stage::HELD)
        })
        .map(|(_, ticket)| ticket)
    }

    /// Starts as many workers as are missing.
    pub(super) fn refill(&mut self) {
        if self.session.is_retired() || (!self.open && self.unfinished().next().is_none()) {
            return;
        }
        let workers = self.crew.workers.iter().enumerate().filter(|(_, worker)| worker.is_some());
        let serving = workers.filter(|(index, _)| !self.is_leaving(*index)).count();
        self.crew.short = false;
        for _ in serving..self.plan.size {
            if self.crew.stopper.is_some() {
                break;
            }
            if self.start_worker().is_err() {
                // Tried again whenever the host comes by.
                self.crew.short = true;
                break;
            }
        }
    }

    /// Jobs that are not over.
    pub(super) fn unfinished(&self) -> impl Iterator<Item = Ticket> + '_ {
        let waits = |stage: &Stage| matches!(stage, Stage::Backlog(_) | Stage::Slot(_));
        (0..self.records.len()).filter(move |ticket| {
            waits(&self.records[*ticket].stage)
                && !matches!(self.records[*ticket].stage, Stage::Slot(index) if self.is_done(*ticket, index))
        })
    }

    /// Ends everything, since workers die as soon as they start.
    fn stop(&mut self, job: Job, settled: Settled) {
        self.crew.stopper = Some((Rc::new(job), settled));
        self.end_with(Settled::Stopped);
    }

    /// In a process that was forked from the host: the jobs are the host's, and so is all that both see.
    fn disown(&mut self) {
        self.open = false;
        self.backlog.clear();
        for record in &mut self.records {
            if matches!(record.stage, Stage::Backlog(_) | Stage::Slot(_)) {
                (record.stage, record.ids) = (Stage::Over(Settled::Lost, None), Vec::new());
            }
        }
    }

    fn end_with(&mut self, ended: Settled) {
        let left: Vec<Ticket> = self.unfinished().collect();
        for ticket in left {
            self.settle(ticket, ended, 0);
        }
        self.backlog.clear();
        self.dismiss();
    }

    /// Lets every worker go.
    pub(super) fn dismiss(&mut self) {
        self.open = false;
        self.memory.leave().store(OVER, Ordering::SeqCst);
        self.memory.wake_workers();
        for worker in &mut self.crew.workers {
            if let Some(mut job) = worker.take() {
                job.release();
            }
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if !self.session.is_ours() {
            return;
        }
        self.dismiss();
        let tickets: Vec<Ticket> = (0..self.records.len()).collect();
        for ticket in tickets {
            if self.ended(ticket).is_some() || matches!(self.records[ticket].stage, Stage::Over(..)) {
                self.forget(ticket);
            }
        }
        self.memory.unlink();
    }
}
