//! Jobs that sandboxed jobs start: the zygote is the broker between them, see [`llib::shm::Nest`].
//!
//! Whatever stands in a nest is a wish of code that nobody trusts. What a job was given is read from its charter, which
//! it cannot write; who its workers are, and what there is left for them, is kept here.
//!
//! **Accounts.** The jobs of a sandboxed job, their jobs, and so on, have together once more what the first of them has:
//! memory, CPU time, and as many at once as its sandbox grants. What a job may use is set aside when it starts, and what
//! it has not used is there again when it has ended.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use llib::shared::discard_inline_of;
use llib::shm::{Mailbox, Nest, RoomFile, State, Wish, detached};
use llib::sys::{clock, futex};
use llib::wire::cause::{Cause, Scarce};
use llib::wire::charter::Charter;
use llib::wire::control::JobRef;
use llib::wire::limits::Limits;

use super::reaper::Death;
use super::starter::Start;
use super::{Zygote, deadlines};
use crate::job::Errand;

/// CPU time that each job costs its account beside its own, in microseconds: what the zygote needs for it.
const FEE: u64 = 500;

/// Appointments of one job to be killed. More than any needs; the zygote's memory is not for it to fill.
const APPOINTMENTS: usize = 64;

/// All nests that the zygote had to do with, and who is in them.
#[derive(Default)]
pub(super) struct Nests {
    /// By the slot of the worker whose nest it is.
    open: BTreeMap<u32, Open>,
    /// Workers of jobs that came from a nest, by their slots.
    nested: BTreeMap<u32, Nested>,
    /// By the slot of the first job of each line.
    accounts: BTreeMap<u32, Account>,
}

struct Open {
    nest: Nest,
    room: Rc<RoomFile>,
    charter: Charter,
    /// The process whose nest it is.
    pid: i32,
    /// Slot of the first job of the line.
    first: u32,
    /// Slots of the workers, by their place in the nest.
    workers: Vec<Option<u32>>,
}

/// Where a worker's job came from, and what was set aside for it.
struct Nested {
    starter: u32,
    starter_pid: i32,
    first: u32,
    place: usize,
    granted: Limits,
    appointments: usize,
}

/// What is left for the jobs of one line. `None` is without limit.
struct Account {
    jobs: u32,
    memory: Option<u64>,
    cpu: Option<u64>,
    /// What a job gets that asks for nothing.
    share: Limits,
}

impl Account {
    fn new(limits: Limits, jobs: u32) -> Account {
        let share = |limit: Option<u64>| limit.map(|limit| limit / u64::from(jobs.max(1)));
        let share = Limits { memory: share(limits.memory), cpu: share(limits.cpu), ..Limits::default() };
        Account { jobs, memory: limits.memory, cpu: limits.cpu, share }
    }

    /// Sets aside what a job asks for, or its share of it, or what is left of that.
    fn set_aside(&mut self, asked: Limits) -> Result<Limits, Scarce> {
        let part = |asked: Option<u64>, share: Option<u64>, left: Option<u64>, scarce: Scarce| {
            let Some(left) = left else { return Ok(asked) };
            let part = asked.unwrap_or(share.unwrap_or(left).min(left));
            let enough = part <= left && (part > 0 || asked == Some(0));
            if enough { Ok(Some(part)) } else { Err(scarce) }
        };
        if self.jobs == 0 {
            return Err(Scarce::Jobs);
        }
        let cpu_left = self.cpu.map(|left| left.saturating_sub(FEE));
        let memory = part(asked.memory, self.share.memory, self.memory, Scarce::Memory)?;
        let cpu = part(asked.cpu, self.share.cpu, cpu_left, Scarce::Cpu)?;
        self.jobs -= 1;
        self.memory = self.memory.zip(memory).map(|(left, memory)| left - memory);
        self.cpu = self.cpu.zip(cpu).map(|(left, cpu)| left - cpu - FEE);
        Ok(Limits { memory, cpu, ..Limits::default() })
    }

