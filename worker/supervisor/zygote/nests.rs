//! Jobs that sandboxed jobs start: the zygote is the broker between them, see [`llib_core::shm::Nest`].
//!
//! Whatever stands in a nest is a wish of code that nobody trusts. What a job was given is read from its charter, which
//! it cannot write, and here the numbers of that alone; who its workers are, and what there is left for them, is kept here.
//!
//! **Lines.** A sandboxed job, its jobs, their jobs, and so on, are a line, and have an [`Account`].
//!
//! **Numbers.** Slots and process ids are used again, and a worker can outlive its starter for a moment. So a nest has a number that no
//! other gets, and whatever refers to one names both.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use llib_core::shared::discard_known;
use llib_core::shm::{Nest, RoomFile, Slot, State, Stream, Wish, detached, walls};
use llib_core::sys::process::Usage;
use llib_core::sys::{clock, futex, signal};
use llib_core::wire::cause::Cause;
use llib_core::wire::control::JobRef;
use llib_core::wire::limits::Limits;
use rustix::fs::{Mode, OFlags};

use super::account::Account;
use super::reaper::{Death, record};
use super::starter::Start;
use super::{Zygote, deadlines};
use crate::seat::{self, Ends};

/// Appointments of one job to be killed. More than any needs; the zygote's memory is not for it to fill.
const APPOINTMENTS: usize = 64;

/// All nests that the zygote had to do with, and who is in them.
#[derive(Default)]
pub(super) struct Nests {
    /// By the slot of the worker whose nest it is.
    open: BTreeMap<u32, Open>,
    /// Workers of jobs that came from a nest, by their slots.
    nested: BTreeMap<u32, Nested>,
    /// By the number of the line.
    accounts: BTreeMap<u64, Account>,
    /// The last number that was given.
    number: u64,
    /// Lines that have something again for which others wait.
    stirred: Vec<u64>,
    /// Whether somebody asks whose nest could not be opened, for want of something that may be there later.
    unheard: bool,
}

struct Open {
    number: u64,
    /// That of the first of its line.
    line: u64,
    nest: Nest,
    room: Rc<RoomFile>,
    /// The process whose nest it is.
    pid: i32,
    places: Vec<Place>,
}

/// What the zygote knows of a slot of a nest.
#[derive(Clone, Copy, Default)]
struct Place {
    /// Slot of the worker that has the job.
    worker: Option<u32>,
    /// When to kill one that waits to be started.
    appointed: Option<(u64, Cause)>,
    /// Whether such a one is to be stopped as soon as it is.
    stopped: bool,
    /// Whether a worker has had the mailbox since that was last wiped.
    used: bool,
}

/// Where a worker's job came from, and what was set aside for it.
struct Nested {
    /// Slot of its starter, and the number of that one's nest.
    starter: (u32, u64),
    line: u64,
    place: usize,
    granted: Limits,
    appointments: usize,
}

impl Open {
    /// A slot of the nest as both sides see it.
    fn slot(&self, place: usize) -> Slot<'_> {
        self.nest.slot(place)
    }

    /// Whether the worker of a place is about to go, so that what it has will be there again.
    fn leaves(&self, place: usize) -> bool {
        let slot = self.slot(place);
        let forgotten = slot.entry.detached.load(Ordering::SeqCst) == detached::BY_HOST;
        slot.entry.state() == State::Released || (forgotten && slot.mailbox.reply() != 0)
    }
}

impl Nests {
    fn opened(&self, (slot, number): (u32, u64)) -> Option<&Open> {
        self.open.get(&slot).filter(|open| open.number == number)
    }

    fn opened_mut(&mut self, (slot, number): (u32, u64)) -> Option<&mut Open> {
        self.open.get_mut(&slot).filter(|open| open.number == number)
    }

    /// Whether somebody up the line of a worker is gone, who was the reason for it to live.
    pub(super) fn is_orphan(&self, slot: u32, lives: impl Fn(u32, i32) -> bool) -> bool {
        let mut at = slot;
        while let Some(nested) = self.nested.get(&at) {
            match self.opened(nested.starter) {
                Some(open) if lives(nested.starter.0, open.pid) => at = nested.starter.0,
                _ => return true,
            }
        }
        false
    }

    /// Whether a worker of a line is being let go.
    fn anybody_leaves(&self, line: u64) -> bool {
        let leaves =
            |nested: &Nested| self.opened(nested.starter).is_some_and(|open| open.leaves(nested.place));
        self.nested.values().any(|nested| nested.line == line && leaves(nested))
    }

