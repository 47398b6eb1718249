//! A job with a worker of its own.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::dispatched::{Death, Dispatched, Settled, time_to_close};
use super::output::{self, Output};
use super::reply::{ReplyBytes, ReplyError};
use super::supervisor::Supervisor;
use super::traced::Traced;
use super::wait::{NotYet, Patience, SLICE, sleep_until};
use llib_core::observe::{log, trace};
use llib_core::shm::{
    Awaited, Mailbox, Region, RegionError, Slot, Spot, State, detached, handles, job_id, waiting_in,
};
use llib_core::sys::fork::Owned;
use llib_core::sys::process::Usage;
use llib_core::sys::{clock, futex};
use llib_core::wire::cause::Cause;
use llib_core::wire::control::{Action, JobRef, Watched};
use llib_core::wire::limits::Limits;
use llib_core::wire::settings::Capture;

/// See [`Dispatched`].
pub struct Job {
    supervisor: Supervisor,
    at: JobRef,
    started: u64,
    released: bool,
    traced: Traced,
    /// Whether timeline and log know its outcome.
    told: Cell<bool>,
    watch: RefCell<Option<Owned<OwnedFd>>>,
}

impl Job {
    pub(super) fn new(supervisor: Supervisor, at: JobRef, started: u64, traced: Traced) -> Job {
        let (told, watch) = (Cell::new(false), RefCell::new(None));
        Job { supervisor, at, started, released: false, traced, told, watch }
    }

    fn slot(&self) -> Slot<'_> {
        self.supervisor.slot(self.at.slot)
    }

    fn mailbox(&self) -> Mailbox<'_> {
        self.slot().mailbox
    }

    /// Whether and how it has ended, for the process that started the session; without a system call.
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

    fn wait_for<T>(&self, limit: Option<u64>, mut done: impl FnMut() -> Option<T>) -> Result<T, NotYet> {
        sleep_until(self.mailbox().bell(), limit, |late| {
            if late {
                self.supervisor.check();
            }
            done()
        })
    }

    /// Waits until its process and all it started are gone, or nobody is left to see to that.
    fn wait_until_gone(&self, patience: Patience<'_>) {
        let is_there = || matches!(self.slot().entry.state(), State::Busy | State::Pending);
        let gone = || (!is_there() || self.supervisor.is_lost()).then_some(());
        while self.wait_for(None, gone).is_err() && patience() {}
    }

    /// A segment apart is mapped where its worker is trusted. Of one that may have been taken over it is read, at most
    /// `limit` bytes, since a page that it lacks and a full file system would be a SIGBUS in a mapping.
    fn reply_apart(&self, claimed: usize, hostile: Option<usize>) -> Result<ReplyBytes<'_>, RegionError> {
        let session = self.supervisor.session().ok_or(RegionError::Full { bytes: claimed })?;
        let carries = || self.mailbox().handles().load(Ordering::SeqCst) == handles::REPLY;
        let Some(limit) = hostile else {
            let region = Region::open(&session.segment.reply_name(self.at.slot, self.at.generation))?;
            return Ok(ReplyBytes::apart(region, claimed, carries()));
        };
        let name = session.segment.room_name(self.at.slot);
        // One byte more shows that it is too long.
        let copy = Region::read_out(&name, claimed.min(limit.saturating_add(1)))?;
        Ok(ReplyBytes::copied(copy, carries()))
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

impl Dispatched for Job {
    fn is_ours(&self) -> bool {
        self.supervisor.is_ours()
    }

    fn id(&self) -> u64 {
        job_id(self.at.slot, self.at.generation)
    }

    fn pid(&self) -> Option<i32> {
        i32::try_from(self.slot().entry.pid.load(Ordering::SeqCst)).ok().filter(|pid| *pid > 0)
    }

    fn wait_for_pid(&self) -> Result<Option<i32>, NotYet> {
        // The zygote writes it just after the fork, which may be after the job's reply.
        let settled = self.settled();
        match (self.pid(), settled) {
            (Some(pid), _) => Ok(Some(pid)),
            (None, Some(Settled::Death(_) | Settled::Lost)) => Ok(None),
            (None, _) => {
                futex::wait(&self.slot().entry.pid, 0, SLICE);
                self.supervisor.check();
                self.pid().map(Some).ok_or(NotYet::Pause)
            }
        }
    }

    fn settled(&self) -> Option<Settled> {
        self.look().or_else(|| (!self.supervisor.is_ours()).then_some(Settled::Lost))
    }

    fn settled_by_now(&self) -> Option<Settled> {
        // Who has its descriptor may never wait for it, which is when one looks after the supervisors otherwise.
        if self.watch.borrow().is_some() {
            self.supervisor.check();
        }
        self.settled()
    }

    fn wait(&self, limit: Option<u64>) -> Result<Settled, NotYet> {
        if !self.supervisor.is_ours() {
            return Ok(Settled::Lost);
        }
        if let Some(settled) = self.look() {
            return Ok(settled);
        }
        let place = self.supervisor.waiting();
        waiting_in(place, Awaited::Job(self.id()), || self.wait_for(limit, || self.look()))
    }

