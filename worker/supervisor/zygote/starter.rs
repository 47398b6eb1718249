//! Forking workers: onto jobs that wait, and as spares.

use std::io;
use std::sync::atomic::Ordering;

use llib_core::observe::trace;
use llib_core::shm::{Mailbox, State, walls};
use llib_core::sys::capabilities::capabilities;
use llib_core::sys::{clock, futex};
use llib_core::wire::cause::Cause;
use llib_core::wire::sandbox::SandboxPolicy;
use llib_core::wire::settings::Capture;
use rustix::process::{Pid, setpgid};

use super::Zygote;
use super::capture::Captured;
use super::processes::is_shortage;
use super::templates::Newborn;
use crate::birth::{Birth, NestedBirth};
use crate::seat::{Ends, Nested};
use crate::timeline;

/// Forks in a row before the loop looks at deaths and commands again.
const BATCH: usize = 8;

/// How a worker is started.
#[derive(Default)]
pub(super) struct Start<'a> {
    /// What to capture of its output.
    pub(super) capture: Capture,
    /// Whether it has no job yet.
    pub(super) spare: bool,
    /// Whether it shall wait for its job behind walls.
    pub(super) walled: bool,
    /// Ends of pipes where it prints to.
    pub(super) ends: Ends,
    /// For a job that a sandboxed job starts: where that left it, and what it may have.
    pub(super) nested: Option<Nested<'a>>,
}

impl Zygote {
    /// Starts workers that are needed, some at a time; whether more are.
    pub(super) fn start_some(&mut self) -> bool {
        if !self.pending.is_empty() {
            for _ in 0..BATCH {
                if self.short {
                    return false;
                }
                self.start_pending(true);
            }
            return true;
        }
        let header = self.segment.header();
        if self.retired {
            return false;
        }
        let ready = header.ready.count();
        let wanted = self.spares.wanted();
        if ready > wanted {
            // Calm: one spare too many goes.
            if let Some(index) = header.ready.take_first(|_| true) {
                self.segment.slot(index).entry.swap(State::Released);
                self.release(index);
            }
            return false;
        }
        let walled = header.walled.count();
        let lacks_walled = self.lacks_walled();
        self.refill |= ready <= wanted / 2 || (lacks_walled && walled <= self.spares.walled() / 2);
        if !self.refill {
            return false;
        }
        // Whichever there are fewer of.
        let started = if lacks_walled && (walled < ready || ready >= wanted) {
            self.start_spare(true)
        } else {
            ready < wanted && self.start_spare(false)
        };
        self.refill = started && (header.ready.count() < wanted || self.lacks_walled());
        self.refill
    }

    /// Whether there should be more spares behind walls: once there was a job for one, as many as at the least of the
    /// others.
    fn lacks_walled(&self) -> bool {
        /// After so many that did not get there it is not tried any more; jobs raise their own walls then.
        const ATTEMPTS: usize = 3;
        let header = self.segment.header();
        header.walled_wanted.load(Ordering::SeqCst) != 0
            && header.walled.count() < self.spares.walled()
            && self.walls_failed < ATTEMPTS
            && capabilities().missing(&SandboxPolicy::default()).is_empty()
    }

    /// Starts a worker for the job that has waited longest. Where no process can be made it may have to wait on, for that of
    /// a worker that is about to end.
    pub(super) fn start_pending(&mut self, may_wait: bool) {
        let Some(index) = self.pending.pop_front() else { return };
        let entry = self.segment.slot(index).entry;
        match entry.state() {
            State::Pending => {}
            // Given up before its turn came.
            State::Released if self.crew.at(index).is_none() => return self.finish(index),
            // Marked twice while it waited, and started the first time.
            _ => return,
        }
        self.look_at_host();
        self.spares.used();
        let capture = Capture::from_word(entry.capture.load(Ordering::SeqCst));
        if capture.is_none() {
            self.spares.missed();
        }
        match self.start(index, Start { capture, ..Start::default() }) {
            Ok(pid) => {
                if !entry.change(State::Pending, State::Busy) {
                    // Given up meanwhile; reaping it frees the slot.
                    self.send(pid, libc::SIGKILL, Cause::Itself);
                }
            }
            Err(error) if may_wait && is_shortage(&error) && self.anybody_ends() => {
                self.pending.push_front(index);
                self.short = true;
            }
            Err(error) => {
                llib_core::log!(Warn, "no worker could be forked for slot {index}: {error}");
                self.end_unstarted(index, error.raw_os_error().unwrap_or(0));
            }
        }
    }