    /// The places of lines that have something again, whose jobs wait to be started.
    fn waiting(&mut self) -> Vec<(u32, usize)> {
        let stirred = std::mem::take(&mut self.stirred);
        let open = self.open.iter().filter(|(_, open)| stirred.contains(&open.line));
        let waits = |open: &Open, place: &usize| {
            open.places[*place].worker.is_none() && open.slot(*place).entry.state() == State::Pending
        };
        let all = open.flat_map(|(slot, open)| {
            (0..open.places.len()).filter(move |place| waits(open, place)).map(|place| (*slot, place))
        });
        all.collect()
    }

    /// Tells the worker whose nest it is that nothing is left of a place's job, and sees to that: another one finds nothing of
    /// it there.
    fn free_place(&mut self, tree: &str, slot: u32, place: usize) {
        if let Some(open) = self.open.get_mut(&slot) {
            let used = std::mem::take(&mut open.places[place]).used;
            let view = open.slot(place);
            // What no worker has had is for the starter to wipe, which wrote it.
            if used {
                discard_known(tree, view.mailbox, &open.room.terms.objects, |_, _| false);
                open.nest.wipe(place);
            }
            view.entry.swap(State::Free);
            view.mailbox.ring();
        }
    }

    /// After the record of an end was written: the place is dead, or free if nobody wants to know.
    fn settle_place(&mut self, tree: &str, slot: u32, place: usize) {
        let Some(open) = self.open.get_mut(&slot) else { return };
        open.places[place] = Place { used: open.places[place].used, ..Place::default() };
        let view = open.slot(place);
        let told =
            view.entry.change(State::Busy, State::Dead) || view.entry.change(State::Pending, State::Dead);
        let before = view.entry.detached.swap(detached::BY_DEATH, Ordering::SeqCst);
        if !told || before == detached::BY_HOST {
            return self.free_place(tree, slot, place);
        }
        view.mailbox.ring();
    }
}

/// Whether a job that has not begun is over with this signal.
fn ends(number: i32) -> bool {
    let harmless = [libc::SIGSTOP, libc::SIGCONT, libc::SIGCHLD, libc::SIGURG, libc::SIGWINCH];
    signal::exists(number) && !harmless.contains(&number)
}

impl Zygote {
    /// The doorbell rang: a sandboxed job may want something.
    pub(super) fn hear_nests(&mut self) {
        self.nests.unheard = false;
        let segment = self.segment;
        let asks = |slot: u32| {
            let slot = segment.slot(slot);
            slot.entry.room.load(Ordering::SeqCst) != 0 && slot.mailbox.asks().swap(0, Ordering::SeqCst) != 0
        };
        let asking: Vec<(i32, u32)> = self.crew.members().filter(|(_, slot)| asks(*slot)).collect();
        for (pid, slot) in asking {
            match self.open_nest(slot, pid) {
                Ok(places) => (0..places).for_each(|place| self.look_into(slot, place)),
                Err(error) => {
                    llib_core::log!(Debug, "the nest of worker {pid} cannot be looked into: {error}");
                    segment.slot(slot).mailbox.asks().store(1, Ordering::SeqCst);
                    self.nests.unheard = true;
                }
            }
        }
    }

    /// Looks again at nests that could not be opened. The loop comes by here once a second at least.
    pub(super) fn hear_again(&mut self) {
        if self.nests.unheard {
            self.hear_nests();
        }
    }

    /// Opens a worker's nest, if it has one; returns how many places that has.
    fn open_nest(&mut self, slot: u32, pid: i32) -> io::Result<usize> {
        if let Some(open) = self.nests.open.get(&slot) {
            return Ok(open.places.len());
        }
        let Some(mut room) = RoomFile::open(&self.segment.room_name(slot))? else { return Ok(0) };
        let nest = room.nest()?;
        // Pages that cannot be had would be a SIGBUS. An honest worker has made sure of them before it asked.
        nest.reserve().map_err(io::Error::other)?;
        nest.keep_from_children()?;
        self.nests.number += 1;
        let number = self.nests.number;
        let line = self.nests.nested.get(&slot).map_or(number, |nested| nested.line);
        // A worker may have raised its walls before its limits were known.
        let known = self.segment.slot(slot).entry.limits();
        let own = room.terms.limits;
        room.terms.limits = if line == number {
            Limits { files: own.files, fsize: own.fsize, ..known }
        } else {
            own.least(known)
        };
        if line == number {
            self.nests.accounts.insert(line, Account::new(slot, known, room.terms.jobs));
        }
        let places = vec![Place::default(); nest.places()];
        let count = places.len();
        self.nests.open.insert(slot, Open { number, line, nest, room: Rc::new(room), pid, places });
        Ok(count)
    }

