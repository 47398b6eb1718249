//! What the zygote hands to a worker at its birth.

use std::os::fd::{OwnedFd, RawFd};

use llib_core::shm::{RoomFile, Segment, Stream};
use llib_core::sync::Owner;
use llib_core::wire::limits::Limits;
use nix::sys::signal::SigSet;

use crate::attributes::Worn;

/// The writing ends of pipes for what it prints.
pub type Ends = Vec<(Stream, OwnedFd)>;

/// What the zygote hands to a worker.
pub struct Seat<'a> {
    /// The session's segment, which the worker lays aside for its own mailbox.
    pub segment: &'static Segment,
    /// Its file.
    pub segment_file: &'a OwnedFd,
    /// The worker's slot.
    pub index: u32,
    /// Number of the file with its mailbox, 0 where that is in the segment.
    pub own: u32,
    /// Name of the tree that the session belongs to.
    pub tree: &'a str,
    /// Who the worker is in the tree's table of owners.
    pub owner: Option<Owner>,
    /// Process id of the zygote, taken before the fork.
    pub zygote: i32,
    /// What it writes to when the zygote shall look.
    pub doorbell: &'a OwnedFd,
    /// Where it prints to, if not where the zygote does.
    pub ends: Ends,
    /// The signals that it blocks: none.
    pub signals: &'a SigSet,
    /// What it has of the host that the zygote has not.
    pub worn: &'a Worn,
    /// Whether it was forked for no job. One may be there by now all the same.
    pub spare: bool,
    /// Whether it shall wait for its job behind the walls of a sandbox without grants.
    pub walled: bool,
    /// Descriptors of modules that were preloaded, ascending: they stay open, save in a sandbox.
    pub kept: &'a [RawFd],
    /// For a job that a sandboxed job starts: where that left it, and what it may have.
    pub nested: Option<Nested<'a>>,
}

/// See [`Seat::nested`].
#[derive(Clone, Copy)]
pub struct Nested<'a> {
    /// The starter's room.
    pub room: &'a RoomFile,
    /// The starter's slot.
    pub starter: u32,
    /// The job's place in the starter's nest.
    pub place: u32,
    /// What it may use.
    pub granted: Limits,
}