    fn reply(&self, hostile: Option<usize>) -> Result<ReplyBytes<'_>, ReplyError> {
        let claimed = usize::try_from(self.mailbox().length()).unwrap_or(usize::MAX);
        if self.mailbox().spot(claimed) == Spot::Apart {
            return Ok(self.reply_apart(claimed, hostile)?);
        }
        let carries = self.mailbox().handles().load(Ordering::SeqCst) == handles::REPLY;
        if claimed > Mailbox::READY {
            // A worker that lies has not, and reading a page that cannot be had is a SIGBUS too.
            self.mailbox().reserve(claimed)?;
        }
        Ok(ReplyBytes::in_mailbox(self.mailbox().payload().first(claimed), carries))
    }

    /// It closes as well if the zygote dies.
    fn watch(&self) -> io::Result<RawFd> {
        if let Some(watch) = &*self.watch.borrow() {
            return Ok(watch.as_raw_fd());
        }
        self.mailbox().notify().store(1, Ordering::SeqCst);
        let session = self.supervisor.session();
        let session = session.ok_or_else(|| io::Error::other("a sandboxed job can open none"))?;
        let ours = session.watch(Some(Watched::Job(self.at)))?;
        let number = ours.as_raw_fd();
        *self.watch.borrow_mut() = Some(Owned::new(ours));
        Ok(number)
    }

    fn signal(&self, signal: i32, patience: Patience<'_>) -> bool {
        if !self.supervisor.is_ours() {
            return false;
        }
        let sent = self.supervisor.command(Action::Signal { job: self.at, signal }, patience);
        if sent && signal == libc::SIGKILL {
            self.wait_until_gone(patience);
        }
        sent
    }

    fn is_paused(&self) -> bool {
        self.slot().entry.paused.load(Ordering::SeqCst) != 0
    }

    fn kill_after(&self, grace: Duration, cause: Cause, patience: Patience<'_>) {
        if self.supervisor.is_ours() {
            let action = Action::KillAt { job: self.at, at: clock::after(grace), cause };
            self.supervisor.command(action, patience);
        }
    }

    fn close(&self, grace: Option<Duration>, patience: Patience<'_>) {
        let mailbox = self.mailbox();
        mailbox.closing().store(1, Ordering::SeqCst);
        if self.is_paused() {
            // Stopped it could not see that.
            self.signal(libc::SIGCONT, patience);
        }
        if let Some(time) = time_to_close(grace, mailbox.autoclose()) {
            self.kill_after(time, Cause::Closed, patience);
        }
    }

    fn wall(&self) -> Duration {
        let now = clock::now();
        let ended = match self.settled() {
            // The worker's word, so it is held to what is possible.
            Some(Settled::Reply(_)) => self.mailbox().replied(),
            Some(Settled::Death(_)) => self.slot().entry.ended.load(Ordering::SeqCst),
            _ => now,
        };
        Duration::from_nanos(ended.clamp(self.started, now.max(self.started)) - self.started)
    }

    fn is_lost(&self) -> bool {
        self.supervisor.is_lost() || !self.supervisor.is_ours()
    }

    fn usage(&self) -> Option<Usage> {
        let entry = self.slot().entry;
        if entry.state() == State::Dead {
            let read = |word: &std::sync::atomic::AtomicU64| word.load(Ordering::SeqCst);
            return Some(Usage {
                user: read(&entry.user),
                system: read(&entry.system),
                max_rss: read(&entry.max_rss),
            });
        }
        Some(self.settled_pid().and_then(|pid| self.supervisor.usage_of(pid)).unwrap_or_default())
    }

    /// A sandboxed job's own may have got less, which its zygote says.
    fn limits(&self, asked: Limits) -> Limits {
        match self.supervisor {
            Supervisor::Session(_) => asked,
            Supervisor::Broker(_) => asked.least(self.slot().entry.limits()),
        }
    }

    fn denied_call(&self) -> Option<i64> {
        self.mailbox().denied().load(Ordering::SeqCst).checked_sub(1).map(i64::from)
    }

    fn output(&self, patience: Patience<'_>) -> Output {
        let capture = Capture::from_word(self.slot().entry.capture.load(Ordering::SeqCst));
        let Some(session) = self.supervisor.session().filter(|_| !capture.is_none()) else {
            return Output::default();
        };
        session.command(Action::Drain, patience);
        output::read(&session.segment.output_name(self.at.slot, self.at.generation), capture)
    }

    fn note_outcome(&self, outcome: &str) {
        if (trace::on() || log::on(log::Level::Debug)) && !self.told.replace(true) {
            llib_core::log!(Debug, "job {}: {outcome}", self.id());
            let ended = u64::try_from(self.wall().as_nanos()).unwrap_or(0);
            self.traced.end(outcome, self.started.saturating_add(ended));
        }
    }

    fn release(&mut self) {
        self.give_up();
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
