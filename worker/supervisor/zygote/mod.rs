//! The zygote: one thread, a loop over everything that can happen to a session.
//!
//! It runs no user code and reads nothing that a worker wrote except one word that says "replied", which
//! only makes a descriptor readable; and, where there is a timeline, two that go into that. What it decides stands in the slot table, see `llib_core::shm`.

mod account;
mod bell;
mod capture;
mod crew;
mod deadlines;
mod follow;
mod nests;
mod pools;
mod preload;
mod processes;
mod reaper;
mod relay;
mod retire;
mod setup;
mod spares;
mod starter;
mod stop;
mod templates;

use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::time::Duration;

use ipc_channel::TryRecvError;
use ipc_channel::ipc::IpcReceiver;
use llib_core::observe::{log, trace};
use llib_core::shm::{Registrar, SLOTS, Segment, SessionLock, State};
use llib_core::sys::ring::{Ring, Rung};
use llib_core::sys::{clock, futex};
use llib_core::wire::cause::Cause;
use llib_core::wire::control::{Action, Command, JobRef, Watched};
use nix::sys::signal::SigSet;
use nix::sys::signalfd::SignalFd;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::end::{self, Ending};
use crate::{Session, Worker, timeline};
use llib_worker_sys::{self as sys, Apart};

/// Everything the zygote holds.
struct Zygote {
    segment: &'static Segment,
    segment_file: OwnedFd,
    /// Name of the tree that the session belongs to.
    tree: String,
    registrar: Registrar,
    _lock: SessionLock,
    worker: Box<dyn Worker>,
    follow: follow::Follow,
    ring: Ring,
    commands: IpcReceiver<Command>,
    /// Whether the ring has rung since the commands were last looked at: it does after each of them.
    rung: bool,
    /// The end of a pair of sockets that workers write to, and the one where the zygote hears it.
    doorbell: OwnedFd,
    bell: bell::Bell,
    signals: SignalFd,
    no_signals: SigSet,
    host: OwnedFd,
    guard: OwnedFd,
    crew: crew::Crew,
    pending: VecDeque<u32>,
    deadlines: deadlines::Deadlines,
    captures: HashMap<u32, capture::Captured>,
    /// Where bytes of jobs pass through.
    apart: Apart,
    relay: relay::Relay,
    watchers: HashMap<u32, Vec<(JobRef, OwnedFd)>>,
    spares: spares::Spares,
    /// Whether spares are made up to the number that there should be. A job that has just begun needs the processors more,
    /// so this waits for the end of one, or until half of them are used.
    refill: bool,
    /// Spares that died before they had a job, with walls or on the way to them.
    walls_failed: usize,
    pools: pools::Pools,
    nests: nests::Nests,
    processes: processes::Processes,
    /// Whether it takes no new jobs, see `retire`.
    retired: bool,
    retired_at: u64,
    /// Whether jobs wait for the processes of workers that are about to end.
    short: bool,
    templates: templates::Templates,
}

/// Runs the zygote in the process that calls. Returns its exit code.
pub(crate) fn run(session: Session, guard: OwnedFd) -> i32 {
    log::act_as(log::Role::Zygote);
    sys::set_title("llib-zygote", "");
    if trace::on() {
        trace::Track::own().name("zygote");
    }
    sys::heap::prepare_scratch();
    let Some(mut zygote) = setup::zygote(session, guard) else { return 1 };
    llib_core::log!(Info, "ready: {} workers at most, {} spares at first", SLOTS, spares::FEWEST);
    let ending = zygote.serve();
    [false, true].into_iter().for_each(|error| zygote.relay.pass_on(error, zygote.apart.bytes()));
    let reason = if ending == Ending::Over { "the host is gone: session over" } else { "the guard is gone" };
    llib_core::log!(Info, "{reason}");
    let segment = zygote.segment;
    end::publish(segment, ending, || zygote.kill_everything());
    llib_core::shared::bury_session(segment);
    // The guard does this too, unless it is what was lost, alone or together with the host.
    llib_core::shm::remove_session(segment.name());
    drop(zygote);
    end::sweep(&segment.tree_name());
    0
}

impl Zygote {
    fn serve(&mut self) -> Ending {
        loop {
            self.attend();
            if std::mem::take(&mut self.rung) && self.obey().is_break() {
                return Ending::Over;
            }
            self.reap();
            self.load_next();
            self.keep_deadlines();
            self.hear_again();
            if self.is_done() {
                return Ending::Over;
            }
            let busy = self.start_some();
            self.segment.header().zygote_asleep.store(1, Ordering::SeqCst);
            let idle = !busy && self.segment.header().attention.is_empty() && !self.templates.are_due();
            let ending = self.sleep(idle);
            self.segment.header().zygote_asleep.store(0, Ordering::SeqCst);
            if let Some(ending) = ending {
                return ending;
            }
        }
    }

