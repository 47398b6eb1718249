//! The session: one a process, started by the first job, with everything that outlives a job.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use ipc_channel::ipc::IpcSender;

use super::start::{Host, StartError, start};
use crate::observe::{Board, Waiting, set_board, trace};
use crate::shm::{SLOTS, Segment};
use crate::sys::futex::{self, Woken};
use crate::sys::ring::Ring;
use crate::sys::signal::without_sigpipe;
use crate::sys::spawn::has_ended;
use crate::wire::control::{Action, Command};

/// How long a sleep lasts at most before it looks whether its supervisors live. They wake sleepers before
/// they go; this is for the case that all of them were killed at once.
pub(super) const SLICE: Duration = Duration::from_millis(50);

/// The executable that runs, where it can serve as a worker program itself.
pub(crate) static OWN_WORKER: OnceLock<PathBuf> = OnceLock::new();

static CURRENT: Mutex<Option<Arc<Session>>> = Mutex::new(None);
static ENDED: Mutex<Vec<i32>> = Mutex::new(Vec::new());

/// A zygote, its guard, and the memory shared with them.
pub struct Session {
    pub(super) segment: Segment,
    pub(super) ring: Ring,
    commands: Mutex<Commands>,
    guard: i32,
    zygote: i32,
    host: u32,
    lost: AtomicBool,
}

/// Asked again and again while something takes longer than usual, for instance because the zygote was
/// stopped: whether to wait on.
pub type Patience<'a> = &'a mut dyn FnMut() -> bool;

/// The way to the zygote.
struct Commands {
    sender: IpcSender<Command>,
    /// Number of the last one.
    sequence: u32,
}

/// See [`Session::stats`].
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
        guard: i32,
        zygote: i32,
    ) -> Session {
        Session {
            segment,
            ring,
            commands: Mutex::new(Commands { sender: commands, sequence: 0 }),
            guard,
            zygote,
            host: std::process::id(),
            lost: AtomicBool::new(false),
        }
    }

    /// The process's session; starts one where there is none, or where the last one's supervisors died.
    pub fn current(host: impl FnOnce() -> Host) -> Result<Arc<Session>, StartError> {
        let mut current = lock(&CURRENT);
        if let Some(session) = current.as_ref().filter(|session| session.is_ours() && !session.is_lost()) {
            return Ok(Arc::clone(session));
        }
        // A session of before a fork belongs to the parent, and one whose supervisors died to nobody.
        *current = None;
        reap_ended();
        let starting = trace::span("session", || "start of supervisors".to_owned());
        let session = Arc::new(start(&host())?);
        drop(starting);
        crate::log!(
            Info,
            "session {} started, guard {}, zygote {}",
            session.segment.name(),
            session.guard,
            session.zygote
        );
        set_board(Arc::downgrade(&session) as Weak<dyn Board>);
        *current = Some(Arc::clone(&session));
        super::preload::again(&session);
        Ok(session)
    }

    /// Ends the process's session once its last job is gone.
    pub fn end_current() {
        let session = lock(&CURRENT).take();
        drop(session);
        reap_ended();
    }

    /// Whether this process started the session; a process forked from it did not.
    pub(super) fn is_ours(&self) -> bool {
        self.host == std::process::id()
    }

    /// Whether nobody supervises the session any more, as far as is known.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::SeqCst) || self.segment.header().lost.load(Ordering::SeqCst) != 0
    }

    /// Looks whether the supervisors live. A system call; for waits, once a slice.
    pub(super) fn check(&self) {
        if !self.is_lost() && self.is_ours() && has_ended(self.guard) {
            self.lost.store(true, Ordering::SeqCst);
            crate::log!(Warn, "session {} is lost: its guard {} has ended", self.segment.name(), self.guard);
        }
    }

    /// Numbers of the process's session, if it has one.
    pub fn stats() -> Option<Stats> {
        let session = lock(&CURRENT).as_ref().filter(|session| session.is_ours()).map(Arc::clone)?;
        let header = session.segment.header();
        let spares = header.ready.count() + header.walled.count();
        // The zygote holds no slot but those of its spares.
        let jobs = (SLOTS - header.free.count()).saturating_sub(spares);
        Some(Stats { guard: session.guard, zygote: session.zygote, spares, jobs })
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
        let acknowledged = &self.segment.header().acknowledged;
        loop {
            let seen = acknowledged.load(Ordering::SeqCst);
            // Numbers wrap around; half the circle away is far more than can be under way.
            if seen.wrapping_sub(sequence) < u32::MAX / 2 {
                return true;
            }
            if self.is_lost() {
                return false;
            }
            if futex::wait(acknowledged, seen, SLICE) != Woken::Changed {
                self.check();
                if !patience() {
                    return false;
                }
            }
        }
    }

    /// Sends a command and returns its number. Numbers are sent in their order, whichever thread sends.
    pub(super) fn send(&self, action: Action) -> io::Result<u32> {
        let mut commands = lock(&self.commands);
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
        // One that was seen to have ended is reaped, and its id may be another's by now.
        if self.is_ours() && !self.lost.load(Ordering::SeqCst) {
            // The ring closes with this, which ends zygote and guard.
            reap_later(self.guard);
        }
    }
}

/// Notes a child that is about to end, so that some later call takes its exit status.
pub(super) fn reap_later(pid: i32) {
    lock(&ENDED).push(pid);
    reap_ended();
}

fn reap_ended() {
    lock(&ENDED).retain(|pid| !has_ended(*pid));
}

/// Nothing in these sections can panic half way, so a poisoned lock holds sound data.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
