//! A job as the host sees it.

use std::cell::Cell;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::session::{Patience, SLICE};
use super::supervisor::Supervisor;
use super::traced::Traced;
use llib_core::observe::{Awaited, log, trace, waiting_in};
use llib_core::shm::{Mailbox, Region, RegionError, Slot, Spot, State, detached, handles};
use llib_core::sys::futex::Woken;
use llib_core::sys::process::Usage;
use llib_core::sys::{clock, futex};
use llib_core::wire::cause::Cause;
use llib_core::wire::control::{Action, JobRef};
use llib_core::wire::limits::Limits;
use llib_core::wire::settings::Capture;

/// How a job ended, or that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The worker left a reply with this code.
    Reply(u32),
    /// Its process is gone without one.
    Death(Death),
    /// Nobody supervises it any more.
    Lost,
}

/// The record of a process that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Death {
    /// What llib had to do with it.
    pub cause: Cause,
    /// Wait status as waitpid(2) gives it, or the error number of [`Cause::NotStarted`].
    pub status: i32,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// The job has settled.
    Settled(Settled),
    /// Not in this time.
    TimedOut,
    /// A signal handler ran, or may have: time for the interpreter's hooks. Wait again.
    Pause,
}

/// What came of stopping a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paused {
    /// It is stopped, or over.
    Yes,
    /// It runs on: it has held a lock of something shared all the time, or nobody could stop it.
    No,
}

/// How long a job is waited for that holds a lock, before it is not stopped after all.
pub const PAUSE_LIMIT: Duration = Duration::from_secs(1);
/// Time between two tries.
pub(crate) const PAUSE_ROUND: Duration = Duration::from_millis(2);

/// Where a reply stands. The memory can change while it is read.
pub struct ReplyBytes {
    /// First byte.
    pub start: *const u8,
    /// How many there are.
    pub len: usize,
    /// Whether it says to be a [`Parcel`](llib_core::shared::Parcel) with handles. They stay its own until the slot is
    /// freed: a task that is kept can be awaited again.
    pub carries: bool,
    _keeper: Keeper,
}

/// What keeps the bytes of a reply where they are.
enum Keeper {
    /// The session's segment.
    Session,
    /// The mapping of a segment apart.
    Region(#[expect(dead_code, reason = "held for its end")] Region),
    /// A private copy.
    Copy(#[expect(dead_code, reason = "held for its end")] Vec<u8>),
}

/// A job that was handed over. Dropping it detaches it: it runs on and is freed when it ends.
pub struct Job {
    supervisor: Supervisor,
    at: JobRef,
    started: u64,
    released: bool,
    traced: Traced,
    /// Whether timeline and log know its outcome.
    told: Cell<bool>,
}

impl Job {
    pub(super) fn new(supervisor: Supervisor, at: JobRef, started: u64, traced: Traced) -> Job {
        Job { supervisor, at, started, released: false, traced, told: Cell::new(false) }
    }

    /// Notes in timeline and log, if there are any, what became of it.
    pub fn note_outcome(&self, outcome: &str) {
        if (trace::on() || log::on(log::Level::Debug)) && !self.told.replace(true) {
            llib_core::log!(Debug, "job {}: {outcome}", self.id());
            let ended = u64::try_from(self.wall().as_nanos()).unwrap_or(0);
            self.traced.end(outcome, self.started.saturating_add(ended));
        }
    }

    fn slot(&self) -> Slot<'_> {
        self.supervisor.slot(self.at.slot)
    }

    fn mailbox(&self) -> Mailbox<'_> {
        self.slot().mailbox
    }

    /// A number no other job of the session has.
    pub fn id(&self) -> u64 {
        llib_core::shm::job_id(self.at.slot, self.at.generation)
    }

    /// Process id of its worker; `None` until it has one.
    pub fn pid(&self) -> Option<i32> {
        i32::try_from(self.slot().entry.pid.load(Ordering::SeqCst)).ok().filter(|pid| *pid > 0)
    }

    /// Whether and how it has ended, without waiting.
    pub fn settled(&self) -> Option<Settled> {
        self.look().or_else(|| (!self.supervisor.is_ours()).then_some(Settled::Lost))
    }

    /// The same after a look whether its supervisors live, for who does not wait for it here and would not hear of that.
    pub fn settled_by_now(&self) -> Option<Settled> {
        self.supervisor.check();
        self.settled()
    }