    /// A job is gone that was granted this and used so much CPU time, in microseconds. More than it was granted is what it
    /// used before it was stopped.
    fn settle(&mut self, granted: Limits, used: u64) {
        self.jobs += 1;
        self.memory = self.memory.zip(granted.memory).map(|(left, memory)| left + memory);
        self.cpu = self.cpu.zip(granted.cpu).map(|(left, cpu)| (left + cpu).saturating_sub(used));
    }
}

impl Nests {
    /// Whether somebody up the line of a worker is gone, who was the reason for it to live.
    pub(super) fn is_orphan(&self, slot: u32, lives: impl Fn(u32, i32) -> bool) -> bool {
        let mut at = slot;
        while let Some(nested) = self.nested.get(&at) {
            if !lives(nested.starter, nested.starter_pid) {
                return true;
            }
            at = nested.starter;
        }
        false
    }

    /// Whether a worker of a line is being let go.
    fn anybody_leaves(&self, first: u32) -> bool {
        let leaves = |nested: &Nested| {
            let open = self.open.get(&nested.starter);
            open.is_some_and(|open| open.nest.slot(nested.place).entry.state() == State::Released)
        };
        self.nested.values().any(|nested| nested.first == first && leaves(nested))
    }

    /// The places of a line whose jobs wait to be started.
    fn waiting(&self, first: u32) -> Vec<(u32, usize)> {
        let open = self.open.iter().filter(|(_, open)| open.first == first);
        let waits = |open: &Open, place: &usize| {
            open.workers[*place].is_none() && open.nest.slot(*place).entry.state() == State::Pending
        };
        open.flat_map(|(slot, open)| {
            (0..open.workers.len()).filter(move |place| waits(open, place)).map(|place| (*slot, place))
        })
        .collect()
    }

    /// Slot of the first job of a worker's line; its own if it is the first.
    fn first(&self, slot: u32) -> u32 {
        self.nested.get(&slot).map_or(slot, |nested| nested.first)
    }
}

impl Zygote {
    /// The doorbell rang: a sandboxed job may want something.
    pub(super) fn hear_nests(&mut self) {
        let segment = self.segment;
        let asks = |slot: u32| {
            let slot = segment.slot(slot);
            slot.entry.room.load(Ordering::SeqCst) != 0 && slot.mailbox.asks().swap(0, Ordering::SeqCst) != 0
        };
        let asking: Vec<(i32, u32)> = self.crew.members().filter(|(_, slot)| asks(*slot)).collect();
        for (pid, slot) in asking {
            if self.open_nest(slot, pid).is_none() {
                llib::log!(Warn, "worker {pid} asks for a job, and has no nest to be looked into");
                continue;
            }
            let places = self.nests.open.get(&slot).map_or(0, |open| open.workers.len());
            (0..places).for_each(|place| self.look_into(slot, place));
        }
    }

    fn open_nest(&mut self, slot: u32, pid: i32) -> Option<()> {
        if self.nests.open.contains_key(&slot) {
            return Some(());
        }
        let room = RoomFile::open(&self.segment.room_name(slot))?;
        let nest = room.nest().ok()?;
        // Pages that cannot be had would be a SIGBUS. An honest worker has made sure of them before it asked.
        nest.reserve().ok()?;
        nest.keep_from_children().ok()?;
        let first = self.nests.first(slot);
        let mut charter = room.charter.clone();
        // A worker may have raised its walls before its limits were known.
        let limits = self.segment.slot(slot).entry.limits();
        let own = charter.settings.limits;
        charter.settings.limits = if first == slot {
            Limits { files: own.files, fsize: own.fsize, ..limits }
        } else {
            own.least(limits)
        };
        if first == slot {
            let jobs = charter.settings.sandbox.as_ref().map_or(0, |policy| policy.jobs);
            self.nests.accounts.insert(slot, Account::new(limits, jobs));
        }
        let workers = vec![None; nest.places()];
        self.nests.open.insert(slot, Open { nest, room: Rc::new(room), charter, pid, first, workers });
        Some(())
    }

