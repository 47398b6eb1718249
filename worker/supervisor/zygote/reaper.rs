//! What happens when a worker is gone.

use std::sync::atomic::Ordering;

use llib_core::observe::{log, trace};
use llib_core::shm::{Entry, State, detached};
use llib_core::sys::clock;
use llib_core::sys::process::Usage;
use llib_core::wire::cause::Cause;

use super::Zygote;
use super::crew::Worker;
use crate::{end, strays, timeline};
use llib_worker_sys as sys;

/// A worker that is gone.
pub(super) struct Death {
    pub(super) worker: Worker,
    pub(super) status: i32,
    pub(super) usage: Usage,
}

impl Death {
    /// What llib had to do with it.
    pub(super) fn cause(&self) -> Cause {
        self.worker.cause(libc::WIFSIGNALED(self.status).then(|| libc::WTERMSIG(self.status)))
    }
}

/// Writes into an entry of a slot table how its job ended.
pub(super) fn record(entry: &Entry, cause: Cause, status: i32, usage: Usage) {
    entry.set_cause(cause);
    entry.status.store(status, Ordering::SeqCst);
    entry.paused.store(0, Ordering::SeqCst);
    entry.ended.store(clock::now(), Ordering::SeqCst);
    entry.user.store(usage.user, Ordering::SeqCst);
    entry.system.store(usage.system, Ordering::SeqCst);
    entry.max_rss.store(usage.max_rss, Ordering::SeqCst);
}

impl Zygote {
    /// Takes the exit status of every worker that ended, kills what they left, and only then tells.
    pub(super) fn reap(&mut self) {
        let mut deaths = Vec::new();
        while let Some((pid, status, usage)) = strays::reap() {
            self.note_death(&mut deaths, pid, status, usage);
        }
        if deaths.is_empty() && !std::mem::take(&mut self.templates.ended) {
            return;
        }
        self.refill = true;
        // Not of those that were let go for a change.
        if deaths.iter().any(|death| death.worker.generation == self.follow.generation) {
            self.spares.used();
        }
        self.short = false;
        // Workers that are found dead on the way may have started others.
        let mut known = None;
        while known.replace(deaths.len()) != Some(deaths.len()) {
            self.kill_strays(&mut deaths);
        }
        self.templates.ended = false;
        // All of them before any is told of: nothing is started for a starter that is dead.
        for death in &deaths {
            self.close_nest(death.worker.slot);
        }
        for death in deaths {
            let pooled = self.segment.slot(death.worker.slot).entry.pool.load(Ordering::SeqCst);
            self.clear_pool_seat(pooled);
            self.publish(&death);
            self.announce_pool_death(pooled);
        }
        self.start_waiting();
    }

    fn note_death(&mut self, deaths: &mut Vec<Death>, pid: i32, status: i32, usage: Usage) {
        if self.templates.has(pid) {
            return self.end_template(pid, status);
        }
        // Anything else was a stray.
        if let Some(worker) = self.crew.remove(pid) {
            self.bury(worker.slot);
            deaths.push(Death { worker, status, usage });
        }
    }

    /// Lets others have the worker's locks, and drops its handles.
    pub(super) fn bury(&self, index: u32) {
        let slot = self.segment.slot(index);
        if let Some(owner) = slot.entry.owner() {
            llib_core::shared::bury(&self.registrar, self.segment, slot, owner);
        }
    }

    fn kill_strays(&mut self, deaths: &mut Vec<Death>) {
        let mut reaped = Vec::new();
        let lives = |slot: u32, pid: i32| self.crew.at(slot) == Some(pid);
        let wanted = |pid: i32| match self.crew.slot_of(pid) {
            Some(slot) => !self.nests.is_orphan(slot, lives),
            None => self.templates.has(pid),
        };
        let found = strays::kill(strays::PATIENCE, &wanted, &mut |pid, status, usage| {
            reaped.push((pid, status, usage));
        });
        for (pid, status, usage) in reaped {
            self.note_death(deaths, pid, status, usage);
        }
        if found {
            llib_core::log!(Info, "killed what a job had left running");
            // Among them may have been the supervisors of a job that was a host itself.
            end::sweep(&self.tree);
        }
    }

    /// Records a death in the slot table and wakes the host.
    fn publish(&mut self, death: &Death) {
        let index = death.worker.slot;
        let slot = self.segment.slot(index);
        let entry = slot.entry;
        if trace::on() || log::on(log::Level::Info) {
            let how = timeline::ending(death.status, death.cause());
            let pid = entry.pid.load(Ordering::SeqCst).cast_signed();
            let cpu = death.usage.cpu() / 1000;
            // One that has replied is let go by its host, or killed once nobody wants it.
            if !self.replied(index) && entry.started.load(Ordering::SeqCst) != 0 {
                llib_core::log!(Info, "worker {pid} is gone without a reply: {how}, {cpu} ms of CPU time");
            } else {
                llib_core::log!(Debug, "worker {pid} is gone: {how}, {cpu} ms of CPU time");
            }
            timeline::died(pid, &how);
            timeline::end_run(slot, &how);
        }
        let pid = entry.pid.load(Ordering::SeqCst).cast_signed();
        self.relay.pass_on_of(pid, self.apart.bytes());
        if let Some(captured) = self.captures.get_mut(&index) {
            // Every writer is gone, so this is all there will be.
            captured.drain(self.apart.bytes());
        }
        self.tell_nests(death);
        record(entry, death.cause(), death.status, death.usage);
        if entry.state() == State::Spare && self.take_spare(index) {
            if death.worker.walled {
                // One that cannot raise its walls would be followed by others that cannot.
                self.walls_failed += 1;
            }
            return self.finish(index);
        }
        // A spare whose bit is out is being given a job just now: one of the two changes wins.
        let told = entry.change(State::Busy, State::Dead)
            || entry.change(State::Spare, State::Dead)
            || entry.change(State::Busy, State::Dead);
        if !told {
            return self.finish(index);
        }
        self.settle(index);
    }

    /// After a slot became [`State::Dead`]: frees a detached one, tells whoever waits for another.
    pub(super) fn settle(&mut self, index: u32) {
        let slot = self.segment.slot(index);
        let before = slot.entry.detached.swap(detached::BY_DEATH, Ordering::SeqCst);
        if before == detached::BY_HOST && slot.entry.change(State::Dead, State::Released) {
            return self.finish(index);
        }
        self.watchers.remove(&index);
        slot.mailbox.ring();
    }

    /// Kills every worker and whatever jobs started, for the end of the session.
    pub(super) fn kill_everything(&mut self) {
        for pid in self.crew.pids().into_iter().chain(self.templates.pids()) {
            let _ = sys::kill(pid, libc::SIGKILL);
            if !strays::are_visible() {
                let _ = sys::kill(-pid, libc::SIGKILL);
            }
        }
        strays::kill_all();
    }
}