    fn look_into(&mut self, slot: u32, place: usize) {
        let Some(open) = self.nests.open.get(&slot) else { return };
        let (state, worker) = (open.slot(place).entry.state(), open.places[place].worker);
        match (state, worker) {
            (State::Pending, None) => self.start_nested(slot, place),
            (State::Released, None) => self.nests.free_place(&self.tree, slot, place),
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

    /// Starts the job of a place, or tells why not; or leaves it for later, if what it lacks is about to be there.
    fn start_nested(&mut self, slot: u32, place: usize) {
        if let Err((cause, status)) = self.try_to_start(slot, place) {
            llib_core::log!(Debug, "a job of the sandboxed job in slot {slot} is not started: {cause:?}");
            if let Some(open) = self.nests.open.get(&slot) {
                record(open.slot(place).entry, cause, status, Usage::default());
                self.nests.settle_place(&self.tree, slot, place);
            }
        }
    }

    fn try_to_start(&mut self, slot: u32, place: usize) -> Result<(), (Cause, i32)> {
        let Some(open) = self.nests.open.get(&slot) else { return Ok(()) };
        if self.crew.at(slot) != Some(open.pid) {
            // It is dead, and this will be too.
            return Ok(());
        }
        let (line, starter) = (open.line, (slot, open.number));
        let entry = open.slot(place).entry;
        let (asked, deadline) = (entry.limits(), entry.deadline.load(Ordering::SeqCst));
        let room = Rc::clone(&open.room);
        let most = room.terms.limits;
        let not_started =
            |error: io::Error| (Cause::NotStarted, error.raw_os_error().unwrap_or(libc::EAGAIN));
        let account = self.nests.accounts.get_mut(&line);
        let account = account.ok_or_else(|| not_started(io::Error::from_raw_os_error(libc::ESRCH)))?;
        let first = account.first;
        let granted = match account.set_aside(asked, most) {
            Ok(granted) => granted,
            // What others of the line have is there again as soon as they are gone.
            Err(_) if self.nests.anybody_leaves(line) => return Ok(()),
            Err(scarce) => return Err((Cause::Refused, scarce.code())),
        };
        let (index, pid) = self.fork_nested(first, room, slot, place, granted).map_err(|error| {
            if let Some(account) = self.nests.accounts.get_mut(&line) {
                account.settle(granted, 0);
            }
            not_started(error)
        })?;
        self.segment.slot(index).entry.swap(State::Busy);
        self.nests.nested.insert(index, Nested { starter, line, place, granted, appointments: 0 });
        let Some(open) = self.nests.open.get_mut(&slot) else { return Ok(()) };
        open.places[place].worker = Some(index);
        open.places[place].used = true;
        let waited = open.places[place];
        let entry = open.slot(place).entry;
        entry.set_limits(granted);
        entry.pid.store(pid.cast_unsigned(), Ordering::SeqCst);
        if entry.change(State::Pending, State::Busy) {
            futex::wake_all(&entry.pid);
        } else {
            // Given up meanwhile.
            self.send(pid, libc::SIGKILL, Cause::Itself);
        }
        if deadline != 0 {
            self.appoint(index, deadline, Cause::Deadline);
        }
        if let Some((at, cause)) = waited.appointed {
            self.appoint(index, at, cause);
        }
        if waited.stopped {
            self.note_paused(index, false);
            self.signal(pid, libc::SIGSTOP, Cause::Killed);
        }
        Ok(())
    }

    /// Forks a worker for the job of a place; returns its slot and process id.
    fn fork_nested(
        &mut self,
        first: u32,
        room: Rc<RoomFile>,
        starter: u32,
        place: usize,
        granted: Limits,
    ) -> io::Result<(u32, i32)> {
        let outer = room.terms.limits;
        let granted = Limits { result: Some(room.shape().longest_of(outer.result)), ..granted };
        let ends = self.ends_for(first, &room)?;
        let index = self.take_slot(granted.least(outer))?;
        let nested = Some(seat::Nested { room: &room, starter, place: place as u32, granted });
        let forked = self.start(index, Start { ends, nested, ..Start::default() });
        forked.map(|pid| (index, pid)).inspect_err(|_| {
            self.segment.clear(self.segment.slot(index));
            self.segment.header().free.give(index);
        })
    }

    /// Where the jobs of a line print whose first one's output is captured: there too, or nowhere if it has closed its own.
    fn ends_for(&self, first: u32, room: &RoomFile) -> io::Result<Ends> {
        let captured = self.captures.get(&first);
        let mut ends = Ends::new();
        for (stream, is_captured) in [Stream::Output, Stream::Error].into_iter().zip(room.terms.captured) {
            if is_captured {
                let end = captured.and_then(|captured| captured.another_end(stream)).transpose()?;
                ends.push((stream, end.map_or_else(nowhere, Ok)?));
            }
        }
        Ok(ends)
    }

    /// A slot of the session for a worker that no host waits for.
    fn take_slot(&self, limits: Limits) -> io::Result<u32> {
        let none = |error: i32| io::Error::from_raw_os_error(error);
        let header = self.segment.header();
        let index = header.free.take_first(|_| true).ok_or_else(|| none(libc::EAGAIN))?;
        if self.segment.renew(index).is_err() {
            header.free.give(index);
            return Err(none(libc::ENOSPC));
        }
        let slot = self.segment.slot(index);
        slot.entry.detached.store(detached::BY_HOST, Ordering::SeqCst);
        slot.entry.capture.store(0, Ordering::SeqCst);
        slot.entry.pool.store(0, Ordering::SeqCst);
        slot.entry.deadline.store(0, Ordering::SeqCst);
        slot.entry.room.store(walls::THEN, Ordering::SeqCst);
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

    /// Does to the job of a place what its starter wants.
    fn fulfil(&mut self, slot: u32, place: usize, wish: Wish) {
        let closed = Cause::from_code(wish.cause) == Cause::Closed;
        let cause = if closed { Cause::Closed } else { Cause::Killed };
        let Some(open) = self.nests.open.get_mut(&slot) else { return };
        let Some(worker) = open.places[place].worker else {
            if open.slot(place).entry.state() != State::Pending {
                // It is over.
            } else if ends(wish.signal) {
                record(open.slot(place).entry, Cause::Killed, wish.signal, Usage::default());
                self.nests.settle_place(&self.tree, slot, place);
            } else if wish.kill_at != 0 {
                open.places[place].appointed = Some((wish.kill_at, cause));
            } else {
                let stopped = &mut open.places[place].stopped;
                *stopped = wish.signal == libc::SIGSTOP || (*stopped && wish.signal != libc::SIGCONT);
                let stopped = u32::from(*stopped);
                open.slot(place).entry.paused.store(stopped, Ordering::SeqCst);
            }
            return;
        };
        if let Some(pid) = self.crew.at(worker).filter(|_| signal::exists(wish.signal)) {
            self.signal(pid, wish.signal, Cause::Killed);
        }
        if wish.kill_at != 0 {
            self.appoint(worker, wish.kill_at, cause);
        }
    }

    /// Whether the worker of a slot has replied.
    pub(super) fn replied(&self, index: u32) -> bool {
        let nested = self.nests.nested.get(&index);
        let place = nested.and_then(|nested| Some((self.nests.opened(nested.starter)?, nested.place)));
        let mailbox =
            place.map_or(self.segment.slot(index).mailbox, |(open, place)| open.slot(place).mailbox);
        mailbox.reply() != 0
    }

    /// The worker of a slot was stopped, or goes on: its starter sees it.
    pub(super) fn note_paused_nested(&self, index: u32, paused: bool) {
        let nested = self.nests.nested.get(&index);
        if let Some((open, place)) =
            nested.and_then(|nested| Some((self.nests.opened(nested.starter)?, nested.place)))
        {
            open.slot(place).entry.paused.store(paused.into(), Ordering::SeqCst);
        }
    }

    /// A worker is dead: its nest is nobody's any more. Before its own death is told, and before anybody else's.
    pub(super) fn close_nest(&mut self, slot: u32) {
        let view = self.segment.slot(slot);
        if view.entry.room.load(Ordering::SeqCst) != 0 && view.mailbox.asks().load(Ordering::SeqCst) != 0 {
            // It was gone before anybody had heard it. Its messages are to be thrown away all the same.
            let _ = self.open_nest(slot, 0);
        }
        let Some(open) = self.nests.open.remove(&slot) else { return };
        // Its jobs are gone or going, and so are all that could take what was on its way to them or from them.
        let objects = &open.room.terms.objects;
        (0..open.places.len())
            .for_each(|place| discard_known(&self.tree, open.slot(place).mailbox, objects, |_, _| false));
        if open.line == open.number {
            self.nests.accounts.remove(&open.line);
        }
    }

    /// Tells the starter of a worker's job of its death, if it was started by a sandboxed one.
    pub(super) fn tell_nests(&mut self, death: &Death) {
        let Some(nested) = self.nests.nested.remove(&death.worker.slot) else { return };
        if let Some(account) = self.nests.accounts.get_mut(&nested.line) {
            account.settle(nested.granted, death.usage.cpu());
            self.nests.stirred.push(nested.line);
        }
        let Some(open) = self.nests.opened_mut(nested.starter) else { return };
        record(open.slot(nested.place).entry, death.cause(), death.status, death.usage);
        self.nests.settle_place(&self.tree, nested.starter.0, nested.place);
    }

    /// After deaths: starts jobs that waited for what is there again.
    pub(super) fn start_waiting(&mut self) {
        for (slot, place) in self.nests.waiting() {
            self.start_nested(slot, place);
        }
    }
}

/// An end of what swallows everything.
fn nowhere() -> io::Result<OwnedFd> {
    Ok(rustix::fs::open("/dev/null", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?)
}