    fn look_into(&mut self, slot: u32, place: usize) {
        let Some(open) = self.nests.open.get(&slot) else { return };
        let (state, worker) = (open.nest.slot(place).entry.state(), open.workers[place]);
        match (state, worker) {
            (State::Pending, None) => self.start_nested(slot, place),
            (State::Released, None) => self.free_place(slot, place),
            (State::Released, Some(worker)) => {
                if let Some(pid) = self.crew.at(worker) {
                    self.send(pid, libc::SIGKILL, Cause::Itself);
                }
            }
            _ => {}
        }
        let wish = self.nests.open.get(&slot).and_then(|open| open.nest.orders(place).wish());
        if let Some(wish) = wish {
            self.fulfil(slot, place, wish);
            if let Some(open) = self.nests.open.get(&slot) {
                open.nest.orders(place).acknowledge(wish);
            }
        }
    }

    /// Lets the worker whose nest it is have a place again, of whose job nothing is left.
    fn free_place(&self, slot: u32, place: usize) {
        if let Some(open) = self.nests.open.get(&slot) {
            let view = open.nest.slot(place);
            discard_inline_of(&self.tree, view.mailbox);
            view.entry.swap(State::Free);
            view.mailbox.ring();
        }
    }

    fn start_nested(&mut self, slot: u32, place: usize) {
        match self.try_to_start(slot, place) {
            Ok(()) => {}
            Err((cause, status)) => {
                llib::log!(Info, "a job of the sandboxed job in slot {slot} is not started: {cause:?}");
                let Some(open) = self.nests.open.get(&slot) else { return };
                let view = open.nest.slot(place);
                view.entry.set_cause(cause);
                view.entry.status.store(status, Ordering::SeqCst);
                view.entry.ended.store(clock::now(), Ordering::SeqCst);
                self.settle_place(slot, place);
            }
        }
    }

    fn try_to_start(&mut self, slot: u32, place: usize) -> Result<(), (Cause, i32)> {
        let not_started = |error: i32| (Cause::NotStarted, error);
        let Some(open) = self.nests.open.get(&slot) else { return Ok(()) };
        let asked = open.nest.slot(place).entry.limits();
        let (first, starter_pid) = (open.first, open.pid);
        let (room, charter) = (Rc::clone(&open.room), open.charter.clone());
        let account = self.nests.accounts.get_mut(&first).ok_or(not_started(libc::ESRCH))?;
        let granted = match account.set_aside(asked) {
            Ok(granted) => granted,
            // What others of the line had is there again as soon as they are gone.
            Err(_) if self.nests.anybody_leaves(first) => return Ok(()),
            Err(scarce) => return Err((Cause::Refused, scarce.code())),
        };
        let longest = room.shape().longest_of(charter.settings.limits.result);
        let limits = Limits { result: Some(longest), ..granted };
        let errand = Errand { charter, granted: limits, place: place as u32 };
        let started = self.take_slot(limits.least(errand.charter.settings.limits)).and_then(|index| {
            let ends = self.captures.get(&first).map(|captured| captured.more_ends()).transpose()?;
            let order =
                Start { ends: ends.unwrap_or_default(), nested: Some((room, errand)), ..Start::default() };
            let pid = self.start(index, order).inspect_err(|_| self.segment.header().free.give(index))?;
            Ok((index, pid))
        });
        let (index, pid) = started.map_err(|error: std::io::Error| {
            if let Some(account) = self.nests.accounts.get_mut(&first) {
                account.settle(granted, 0);
            }
            not_started(error.raw_os_error().unwrap_or(libc::EAGAIN))
        })?;
        self.segment.slot(index).entry.swap(State::Busy);
        let nested = Nested { starter: slot, starter_pid, first, place, granted, appointments: 0 };
        self.nests.nested.insert(index, nested);
        let Some(open) = self.nests.open.get_mut(&slot) else { return Ok(()) };
        open.workers[place] = Some(index);
        let entry = open.nest.slot(place).entry;
        entry.set_limits(granted);
        entry.pid.store(pid.cast_unsigned(), Ordering::SeqCst);
        let deadline = entry.deadline.load(Ordering::SeqCst);
        if !entry.change(State::Pending, State::Busy) {
            // Given up meanwhile.
            self.send(pid, libc::SIGKILL, Cause::Itself);
        } else {
            futex::wake_all(&entry.pid);
        }
        if deadline != 0 {
            self.appoint(index, deadline, Cause::Deadline);
        }
        Ok(())
    }