    /// The same for the process that started the session, without a system call.
    fn look(&self) -> Option<Settled> {
        let reply = || Some(self.mailbox().reply()).filter(|code| *code != 0).map(Settled::Reply);
        if let Some(settled) = reply() {
            return Some(settled);
        }
        let entry = self.slot().entry;
        if entry.state() == State::Dead {
            // It may have replied after the first look and died before the second.
            let death = Death { cause: entry.cause(), status: entry.status.load(Ordering::SeqCst) };
            return reply().or(Some(Settled::Death(death)));
        }
        if self.supervisor.is_lost() {
            return reply().or(Some(Settled::Lost));
        }
        None
    }

    /// Waits until it has settled, at most until `limit` on the monotonic clock.
    pub fn wait(&self, limit: Option<u64>) -> Waited {
        if !self.supervisor.is_ours() {
            return Waited::Settled(Settled::Lost);
        }
        if let Some(settled) = self.look() {
            return Waited::Settled(settled);
        }
        let place = self.supervisor.waiting();
        let wait = || self.wait_for(limit, || self.look()).map_or_else(|ended| ended, Waited::Settled);
        waiting_in(place, Awaited::Job(self.id()), wait)
    }

    /// Waits for it to have a process, and gives its id. One that settled without has none.
    pub fn wait_for_pid(&self) -> Result<i32, Waited> {
        // The zygote writes it just after the fork, which may be after the job's reply.
        let settled = self.settled();
        match (self.pid(), settled) {
            (Some(pid), _) => Ok(pid),
            (None, Some(settled @ (Settled::Death(_) | Settled::Lost))) => Err(Waited::Settled(settled)),
            (None, _) => {
                futex::wait(&self.slot().entry.pid, 0, SLICE);
                self.supervisor.check();
                self.pid().ok_or(Waited::Pause)
            }
        }
    }

    /// The process id of a job that has settled, if it had a process.
    pub fn settled_pid(&self) -> Option<i32> {
        loop {
            match self.wait_for_pid() {
                Ok(pid) => return Some(pid),
                Err(Waited::Pause) => {}
                Err(_) => return None,
            }
        }
    }

    /// Waits until its process and all it started are gone, or nobody is left to see to that.
    fn wait_until_gone(&self, patience: Patience<'_>) {
        let gone = || (self.is_gone() || self.supervisor.is_lost()).then_some(());
        while self.wait_for(None, gone).is_err() && patience() {}
    }

    fn is_gone(&self) -> bool {
        !matches!(self.slot().entry.state(), State::Busy | State::Pending)
    }

    fn wait_for<T>(&self, limit: Option<u64>, mut done: impl FnMut() -> Option<T>) -> Result<T, Waited> {
        let bell = self.mailbox().bell();
        // No spinning first: the scheduler likes to put the worker on the core of whoever woke it, where a
        // spinning host would only be in its way. Measured in `docs/decisions/0006-no-spinning.md`.
        let pause = clock::after(SLICE);
        loop {
            let seen = bell.load(Ordering::SeqCst);
            if let Some(result) = done() {
                return Ok(result);
            }
            let left = limit.map_or(SLICE, clock::until).min(SLICE);
            if left.is_zero() {
                return Err(Waited::TimedOut);
            }
            match futex::wait(bell, seen, left) {
                // A worker that keeps ringing must not keep the hooks from running.
                Woken::Changed if clock::until(pause).is_zero() => return Err(Waited::Pause),
                Woken::Changed => {}
                Woken::Interrupted => return Err(Waited::Pause),
                Woken::TimedOut => {
                    self.supervisor.check();
                    // A handler that ran just before the sleep began did not interrupt it.
                    return done().ok_or(Waited::Pause);
                }
            }
        }
    }

