//! Who looks after a job: the session of a process that is a host, or the broker of one that is a sandboxed job.

use std::sync::Arc;

use super::broker::Broker;
use super::session::Session;
use super::wait::Patience;
use llib_core::shm::{Slot, Waiting};
use llib_core::sys::process::{self, Usage};
use llib_core::wire::control::Action;

/// See the module's header.
#[derive(Clone)]
pub(super) enum Supervisor {
    Session(Arc<Session>),
    Broker(&'static Broker),
}

impl Supervisor {
    /// The slot of a job.
    pub(super) fn slot(&self, index: u32) -> Slot<'_> {
        match self {
            Supervisor::Session(session) => session.segment.slot(index),
            Supervisor::Broker(broker) => broker.slot(index),
        }
    }

    /// Whether the job is this process's, and not the one's that this one was forked from.
    pub(super) fn is_ours(&self) -> bool {
        match self {
            Supervisor::Session(session) => session.is_ours(),
            Supervisor::Broker(_) => !llib_core::sys::fork::happened(),
        }
    }

    /// Whether nobody looks after the job any more. A broker's jobs end with its zygote, and so does this process.
    pub(super) fn is_lost(&self) -> bool {
        match self {
            Supervisor::Session(session) => session.is_lost(),
            Supervisor::Broker(_) => false,
        }
    }

    /// Looks whether that is so.
    pub(super) fn check(&self) {
        if let Supervisor::Session(session) = self {
            session.check();
        }
    }

    /// Where it stands that this process waits, unless that is in its mailbox.
    pub(super) fn waiting(&self) -> &Waiting {
        match self {
            Supervisor::Session(session) => &session.segment.header().waiting,
            Supervisor::Broker(broker) => broker.waiting(),
        }
    }

    /// Has something done and waits for that; false if nobody is left to do it, or `patience` is at its end.
    pub(super) fn command(&self, action: Action, patience: Patience<'_>) -> bool {
        match self {
            Supervisor::Session(session) => session.command(action, patience),
            Supervisor::Broker(broker) => broker.command(action, patience),
        }
    }

    /// Has a slot looked after.
    pub(super) fn attend(&self, index: u32) {
        match self {
            Supervisor::Session(session) => session.attend(index),
            Supervisor::Broker(broker) => broker.attend(index),
        }
    }

    /// The same once its worker, which has replied, goes by itself.
    pub(super) fn attend_later(&self, index: u32) {
        match self {
            Supervisor::Session(session) => session.segment.header().attention.give(index),
            Supervisor::Broker(broker) => broker.attend(index),
        }
    }

    /// Gives back a slot in which no process and no capture is left.
    pub(super) fn free(&self, slot: Slot<'_>) {
        match self {
            Supervisor::Session(session) => session.free(slot),
            Supervisor::Broker(broker) => broker.free(slot),
        }
    }

    /// The session, for what a broker's jobs do not have: segments of their own.
    pub(super) fn session(&self) -> Option<&Session> {
        match self {
            Supervisor::Session(session) => Some(session),
            Supervisor::Broker(_) => None,
        }
    }

    /// CPU time and memory of a process that runs.
    pub(super) fn usage_of(&self, pid: i32) -> Option<Usage> {
        match self {
            Supervisor::Session(_) => process::usage(pid),
            // The file that tells is out of reach.
            Supervisor::Broker(_) => process::cpu_time(pid),
        }
    }
}