    /// A slot of the session for a worker that no host waits for.
    fn take_slot(&self, limits: Limits) -> std::io::Result<u32> {
        let none = |error: i32| std::io::Error::from_raw_os_error(error);
        let header = self.segment.header();
        let index = header.free.take_first(|_| true).ok_or_else(|| none(libc::EAGAIN))?;
        if self.segment.reserve(index, Mailbox::READY).is_err() {
            header.free.give(index);
            return Err(none(libc::ENOSPC));
        }
        let slot = self.segment.slot(index);
        slot.mailbox.reset();
        slot.entry.generation.fetch_add(1, Ordering::SeqCst);
        slot.entry.detached.store(detached::BY_HOST, Ordering::SeqCst);
        slot.entry.capture.store(0, Ordering::SeqCst);
        slot.entry.pool.store(0, Ordering::SeqCst);
        slot.entry.deadline.store(0, Ordering::SeqCst);
        slot.entry.room.store(1, Ordering::SeqCst);
        slot.entry.set_limits(limits);
        slot.entry.started.store(clock::now(), Ordering::SeqCst);
        Ok(index)
    }

    fn appoint(&mut self, index: u32, at: u64, cause: Cause) {
        let Some(nested) = self.nests.nested.get_mut(&index) else { return };
        if nested.appointments < APPOINTMENTS {
            nested.appointments += 1;
            let generation = self.segment.slot(index).entry.generation.load(Ordering::SeqCst);
            self.deadlines.add(deadlines::Deadline { at, job: JobRef { slot: index, generation }, cause });
        }
    }

    /// Does to the worker of a place what its starter wants.
    fn fulfil(&mut self, slot: u32, place: usize, wish: Wish) {
        let worker = self.nests.open.get(&slot).and_then(|open| open.workers[place]);
        let Some(worker) = worker else { return };
        if let Some(pid) = self.crew.at(worker).filter(|_| llib::sys::signal::exists(wish.signal)) {
            self.signal(pid, wish.signal);
        }
        if wish.kill_at != 0 {
            let closed = Cause::from_code(wish.cause) == Cause::Closed;
            self.appoint(worker, wish.kill_at, if closed { Cause::Closed } else { Cause::Killed });
        }
    }

    /// The mailbox by which the job of a slot came, where the zygote has it mapped.
    pub(super) fn replied(&self, index: u32) -> bool {
        let nested = self.nests.nested.get(&index);
        let place = nested.and_then(|nested| Some((self.nests.open.get(&nested.starter)?, nested.place)));
        let mailbox =
            place.map_or(self.segment.slot(index).mailbox, |(open, place)| open.nest.slot(place).mailbox);
        mailbox.reply() != 0
    }