    /// Sees to the slots that the host marked.
    fn attend(&mut self) {
        let segment = self.segment;
        segment.header().attention.take_all(|index| {
            let entry = segment.slot(index).entry;
            let state = entry.state();
            let deadline = entry.deadline.load(Ordering::SeqCst);
            if matches!(state, State::Pending | State::Busy) && deadline != 0 {
                let job = JobRef { slot: index, generation: entry.generation.load(Ordering::SeqCst) };
                self.deadlines.add(deadlines::Deadline { at: deadline, job, cause: Cause::Deadline });
            }
            match state {
                State::Pending if self.retired => self.refuse(index),
                State::Pending => self.pending.push_back(index),
                State::Released => self.release(index),
                // It died while a host had its bit, which is back now.
                State::Dead if self.take_spare(index) => self.finish(index),
                // A host had its bit while others of its kind were let go.
                State::Spare if self.is_outdated(index) && self.take_spare(index) => {
                    entry.swap(State::Released);
                    self.release(index);
                }
                _ => {}
            }
        });
    }

    /// Takes the bit of a spare; false if a host has it.
    fn take_spare(&self, index: u32) -> bool {
        let header = self.segment.header();
        header.ready.take(index) || header.walled.take(index)
    }

    /// Frees a slot that its host gave up.
    fn release(&mut self, index: u32) {
        match self.crew.at(index) {
            // Reaping it frees the slot.
            Some(pid) => self.send(pid, libc::SIGKILL, Cause::Itself),
            // A job that waits for its worker is taken out of the queue when its turn comes.
            None if self.pending.contains(&index) => {}
            None => self.finish(index),
        }
    }

    /// Gives back a slot of which nothing is left.
    fn finish(&mut self, index: u32) {
        let slot = self.segment.slot(index);
        self.captures.remove(&index);
        self.watchers.remove(&index);
        llib_core::shared::discard_undelivered(self.segment, slot);
        self.segment.clear(slot);
        slot.entry.swap(State::Free);
        self.segment.header().free.give(index);
    }

    fn send(&mut self, pid: i32, signal: i32, cause: Cause) {
        self.crew.note(pid, signal, cause);
        llib_core::log!(
            Debug,
            "sends SIG{} to worker {pid}: {}",
            llib_core::sys::signal::name(signal),
            timeline::cause_name(cause)
        );
        if trace::on() {
            timeline::sends(pid, signal, cause);
        }
        // It is ours and not reaped. One that is dead already needs no signal.
        let _ = sys::kill(pid, signal);
    }

    /// Carries out what the host sent; breaks when the host has hung up.
    fn obey(&mut self) -> std::ops::ControlFlow<()> {
        use std::ops::ControlFlow::{Break, Continue};
        loop {
            match self.commands.try_recv() {
                Ok(command) => {
                    // A slot that was marked before the command was sent comes first.
                    self.attend();
                    self.carry_out(command.action);
                    let acknowledged = &self.segment.header().acknowledged;
                    acknowledged.store(command.sequence, Ordering::SeqCst);
                    futex::wake_all(acknowledged);
                }
                Err(TryRecvError::Empty) => return Continue(()),
                Err(TryRecvError::IpcError(error)) => {
                    llib_core::log!(Info, "the host's channel has ended, or brought nonsense: {error}");
                    return Break(());
                }
            }
        }
    }

    fn carry_out(&mut self, action: Action) {
        llib_core::log!(Trace, "is told: {action:?}");
        match action {
            Action::Signal { job, signal } => {
                while self.pending.contains(&job.slot) {
                    self.start_pending(false);
                }
                if let Some(pid) = self.worker_of(job) {
                    self.signal(pid, signal, Cause::Killed);
                }
            }
            Action::KillAt { job, at, cause } => self.deadlines.add(deadlines::Deadline { at, job, cause }),
            Action::SignalPooled { job, signal, cause } => self.signal_pooled(job, signal, cause),
            Action::KillPooledAt { job, at, cause } => self.pools.appoint(job, at, cause),
            Action::LimitPool { pool, timeout } => self.limit_pool(pool, timeout),
            Action::Preload(preload) => self.preload(preload),
            Action::Retire => self.retire(),
            Action::Drain => self.drain_captured(),
        }
    }

    /// Sends a worker a signal that somebody asked for.
    fn signal(&mut self, pid: i32, signal: i32, cause: Cause) {
        match signal {
            libc::SIGSTOP => self.stop(pid),
            libc::SIGCONT => self.resume(pid),
            _ => self.send(pid, signal, cause),
        }
    }

    /// The process of a job that runs.
    fn worker_of(&self, job: JobRef) -> Option<i32> {
        let entry = self.segment.slot(job.slot).entry;
        let current =
            entry.state() == State::Busy && entry.generation.load(Ordering::SeqCst) == job.generation;
        if current { self.crew.at(job.slot) } else { None }
    }

