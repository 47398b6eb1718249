//! A worker that is about to be forked: what the zygote decides about it, and what all workers of a session have in common.

use std::io;
use std::os::fd::{OwnedFd, RawFd};

use llib_core::shm::Segment;
use llib_core::sync::Owner;
use llib_core::wire::limits::Limits;
use nix::sys::signal::SigSet;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

use crate::Worker;
use crate::attributes::Worn;
use crate::seat::{Ends, Nested, Seat};

/// What every worker of a session is forked with, in whichever process.
#[derive(Clone, Copy)]
pub(crate) struct Common<'a> {
    pub(crate) segment: &'static Segment,
    pub(crate) segment_file: &'a OwnedFd,
    pub(crate) tree: &'a str,
    /// Process id of the zygote.
    pub(crate) zygote: i32,
    pub(crate) doorbell: &'a OwnedFd,
    /// What workers have of the host that the process which forks them has not.
    pub(crate) worn: &'a Worn,
    /// The signals that it blocks: none. Made ahead, since it takes the child a page of code more.
    pub(crate) signals: &'a SigSet,
    pub(crate) worker: &'a dyn Worker,
}

/// What is a worker's own, in plain numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Birth {
    /// Its slot.
    pub(crate) index: u32,
    /// Place and generation in the tree's table of owners.
    pub(crate) owner: Option<(u16, u32)>,
    /// Number of the file with its mailbox, where that is no other's: of a sandboxed worker.
    pub(crate) own: u32,
    /// Whether it has no job yet.
    pub(crate) spare: bool,
    pub(crate) walled: bool,
    pub(crate) nested: Option<NestedBirth>,
    /// RLIMIT_NPROC while it is forked, if another one than usual.
    pub(crate) processes: Option<u64>,
}

/// See [`Nested`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct NestedBirth {
    /// Slot of the worker that starts the job.
    pub(crate) starter: u32,
    pub(crate) place: u32,
    pub(crate) granted: Limits,
    /// What the starter itself was given, as the zygote knows it.
    pub(crate) outer: Limits,
}

impl Common<'_> {
    /// In the forked process: lives as this worker. `kept` are descriptors of modules, ascending.
    pub(crate) fn live(&self, birth: &Birth, ends: Ends, nested: Option<Nested<'_>>, kept: &[RawFd]) -> ! {
        self.worker.run(Seat {
            segment: self.segment,
            segment_file: self.segment_file,
            index: birth.index,
            own: birth.own,
            tree: self.tree,
            owner: birth.owner.map(|(index, generation)| Owner { index, generation }),
            zygote: self.zygote,
            doorbell: self.doorbell,
            ends,
            signals: self.signals,
            worn: self.worn,
            spare: birth.spare,
            walled: birth.walled,
            nested,
            kept,
        })
    }
}

/// Forks with this limit of processes, which the kernel compares with how many the user has; both sides have the usual one
/// afterwards.
pub(crate) fn with_limit<T>(processes: Option<u64>, fork: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let Some(current) = processes else { return fork() };
    let usual = getrlimit(Resource::Nproc);
    let _ = setrlimit(Resource::Nproc, Rlimit { current: Some(current), maximum: usual.maximum });
    let forked = fork();
    let _ = setrlimit(Resource::Nproc, usual);
    forked
}
