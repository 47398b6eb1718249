//! What a job looks like from outside, however it got its worker.

use std::io;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::output::Output;
use super::reply::{ReplyBytes, ReplyError};
use super::wait::{NotYet, Patience};
use llib_core::sys::clock;
use llib_core::sys::process::Usage;
use llib_core::wire::cause::Cause;
use llib_core::wire::limits::Limits;

/// How a job ended, or that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The worker left a reply with this code.
    Reply(u32),
    /// Its process is gone without one.
    Death(Death),
    /// It was given up before a worker had it.
    Cancelled(Cause),
    /// Its pool has stopped, since its workers die at their start; see [`Dispatched::stopper`].
    Stopped,
    /// Nobody supervises it any more.
    Lost,
}

impl Settled {
    /// Code of a reply with values.
    pub const VALUES: u32 = 1;
}

/// The record of a process that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Death {
    /// What llib had to do with it.
    pub cause: Cause,
    /// Wait status as waitpid(2) gives it, or the error number of [`Cause::NotStarted`].
    pub status: i32,
}

/// What came of stopping a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paused {
    /// It is stopped, or over.
    Yes,
    /// It runs on: it has held a lock of something shared all the time.
    Locked,
    /// There is no worker that could be stopped, or nobody who could do it.
    Unheard,
}

/// How long a job is waited for that holds a lock, before it is not stopped after all.
const PAUSE_LIMIT: Duration = Duration::from_secs(1);
/// Time between two tries.
const PAUSE_ROUND: Duration = Duration::from_millis(2);

/// A job that was handed over. Dropping it detaches it: it runs on and is freed when it ends.
pub trait Dispatched {
    /// A number no other job of its session, or of its pool, has.
    fn id(&self) -> u64;

    /// Process id of the worker that has it or had it; `None` until one has.
    fn pid(&self) -> Option<i32>;

    /// The same for a job whose worker is about to come: after a look around, which may take a moment. One that has
    /// settled may never have had one.
    fn wait_for_pid(&self) -> Result<Option<i32>, NotYet>;

    /// The process id of a job that has settled, if it had a process.
    fn settled_pid(&self) -> Option<i32> {
        loop {
            if let Ok(pid) = self.wait_for_pid() {
                return pid;
            }
        }
    }

    /// Whether and how it has ended, without waiting.
    fn settled(&self) -> Option<Settled>;

    /// The same after a look around, for whoever does not wait for it here and would not hear that nobody is left to end
    /// it.
    fn settled_by_now(&self) -> Option<Settled>;

    /// Waits until it has settled, at most until `limit` on the monotonic clock.
    fn wait(&self, limit: Option<u64>) -> Result<Settled, NotYet>;

    /// The reply of a job that settled with one. Where the worker may have been taken over, `hostile` says how much of it
    /// is wanted.
    fn reply(&self, hostile: Option<usize>) -> Result<ReplyBytes<'_>, ReplyError>;

    /// A descriptor that polls readable once the job has settled; the same each time, as long as there is the job.
    fn watch(&self) -> io::Result<RawFd>;

    /// Whether this process started it, and not one that it was forked from.
    fn is_ours(&self) -> bool;

    /// Sends a signal to its worker. After SIGKILL the job is over when this returns, and nothing of it runs. False if
    /// there is no worker that could get it, or nobody is left who could send it.
    fn signal(&self, signal: i32, patience: Patience<'_>) -> bool;

    /// Whether its worker is stopped, whoever did it.
    fn is_paused(&self) -> bool;

    /// Stops its worker, at a moment at which it holds no lock of anything shared. Waits a second at most for that.
    fn pause(&self, patience: Patience<'_>) -> Paused {
        let end = clock::after(PAUSE_LIMIT);
        loop {
            let sent = self.signal(libc::SIGSTOP, patience);
            if self.settled().is_some() || self.is_paused() {
                return Paused::Yes;
            }
            if !sent {
                return Paused::Unheard;
            }
            let waited = self.wait(Some(clock::after(PAUSE_ROUND)));
            if clock::until(end).is_zero() || (waited == Err(NotYet::Pause) && !patience()) {
                return Paused::Locked;
            }
        }
    }

    /// Has it killed if it is still there after this time.
    fn kill_after(&self, grace: Duration, cause: Cause, patience: Patience<'_>);

    /// Asks it to end at its next chance, and has it killed if it is still there after `grace`, if there is one.
    fn close(&self, grace: Option<Duration>, patience: Patience<'_>);

    /// Wall-clock time so far, or until it ended.
    fn wall(&self) -> Duration;

    /// Whether nobody supervises it any more: then a reply may have gone with its segment.
    fn is_lost(&self) -> bool;

    /// CPU time and memory so far, or until it ended; `None` if its worker is not its own.
    fn usage(&self) -> Option<Usage> {
        None
    }

    /// The limits of a job that was started with these.
    fn limits(&self, asked: Limits) -> Limits {
        asked
    }

    /// The system call for which a sandbox ended it, as it says itself.
    fn denied_call(&self) -> Option<i64> {
        None
    }

    /// What was captured of its output so far.
    fn output(&self, _: Patience<'_>) -> Output {
        Output::default()
    }

    /// The worker whose end has stopped the job's pool, and how that ended.
    fn stopper(&self) -> Option<Stopper> {
        None
    }

    /// Notes in timeline and log, if there are any, what became of it; not where that was noted as soon as it ended.
    fn note_outcome(&self, _: &str) {}

    /// Frees everything of the job, killing it if it runs with a worker of its own.
    fn release(&mut self);
}

/// See [`Dispatched::stopper`].
pub type Stopper = (Rc<dyn Dispatched>, Settled);

/// After which time a job is killed that was asked to close: what is given, else what is in order for one that has said
/// that it may be ended anywhere.
pub(super) fn time_to_close(grace: Option<Duration>, anywhere: &AtomicU32) -> Option<Duration> {
    /// What a job that may be ended anywhere gets to notice by itself. It looks every thousand
    /// instructions, but not in a long call of a C function, or in a coroutine older than its wish.
    const NOTICE: Duration = Duration::from_millis(50);
    // The job sets its mark before it looks at ours, so one of the two sees the other.
    grace.or((anywhere.load(Ordering::SeqCst) != 0).then_some(NOTICE))
}
