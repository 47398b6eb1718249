//! The session: one a process, started by the first job, with everything that outlives a job.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use ipc_channel::ipc::IpcSender;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::attributes::Told;
use super::reap::{Guard, reap_later};
use super::wait::{Patience, SLICE, reaches};
use llib_core::shared::{discard_undelivered, look_for_dead_hosts};
use llib_core::shm::{Board, SLOTS, Segment, Slot, State, Waiting};
use llib_core::sys::credentials::Credentials;
use llib_core::sys::fork::Owned;
use llib_core::sys::ring::Ring;
use llib_core::sys::signal::without_sigpipe;
use llib_core::wire::control::{Action, Command, Watched};

/// A zygote, its guard, and the memory shared with them.
pub struct Session {
    pub(super) segment: Owned<Segment>,
    pub(super) ring: Owned<Ring>,
    commands: Owned<Mutex<Commands>>,
    pub(super) told: Mutex<Told>,
    pub(super) refreshes: AtomicU32,
    guard: Guard,
    zygote: i32,
    checks: AtomicU32,
    lost: AtomicBool,
    /// What this process was when the supervisors were started, and what those are.
    credentials: Credentials,
    retired: AtomicBool,
}

/// The way to the zygote.
struct Commands {
    sender: IpcSender<Command>,
    /// Number of the last one.
    sequence: u32,
}

/// Numbers of a session.
#[derive(Clone, Copy, Debug)]
pub struct Stats {
    /// Process id of the guard.
    pub guard: i32,
    /// Process id of the zygote.
    pub zygote: i32,
    /// Workers that wait for a job.
    pub spares: usize,
    /// Jobs that are not cleaned yet.
    pub jobs: usize,
}

impl Session {
    pub(super) fn new(
        segment: Segment,
        ring: Ring,
        commands: IpcSender<Command>,
        told: Told,
        guard: Guard,
        zygote: i32,
        credentials: Credentials,
    ) -> Session {
        Session {
            segment: Owned::new(segment),
            ring: Owned::new(ring),
            commands: Owned::new(Mutex::new(Commands { sender: commands, sequence: 0 })),
            told: Mutex::new(told),
            refreshes: AtomicU32::new(0),
            guard,
            zygote,
            checks: AtomicU32::new(0),
            lost: AtomicBool::new(false),
            credentials,
            retired: AtomicBool::new(false),
        }
    }

    /// Whether this process started the session; a process forked from it did not.
    pub(super) fn is_ours(&self) -> bool {
        self.ring.is_ours()
    }

    /// Whether nobody supervises the session any more, as far as is known.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::SeqCst) || self.segment.header().lost.load(Ordering::SeqCst) != 0
    }

    /// Whether this process is still what the supervisors are.
    pub(super) fn fits(&self) -> bool {
        self.credentials == Credentials::own()
    }

    /// Has it take no new jobs, and end with the last one.
    pub(super) fn retire(&self) {
        llib_core::log!(
            Info,
            "retires session {}: this process has other privileges now",
            self.segment.name()
        );
        self.retired.store(true, Ordering::SeqCst);
        if self.send(Action::Retire).is_ok() {
            self.ring.ring();
        }
    }

    /// Whether it takes no new jobs any more.
    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::SeqCst)
    }

    /// Looks whether the supervisors live, and now and then for hosts that do not. A system call; for waits, once a slice.
    pub(super) fn check(&self) {
        /// Of [`SLICE`]: for 500 ms nothing has happened, which may be since the supervisors were stopped.
        const LONG: u32 = 500 / SLICE.as_millis() as u32;
        look_for_dead_hosts();
        if self.checks.fetch_add(1, Ordering::Relaxed) % LONG == LONG - 1 {
            self.guard.resume();
        }
        if !self.is_lost() && self.is_ours() && self.guard.has_ended() {
            self.lost.store(true, Ordering::SeqCst);
            llib_core::log!(
                Warn,
                "session {} is lost: its guard {} has ended",
                self.segment.name(),
                self.guard.pid
            );
        }
    }

    /// Has the supervisors kill what runs and end.
    pub(super) fn hang_up(&self) {
        llib_core::log!(Info, "closes session {}", self.segment.name());
        self.ring.close();
    }

    /// Waits until the supervisors are gone.
    pub(super) fn wait_for_end(&self, patience: Patience<'_>) {
        while !self.guard.wait(SLICE) && patience() {}
        self.check();
    }

    /// How it stands.
    pub(super) fn stats(&self) -> Stats {
        let header = self.segment.header();
        let spares = header.ready.count() + header.walled.count();
        // The zygote holds no slot but those of its spares.
        let jobs = (SLOTS - header.free.count()).saturating_sub(spares);
        Stats { guard: self.guard.pid, zygote: self.zygote, spares, jobs }
    }

    /// Leaves a slot for the zygote to see to.
    pub(super) fn attend(&self, index: u32) {
        self.segment.header().attention.give(index);
        self.nudge();
    }

    /// Gives back a slot in which no process and no capture is left.
    pub(super) fn free(&self, slot: Slot<'_>) {
        discard_undelivered(&self.segment, slot);
        self.segment.clear(slot);
        slot.entry.swap(State::Free);
        self.segment.header().free.give(slot.index);
    }

    /// Tells the zygote that the table changed, if it sleeps.
    pub(super) fn nudge(&self) {
        if self.segment.header().zygote_asleep.swap(0, Ordering::SeqCst) != 0 {
            self.ring.ring();
        }
    }

    /// Sends a command and waits until it was carried out; false if the supervisors are gone, or `patience` is.
    pub(super) fn command(&self, action: Action, patience: Patience<'_>) -> bool {
        let Ok(sequence) = self.send(action) else {
            self.check();
            return false;
        };
        self.ring.ring();
        self.wait_for(&self.segment.header().acknowledged, sequence, patience)
    }

    /// Waits until the zygote has counted a word of the header up to `number`; false if the supervisors are gone, or
    /// `patience` is.
    pub(super) fn wait_for(&self, word: &AtomicU32, number: u32, patience: Patience<'_>) -> bool {
        reaches(word, number, |late| {
            if late {
                self.check();
            }
            !self.is_lost() && (!late || patience())
        })
    }

    /// A descriptor that polls readable once the zygote has seen the end of `what`; at once if there is nothing to see.
    pub(super) fn watch(&self, what: Option<Watched>) -> io::Result<OwnedFd> {
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        // Where nobody is left to take it, `theirs` closes here, which is the right answer too.
        if let Some(what) = what
            && let Err(error) = self.ring.watch(what, theirs.as_fd())
        {
            self.check();
            if !self.is_lost() {
                return Err(error);
            }
        }
        Ok(ours)
    }

    /// Sends a command and returns its number. Numbers are sent in their order, whichever thread sends.
    pub(super) fn send(&self, action: Action) -> io::Result<u32> {
        // Nothing in here can panic half way, so a poisoned lock holds sound data.
        let mut commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        commands.sequence = commands.sequence.wrapping_add(1);
        let sequence = commands.sequence;
        without_sigpipe(|| commands.sender.send(Command { sequence, action })).map_err(io::Error::other)?;
        Ok(sequence)
    }
}

impl Board for Session {
    fn waiting(&self) -> &Waiting {
        &self.segment.header().waiting
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.is_ours() {
            // Which ends zygote and guard; also if forked processes have the ring too.
            self.ring.close();
            reap_later(self.guard.clone());
        }
    }
}