    /// The reply of a job that settled with one.
    pub fn reply_bytes(&self) -> Result<ReplyBytes, RegionError> {
        let claimed = usize::try_from(self.mailbox().length()).unwrap_or(usize::MAX);
        let carries = self.mailbox().handles().load(Ordering::SeqCst) == handles::REPLY;
        if self.mailbox().spot(claimed) == Spot::Inline {
            if claimed > Mailbox::READY {
                // A worker that lies has not, and reading a page that cannot be had is a SIGBUS too.
                self.mailbox().reserve(claimed)?;
            }
            let start = self.mailbox().payload();
            return Ok(ReplyBytes { start, len: claimed, carries, _keeper: Keeper::Session });
        }
        let session = self.supervisor.session().ok_or(RegionError::Full { bytes: claimed })?;
        let region = Region::open(&session.segment.reply_name(self.at.slot, self.at.generation))?;
        let start = region.as_ptr();
        let len = claimed.min(region.len());
        Ok(ReplyBytes { start, len, carries, _keeper: Keeper::Region(region) })
    }

    /// The same for a worker that may have been taken over: nothing of it is mapped. A segment apart is read, at
    /// most `limit` bytes, since a page that it lacks and a full file system would be a SIGBUS in a mapping.
    pub fn hostile_reply_bytes(&self, limit: usize) -> Result<ReplyBytes, RegionError> {
        let claimed = usize::try_from(self.mailbox().length()).unwrap_or(usize::MAX);
        if self.mailbox().spot(claimed) == Spot::Inline {
            return self.reply_bytes();
        }
        let session = self.supervisor.session().ok_or(RegionError::Full { bytes: claimed })?;
        let name = session.segment.room_name(self.at.slot);
        // One byte more shows that it is too long.
        let copy = Region::read_out(&name, claimed.min(limit.saturating_add(1)))?;
        let carries = self.mailbox().handles().load(Ordering::SeqCst) == handles::REPLY;
        Ok(ReplyBytes { start: copy.as_ptr(), len: copy.len(), carries, _keeper: Keeper::Copy(copy) })
    }

    /// The system call for which the sandbox ended it, as it says itself.
    pub fn denied_call(&self) -> Option<i64> {
        self.mailbox().denied().load(Ordering::SeqCst).checked_sub(1).map(i64::from)
    }

    /// Whether nobody supervises it any more: then a reply may have gone with its segment.
    pub fn is_lost(&self) -> bool {
        self.supervisor.is_lost() || !self.supervisor.is_ours()
    }

    /// Sends a signal to its processes. After SIGKILL they are gone when this returns, and with them
    /// whatever they started. False if nobody is left who could send it.
    pub fn signal(&self, signal: i32, patience: Patience<'_>) -> bool {
        if !self.supervisor.is_ours() {
            return false;
        }
        let sent = self.supervisor.command(Action::Signal { job: self.at, signal }, patience);
        if sent && signal == libc::SIGKILL {
            self.wait_until_gone(patience);
        }
        sent
    }

    /// Stops its processes, at a moment at which it holds no lock of anything shared. Waits a second at most for that.
    pub fn pause(&self, patience: Patience<'_>) -> Paused {
        let end = clock::after(PAUSE_LIMIT);
        loop {
            let sent = self.signal(libc::SIGSTOP, patience);
            if self.settled().is_some() || self.is_paused() {
                return Paused::Yes;
            }
            if !sent || clock::until(end).is_zero() {
                return Paused::No;
            }
            if self.wait_for(Some(clock::after(PAUSE_ROUND)), || self.look()) == Err(Waited::Pause)
                && !patience()
            {
                return Paused::No;
            }
        }
    }

    /// Whether its worker is stopped, whoever did it.
    pub fn is_paused(&self) -> bool {
        self.slot().entry.paused.load(Ordering::SeqCst) != 0
    }

    /// Has it killed if it is still there after this time.
    pub fn kill_after(&self, grace: Duration, cause: Cause, patience: Patience<'_>) -> bool {
        let action = Action::KillAt { job: self.at, at: clock::after(grace), cause };
        self.supervisor.is_ours() && self.supervisor.command(action, patience)
    }

    /// Asks it to end at its next chance, and has it killed if it is still there after `grace`, if there is one.
    pub fn close(&self, grace: Option<Duration>, patience: Patience<'_>) {
        /// What a job that may be ended anywhere gets to notice by itself. It looks every thousand
        /// instructions, but not in a long call of a C function, or in a coroutine older than its wish.
        const NOTICE: Duration = Duration::from_millis(50);
        let mailbox = self.mailbox();
        mailbox.closing().store(1, Ordering::SeqCst);
        if self.is_paused() {
            // Stopped it could not see that.
            self.signal(libc::SIGCONT, patience);
        }
        // The job sets its mark before it looks at ours, so one of the two sees the other.
        let anywhere = mailbox.autoclose().load(Ordering::SeqCst) != 0;
        if let Some(time) = grace.or(anywhere.then_some(NOTICE)) {
            self.kill_after(time, Cause::Closed, patience);
        }
    }

