//! The workers that live, by process id and by slot.
//!
//! After each fork the first write to a page copies it, so what is written for each worker lies together: ids
//! and slots are given out in order, and these collections keep that order. Hash tables would scatter it.

use std::collections::BTreeMap;

use llib_core::wire::cause::Cause;

/// What the zygote knows of a worker beside the slot table.
#[derive(Clone, Debug)]
pub(super) struct Worker {
    pub(super) slot: u32,
    /// Whether it was started behind the walls of a sandbox.
    pub(super) walled: bool,
    /// Which attributes of the host it has, see [`super::follow::Follow::generation`].
    pub(super) generation: u32,
    /// The signals that it was sent, and why.
    sent: Vec<(i32, Cause)>,
}

impl Worker {
    /// Why it died, if it died of this signal.
    pub(super) fn cause(&self, signal: Option<i32>) -> Cause {
        let sent = self.sent.iter().find(|(sent, _)| Some(*sent) == signal);
        sent.map_or(Cause::Itself, |(_, cause)| *cause)
    }
}

/// All of them.
#[derive(Default)]
pub(super) struct Crew {
    by_pid: BTreeMap<i32, Worker>,
    /// Process ids; 0 where no worker is.
    by_slot: Vec<i32>,
}

impl Crew {
    pub(super) fn add(&mut self, pid: i32, slot: u32, walled: bool, generation: u32) {
        self.by_pid.insert(pid, Worker { slot, walled, generation, sent: Vec::new() });
        let index = slot as usize;
        if self.by_slot.len() <= index {
            self.by_slot.resize(index + 1, 0);
        }
        self.by_slot[index] = pid;
    }

    pub(super) fn remove(&mut self, pid: i32) -> Option<Worker> {
        let worker = self.by_pid.remove(&pid)?;
        self.by_slot[worker.slot as usize] = 0;
        Some(worker)
    }

    /// The slot of a worker.
    pub(super) fn slot_of(&self, pid: i32) -> Option<u32> {
        self.by_pid.get(&pid).map(|worker| worker.slot)
    }

    pub(super) fn len(&self) -> usize {
        self.by_pid.len()
    }

    /// The worker of a slot.
    pub(super) fn at(&self, slot: u32) -> Option<i32> {
        self.by_slot.get(slot as usize).copied().filter(|pid| *pid != 0)
    }

    /// Whether the worker of a slot has other attributes of the host than those of this generation.
    pub(super) fn is_outdated(&self, slot: u32, generation: u32) -> bool {
        self.at(slot)
            .and_then(|pid| self.by_pid.get(&pid))
            .is_some_and(|worker| worker.generation != generation)
    }

    /// Process ids and slots.
    pub(super) fn members(&self) -> impl Iterator<Item = (i32, u32)> {
        self.by_pid.iter().map(|(pid, worker)| (*pid, worker.slot))
    }

    pub(super) fn pids(&self) -> Vec<i32> {
        self.by_pid.keys().copied().collect()
    }

    /// Notes that a worker is about to get a signal.
    pub(super) fn note(&mut self, pid: i32, signal: i32, cause: Cause) {
        // The first reason for a signal is the one that counts: more of the same changes nothing.
        if let Some(worker) =
            self.by_pid.get_mut(&pid).filter(|worker| worker.sent.iter().all(|(sent, _)| *sent != signal))
        {
            worker.sent.push((signal, cause));
        }
    }
}
