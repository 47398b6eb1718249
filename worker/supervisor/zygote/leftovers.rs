//! What jobs left running, and the deaths that are told when that is gone.
//!
//! A job may leave a thousand processes that start others on and on. Killing them takes time that other jobs' deadlines do not
//! have, so the zygote does it in slices, between which it sees to everything else. Whose leftovers are whose nobody can
//! tell. So a death is put aside until there is nothing left at all; but for workers that were seen to leave nothing when they were
//! killed ([`strays::kill_alone`]).

use std::time::Duration;

use llib_core::sys::clock;

use super::Zygote;
use super::reaper::Death;
use crate::end;
use crate::strays::{Round, Strays};
use llib_worker_sys as sys;

/// How long killed processes may take to go. One that takes longer is waited for no more.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// See the module's header.
#[derive(Default)]
pub(super) struct Leftovers {
    /// Deaths that are not told yet.
    pub(super) deaths: Vec<Death>,
    pub(super) strays: Strays,
    /// When to look again, if there is a reason to.
    pub(super) look_at: Option<u64>,
    /// Whether any were found since there were none.
    found: bool,
}

impl Leftovers {
    /// Whether the death of a slot's worker is yet to be told.
    pub(super) fn has(&self, slot: u32) -> bool {
        self.deaths.iter().any(|death| death.worker.slot == slot)
    }

    /// Whether nothing is known to be left.
    pub(super) fn are_gone(&self) -> bool {
        !self.found
    }

    /// When to look again.
    pub(super) fn next(&self) -> Option<u64> {
        self.look_at
    }
}

impl Zygote {
    /// Reaps some that are dead, for what is started at once; whether there were any.
    pub(super) fn reap_leftovers(&mut self) -> bool {
        /// What is still alive may be faster with some of these.
        const ROOM: usize = 8;
        let ended = self.leftovers.strays.ended().filter(|pid| self.crew.slot_of(*pid).is_none());
        let ended: Vec<i32> = ended.take(ROOM).collect();
        for pid in &ended {
            sys::reap_child(*pid);
            self.leftovers.strays.forget(*pid);
        }
        !ended.is_empty()
    }

    /// Kills some of what is left, and takes the deaths that can be told now.
    pub(super) fn kill_leftovers(&mut self) -> Vec<Death> {
        let lives = |slot: u32, pid: i32| self.crew.at(slot) == Some(pid);
        let stays = |pid: i32| match self.crew.slot_of(pid) {
            Some(slot) => !self.nests.is_orphan(slot, lives),
            None => self.templates.has(pid),
        };
        let leftovers = &mut self.leftovers;
        let round = leftovers.strays.kill(&stays, PATIENCE);
        if round != Round::Clean {
            leftovers.found = true;
            // When one is gone that is heard, unless there are too many of them to listen to each.
            let pause = Duration::from_millis(if round == Round::Killed { 1 } else { 10 });
            leftovers.look_at = Some(clock::after(pause));
            let (segment, nests) = (self.segment, &self.nests);
            // Its jobs are killed like what it left, and go before it is told.
            let alone = |death: &mut Death| {
                death.worker.alone && !nests.may_have_jobs(segment.slot(death.worker.slot), death.worker.slot)
            };
            return leftovers.deaths.extract_if(.., alone).collect();
        }
        leftovers.look_at = None;
        if std::mem::take(&mut leftovers.found) {
            llib_core::log!(Info, "killed what a job had left running");
            // Among them may have been the supervisors of a job that was a host itself.
            end::sweep(&self.tree);
        }
        std::mem::take(&mut self.leftovers.deaths)
    }
}