    /// Tells the starter of a worker's job of its death, if it was started by a sandboxed one, and forgets its own nest.
    pub(super) fn tell_nests(&mut self, death: &Death) {
        let index = death.worker.slot;
        if let Some(open) = self.nests.open.remove(&index) {
            // Its own jobs are gone already, and so are all that could take what was on its way to them or from them.
            (0..open.workers.len())
                .for_each(|place| discard_inline_of(&self.tree, open.nest.slot(place).mailbox));
            self.nests.accounts.remove(&index);
        }
        let Some(nested) = self.nests.nested.remove(&index) else { return };
        if let Some(account) = self.nests.accounts.get_mut(&nested.first) {
            account.settle(nested.granted, death.usage.cpu());
        }
        let Some(open) = self.nests.open.get_mut(&nested.starter) else { return };
        open.workers[nested.place] = None;
        let entry = open.nest.slot(nested.place).entry;
        entry.set_cause(death.cause());
        entry.status.store(death.status, Ordering::SeqCst);
        entry.ended.store(clock::now(), Ordering::SeqCst);
        entry.user.store(death.usage.user, Ordering::SeqCst);
        entry.system.store(death.usage.system, Ordering::SeqCst);
        entry.max_rss.store(death.usage.max_rss, Ordering::SeqCst);
        self.settle_place(nested.starter, nested.place);
        for (slot, place) in self.nests.waiting(nested.first) {
            self.start_nested(slot, place);
        }
    }

    /// After the record of an end was written: the place is dead, or free if nobody wants to know.
    fn settle_place(&self, slot: u32, place: usize) {
        let Some(open) = self.nests.open.get(&slot) else { return };
        let view = open.nest.slot(place);
        let told =
            view.entry.change(State::Busy, State::Dead) || view.entry.change(State::Pending, State::Dead);
        let before = view.entry.detached.swap(detached::BY_DEATH, Ordering::SeqCst);
        if !told || before == detached::BY_HOST {
            return self.free_place(slot, place);
        }
        view.mailbox.ring();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits =
        Limits { memory: Some(400), cpu: Some(100_000), files: None, fsize: None, result: None };

    fn memory(bytes: u64) -> Limits {
        Limits { memory: Some(bytes), ..Limits::default() }
    }

    fn cpu(micros: u64) -> Limits {
        Limits { cpu: Some(micros), ..Limits::default() }
    }

    #[test]
    fn jobs_that_ask_for_nothing_get_equal_shares() {
        let mut account = Account::new(LIMITS, 4);
        for _ in 0..4 {
            let granted = account.set_aside(Limits::default()).unwrap();
            assert_eq!(granted.memory, Some(100));
            assert!(granted.cpu.unwrap() > 20_000 && granted.cpu.unwrap() <= 25_000);
        }
        assert_eq!(account.set_aside(memory(0)), Err(Scarce::Jobs));
    }

    #[test]
    fn no_more_is_given_than_is_there_and_what_was_not_used_comes_back() {
        let mut account = Account::new(LIMITS, 4);
        let all = account.set_aside(memory(400)).unwrap();
        assert_eq!(account.set_aside(Limits::default()), Err(Scarce::Memory));
        assert_eq!(account.set_aside(memory(1)), Err(Scarce::Memory));
        account.settle(all, 5_000);
        assert_eq!((account.memory, account.jobs, account.cpu), (Some(400), 4, Some(95_000 - FEE)));
        assert_eq!(account.set_aside(cpu(95_000)), Err(Scarce::Cpu));
        assert_eq!((account.memory, account.jobs), (Some(400), 4), "what is refused takes nothing");
        let most = account.set_aside(cpu(95_000 - 2 * FEE)).unwrap();
        assert_eq!(account.cpu, Some(0));
        account.settle(most, u64::MAX);
        assert_eq!((account.cpu, account.set_aside(Limits::default())), (Some(0), Err(Scarce::Cpu)));
    }

    #[test]
    fn each_job_costs_something_even_if_it_uses_nothing() {
        let mut account = Account::new(LIMITS, 1);
        let count = std::iter::from_fn(|| {
            account.set_aside(Limits::default()).ok().map(|granted| account.settle(granted, 0))
        });
        assert!(count.count() as u64 <= LIMITS.cpu.unwrap() / FEE);
    }
}