    fn keep_deadlines(&mut self) {
        let now = clock::now();
        while let Some(due) = self.deadlines.due(now) {
            while self.pending.contains(&due.job.slot) {
                self.start_pending(false);
            }
            if let Some(pid) = self.worker_of(due.job) {
                llib_core::log!(Info, "worker {pid} is past its time: {}", timeline::cause_name(due.cause));
                self.send(pid, libc::SIGKILL, due.cause);
            }
        }
        let segment = self.segment;
        self.deadlines
            .tidy(|job| segment.slot(job.slot).entry.generation.load(Ordering::SeqCst) == job.generation);
        self.spares.settle(now);
        self.keep_reserve(now);
        self.keep_pool_deadlines(now);
        self.keep_retired(now);
        self.keep_load_time(now);
    }

    /// Makes the descriptors readable whose jobs have settled.
    fn tell_watchers(&mut self) {
        let segment = self.segment;
        self.watchers.retain(|index, watchers| {
            let slot = segment.slot(*index);
            let settled = slot.mailbox.reply() != 0 || slot.entry.state() == State::Dead;
            // Closing our end is what makes theirs readable.
            if settled {
                watchers.clear();
            }
            !settled
        });
    }

    /// Waits for whatever comes next; with `idle` false it only looks.
    fn sleep(&mut self, idle: bool) -> Option<Ending> {
        /// How soon a worker is looked for that was let go and stays: one that was stopped, or that lied about
        /// its reply.
        const ROUND: Duration = Duration::from_secs(1);
        let next = [self.deadlines.next(), self.spares.next(), self.pools.next(), self.next_look()];
        let pause = self.bell.pause();
        let next = next.into_iter().chain([self.templates.next(), pause]).flatten().min();
        let works =
            self.crew.len() > self.segment.header().ready.count() + self.segment.header().walled.count();
        let wait =
            [next.map(clock::until), (works || self.retired).then_some(ROUND)].into_iter().flatten().min();
        let time = if idle {
            wait.and_then(|wait| Timespec::try_from(wait).ok())
        } else {
            Some(Timespec::default())
        };
        let signals = self.signals.as_fd();
        let mut files = vec![
            PollFd::new(&self.ring, PollFlags::IN),
            PollFd::from_borrowed_fd(signals, PollFlags::IN),
            PollFd::new(&self.bell.file, if pause.is_none() { PollFlags::IN } else { PollFlags::empty() }),
            PollFd::new(&self.host, PollFlags::IN),
            PollFd::new(&self.guard, PollFlags::IN),
        ];
        let template = self.templates.file().map(|line| PollFd::from_borrowed_fd(line, PollFlags::IN));
        let pipes_at = files.len() + usize::from(template.is_some());
        files.extend(template);
        let pipes = self.captures.values().flat_map(capture::Captured::files);
        files.extend(pipes.map(|pipe| PollFd::from_borrowed_fd(pipe, PollFlags::IN)));
        let relay_at = files.len();
        files.extend(self.relay.files());
        let ready = poll(&mut files, time.as_ref());
        let said: Vec<bool> = files.iter().map(|file| !file.revents().is_empty()).collect();
        if ready.is_err() {
            return None;
        }
        if said[3] {
            return Some(Ending::Over);
        }
        if said[4] {
            return Some(Ending::Lost);
        }
        if said[1] {
            // Several deaths make one signal; reaping looks for all of them.
            let _ = self.signals.read_signal();
            self.note_stops();
        }
        if said[2] {
            if let Some(handed) = self.bell.hear(self.apart.bytes())
                && self.crew.slot_of(handed.sender).is_some()
            {
                self.relay.add(handed.sender, handed.error, handed.file);
            }
            self.tell_watchers();
            self.pools.hear();
            self.hear_nests();
        }
        if said[5..pipes_at].contains(&true) {
            self.hear_template();
        }
        for error in [false, true] {
            if said[relay_at + usize::from(error)] {
                self.relay.pass_on(error, self.apart.bytes());
            }
        }
        if said[pipes_at..relay_at].contains(&true) {
            self.drain_captured();
        }
        if said[0] { self.hear() } else { None }
    }

    fn drain_captured(&mut self) {
        let buffer = self.apart.bytes();
        self.captures.values_mut().for_each(|captured| captured.drain(buffer));
    }

    fn hear(&mut self) -> Option<Ending> {
        loop {
            match self.ring.receive() {
                Rung::Plain => self.rung = true,
                Rung::Watch(Watched::Job(job), file) => {
                    let current = self.segment.slot(job.slot).entry.generation.load(Ordering::SeqCst);
                    if current == job.generation {
                        self.watchers.entry(job.slot).or_default().push((job, file));
                    }
                    self.tell_watchers();
                }
                Rung::Watch(Watched::Pooled(job, deaths), file) => self.watch_pooled(job, deaths, file),
                Rung::Part(part) => self.hear_attributes(part),
                Rung::Closed => return Some(Ending::Over),
                Rung::Empty => return None,
            }
        }
    }
}