    /// The limits of a job that was started with these. A sandboxed job's own may have got less, which its zygote says.
    pub fn limits(&self, asked: Limits) -> Limits {
        match self.supervisor {
            Supervisor::Session(_) => asked,
            Supervisor::Broker(_) => asked.least(self.slot().entry.limits()),
        }
    }

    /// Wall-clock time so far, or until it ended.
    pub fn wall(&self) -> Duration {
        let now = clock::now();
        let entry = self.slot().entry;
        let ended = match self.settled() {
            None | Some(Settled::Lost) => now,
            // The worker's word, so it is held to what is possible.
            Some(Settled::Reply(_)) => self.mailbox().replied(),
            Some(Settled::Death(_)) => entry.ended.load(Ordering::SeqCst),
        };
        Duration::from_nanos(ended.clamp(self.started, now.max(self.started)) - self.started)
    }

    /// CPU time and memory so far, or until it ended.
    pub fn usage(&self) -> Usage {
        let entry = self.slot().entry;
        if entry.state() == State::Dead {
            let read = |word: &std::sync::atomic::AtomicU64| word.load(Ordering::SeqCst);
            return Usage {
                user: read(&entry.user),
                system: read(&entry.system),
                max_rss: read(&entry.max_rss),
            };
        }
        self.settled_pid().and_then(|pid| self.supervisor.usage_of(pid)).unwrap_or_default()
    }

    /// A descriptor that becomes readable once the job has settled: the other end closes then. It closes
    /// as well if the zygote dies.
    pub fn watch(&self) -> std::io::Result<OwnedFd> {
        self.mailbox().notify().store(1, Ordering::SeqCst);
        self.supervisor.watch(self.at)
    }

    /// What was captured of its output so far.
    pub fn output(&self, patience: Patience<'_>) -> super::Output {
        let capture = Capture::from_word(self.slot().entry.capture.load(Ordering::SeqCst));
        let Some(session) = self.supervisor.session().filter(|_| !capture.is_none()) else {
            return super::Output::default();
        };
        session.command(Action::Drain, patience);
        super::output::read(&session.segment.output_name(self.at.slot, self.at.generation), capture)
    }

    /// Frees everything of the job, killing it if it runs.
    pub fn release(mut self) {
        self.give_up();
    }

    fn give_up(&mut self) {
        if std::mem::replace(&mut self.released, true) || !self.supervisor.is_ours() {
            return;
        }
        self.note_outcome(if self.settled().is_some() { "not awaited" } else { "cleaned" });
        let slot = self.slot();
        let captured = slot.entry.capture.load(Ordering::SeqCst) != 0;
        // Until the state says `Released` nobody else can free the slot, and after that anybody may: all that
        // touches it comes before.
        if slot.entry.state() == State::Dead && !captured {
            return self.supervisor.free(slot);
        }
        let replied = slot.mailbox.reply() != 0;
        if replied {
            slot.mailbox.dismiss();
        }
        if slot.entry.swap(State::Released) == State::Busy && replied {
            // The worker goes by itself, which wakes the zygote. The mark makes the zygote kill it all the
            // same if it wakes and finds it there.
            self.supervisor.attend_later(slot.index);
        } else {
            self.supervisor.attend(slot.index);
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if self.released || !self.supervisor.is_ours() {
            return;
        }
        if self.settled().is_some() {
            return self.give_up();
        }
        self.mailbox().detached().store(1, Ordering::SeqCst);
        // A worker that replied before it could see the mark waits to be released.
        if self.mailbox().reply() != 0 {
            return self.give_up();
        }
        self.released = true;
        self.note_outcome("detached");
        let slot = self.slot();
        // Of the two sides that mark the entry, the second one frees the slot; the first touches it no more.
        if slot.entry.detached.swap(detached::BY_HOST, Ordering::SeqCst) == detached::BY_DEATH
            && slot.entry.change(State::Dead, State::Released)
        {
            self.supervisor.attend(slot.index);
        }
    }
}