    /// Ends a job that no worker has; `error` is the system's number for why.
    pub(super) fn end_unstarted(&mut self, index: u32, error: i32) {
        let entry = self.segment.slot(index).entry;
        entry.set_cause(Cause::NotStarted);
        entry.status.store(error, Ordering::SeqCst);
        entry.ended.store(clock::now(), Ordering::SeqCst);
        let pooled = entry.pool.load(Ordering::SeqCst);
        if entry.change(State::Pending, State::Dead) {
            self.settle(index)
        } else {
            self.finish(index)
        }
        self.announce_pool_death(pooled);
    }

    /// Starts a spare, if there is room for one. A failure is none: jobs are started when they come.
    fn start_spare(&mut self, walled: bool) -> bool {
        self.look_at_host();
        let header = self.segment.header();
        let Some(index) = header.free.take_first(|_| true) else { return false };
        let segment = self.segment;
        let prepared = match walled {
            true => segment.renew(index),
            false => segment.restore(index).and_then(|()| segment.reserve(index, Mailbox::READY)),
        };
        if prepared.is_err() {
            header.free.give(index);
            return false;
        }
        let slot = segment.slot(index);
        slot.mailbox.reset();
        // What its last job left there is not this one's.
        slot.entry.detached.store(0, Ordering::SeqCst);
        slot.entry.capture.store(0, Ordering::SeqCst);
        // Else a signal for a worker of that pool could go to this spare.
        slot.entry.pool.store(0, Ordering::SeqCst);
        slot.entry.started.store(0, Ordering::Relaxed);
        slot.entry.room.store(if walled { walls::AHEAD } else { 0 }, Ordering::SeqCst);
        match self.start(index, Start { spare: true, walled, ..Start::default() }) {
            Ok(_) => {
                slot.entry.swap(State::Spare);
                let spares = if walled { &header.walled } else { &header.ready };
                spares.give(index);
                true
            }
            Err(error) => {
                llib_core::log!(Debug, "no spare is forked: {error}");
                segment.clear(slot);
                header.free.give(index);
                false
            }
        }
    }

    /// Lets all spares go: they are not as those that are forked from now on.
    pub(super) fn replace_spares(&mut self) {
        let segment = self.segment;
        let header = segment.header();
        while let Some(index) =
            header.ready.take_first(|_| true).or_else(|| header.walled.take_first(|_| true))
        {
            segment.slot(index).entry.swap(State::Released);
            self.release(index);
        }
        self.refill = true;
    }

    pub(super) fn start(&mut self, index: u32, start: Start<'_>) -> io::Result<i32> {
        let Start { capture, spare, walled, ends, nested } = start;
        let segment = self.segment;
        let slot = segment.slot(index);
        let (captured, ends) = if capture.is_none() {
            (None, ends)
        } else {
            let generation = slot.entry.generation.load(Ordering::SeqCst);
            let (captured, ends) = Captured::new(&segment.output_name(index, generation), capture)?;
            (Some(captured), ends)
        };
        let before = if trace::on() { clock::now() } else { 0 };
        let owner = self.registrar.admit();
        slot.entry.set_owner(owner);
        let birth = Birth {
            index,
            owner: owner.map(|owner| (owner.index, owner.generation)),
            own: slot.entry.own_file(),
            spare,
            walled,
            nested: nested.map(|nested| NestedBirth {
                starter: nested.starter,
                place: nested.place,
                granted: nested.granted,
                outer: nested.room.terms.limits,
            }),
            processes: None,
        };
        let mut newborn = Newborn { birth, ends, nested };
        let forked = if spare { self.fork_spare(&mut newborn) } else { self.fork_for_job(&mut newborn) };
        // What is captured ends when no worker has these any more.
        drop(newborn);
        let pid = forked.inspect_err(|_| {
            slot.entry.set_owner(None);
            if let Some(owner) = owner {
                self.registrar.bury(owner);
            }
        })?;
        // The worker does the same; whoever comes first. One that was stopped before it could would stay
        // in the zygote's group, and a group with a stopped member gets SIGHUP when it is orphaned: the
        // zygote would die of the guard's death.
        let child = Pid::from_raw(pid);
        llib_core::log!(
            Debug,
            "forked worker {pid} for slot {index}{}{}",
            if slot.entry.started.load(Ordering::SeqCst) == 0 { ", a spare" } else { "" },
            if walled { " behind walls" } else { "" }
        );
        if before != 0 {
            timeline::forked(slot, pid, before);
        }
        let _ = setpgid(child, child);
        self.crew.add(pid, index, walled, self.follow.generation);
        if let Some(owner) = owner {
            self.registrar.introduce(owner, pid);
        }
        if let Some(captured) = captured {
            self.captures.insert(index, captured);
        }
        slot.entry.pid.store(pid.cast_unsigned(), Ordering::SeqCst);
        // Somebody may wait for the process of a job that found no spare.
        futex::wake_all(&slot.entry.pid);
        Ok(pid)
    }
}
