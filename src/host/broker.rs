//! Jobs of a sandboxed job. Behind its walls it can have no supervisors of its own; its zygote is the broker that
//! starts and ends processes for it, by way of a [`Nest`].

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use super::job::Job;
use super::launch::Launch;
use super::session::{Patience, SLICE};
use super::supervisor::Supervisor;
use super::traced::Traced;
use llib_core::observe::Waiting;
use llib_core::shared::{Object, discard_inline, retain};
use llib_core::shm::{Mailbox, Nest, Payload, RegionError, Slot, State, detached, handles};
use llib_core::sys::{clock, futex};
use llib_core::wire::control::{Action, JobRef};
use llib_core::wire::sandbox::SandboxPolicy;

/// What a sandboxed worker knows of its sandbox, and how it has jobs started there.
pub struct Broker {
    /// Where it asks; `None` if it may have no jobs.
    pub nest: Option<&'static Nest>,
    /// Its own mailbox.
    pub mailbox: Mailbox<'static>,
    /// Rings the zygote.
    pub ring: Box<dyn Fn() + Send + Sync>,
    /// What it may reach.
    pub policy: SandboxPolicy,
    /// Bytes that its own result may have.
    pub result: Option<u64>,
    /// Whether it has started any.
    pub used: AtomicBool,
}

static CURRENT: OnceLock<Broker> = OnceLock::new();

/// Makes this process one whose jobs go through a broker.
pub fn serve_in_sandbox(broker: Broker) {
    // A worker enters one sandbox.
    let _ = CURRENT.set(broker);
}

/// Why a broker takes no job.
#[derive(Debug)]
pub enum BrokerError {
    /// The sandbox grants none.
    None,
    /// All of its slots are in use.
    Full {
        /// How many there are.
        places: usize,
    },
    /// What goes to the job does not fit into its slot.
    Long {
        /// How many bytes it takes.
        bytes: usize,
        /// How many there is room for.
        most: usize,
    },
    /// Shared memory cannot be had.
    Memory(RegionError),
    /// The caller's patience was at its end.
    Stopped,
}

impl fmt::Display for BrokerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BrokerError::None => f.write_str("the sandbox of this job lets it start no others (jobs = 0)"),
            BrokerError::Full { places } => {
                write!(
                    f,
                    "too many jobs at once: this sandboxed job may have {places} that are not cleaned yet"
                )
            }
            BrokerError::Long { bytes, most } => {
                write!(
                    f,
                    "what goes to the job takes {bytes} bytes, and in this sandbox there is room for {most}"
                )
            }
            BrokerError::Memory(error) => error.fmt(f),
            BrokerError::Stopped => f.write_str("waiting for an earlier job's end was interrupted"),
        }
    }
}

impl std::error::Error for BrokerError {}

impl Broker {
    /// The process's, if it is a sandboxed job.
    pub fn current() -> Option<&'static Broker> {
        CURRENT.get()
    }

    /// The longest payload, of a job or of its result; `None` if it may have no jobs.
    pub fn longest(&self) -> Option<u64> {
        self.nest.map(|nest| nest.shape().longest_of(self.result))
    }

    /// Whether it has jobs that are not cleaned, or not yet gone.
    pub fn has_jobs(&self) -> bool {
        // Before it had one there may be no pages there.
        let nest = self.nest.filter(|_| self.used.load(Ordering::SeqCst));
        nest.is_some_and(|nest| (0..nest.places()).any(|index| nest.slot(index).entry.state() != State::Free))
    }

    fn nest(&self) -> &Nest {
        self.nest.unwrap_or_else(|| unreachable!("a job has a slot of the nest"))
    }

    pub(super) fn slot(&self, index: u32) -> Slot<'_> {
        self.nest().slot(index as usize)
    }

    pub(super) fn waiting(&self) -> &Waiting {
        self.mailbox.waiting()
    }

    pub(super) fn attend(&self, _: u32) {
        self.mailbox.asks().store(1, Ordering::SeqCst);
        (self.ring)();
    }

    pub(super) fn free(&self, slot: Slot<'_>) {
        discard_inline(slot.mailbox);
        slot.entry.swap(State::Free);
    }

    pub(super) fn command(&self, action: Action, patience: Patience<'_>) -> bool {
        let (job, signal, at, cause) = match action {
            Action::Signal { job, signal } => (job, signal, 0, 0),
            Action::KillAt { job, at, cause } => (job, 0, at.max(1), cause.code()),
            // Nothing else is asked for a job that has no session.
            _ => return false,
        };
        let orders = self.nest().orders(job.slot as usize);
        let number = orders.give(signal, at, cause);
        self.attend(job.slot);
        loop {
            let seen = orders.done().load(Ordering::SeqCst);
            if seen == number {
                return true;
            }
            if futex::wait(orders.done(), seen, SLICE) != futex::Woken::Changed && !patience() {
                return false;
            }
        }
    }

    /// Hands a job over, whose payload ends with the ids of `objects` if there are any. Returns at once, unless all slots
    /// are those of jobs that are about to go.
    pub fn dispatch(
        &'static self,
        payload: &dyn Payload,
        objects: &[&Object],
        launch: &Launch,
        patience: Patience<'_>,
    ) -> Result<Job, BrokerError> {
        let nest = self.nest.ok_or(BrokerError::None)?;
        nest.reserve().map_err(BrokerError::Memory)?;
        self.used.store(true, Ordering::SeqCst);
        let started = clock::now();
        let slot = nest.slot(self.take_place(nest, patience)?);
        let written = write(slot, payload, objects, self.longest().unwrap_or(0));
        let Slot { entry, mailbox, index } = slot;
        let length = match written {
            Ok(length) => length,
            Err(error) => {
                entry.swap(State::Free);
                return Err(error);
            }
        };
        let generation = entry.generation.fetch_add(1, Ordering::SeqCst).wrapping_add(1);
        entry.pid.store(0, Ordering::SeqCst);
        entry.detached.store(0, Ordering::SeqCst);
        entry.started.store(started, Ordering::SeqCst);
        let deadline = launch.timeout.map_or(0, |timeout| clock::add(started, timeout));
        entry.deadline.store(deadline, Ordering::SeqCst);
        entry.set_limits(launch.limits);
        mailbox.publish_job(generation, length);
        entry.swap(State::Pending);
        self.attend(index);
        let job = JobRef { slot: index, generation };
        Ok(Job::new(Supervisor::Broker(self), job, started, Traced::default()))
    }

    /// A free slot, which is nobody else's from now on.
    fn take_place(&self, nest: &Nest, patience: Patience<'_>) -> Result<usize, BrokerError> {
        loop {
            let mut leaving = None;
            for index in 0..nest.places() {
                let slot = nest.slot(index);
                let seen = slot.mailbox.bell().load(Ordering::SeqCst);
                // Until it is written it looks like a spare that nobody may take.
                if slot.entry.change(State::Free, State::Spare) {
                    return Ok(index);
                }
                // A worker that has replied to a task that was forgotten goes by itself.
                let forgotten = slot.entry.detached.load(Ordering::SeqCst) == detached::BY_HOST;
                if slot.entry.state() == State::Released || (forgotten && slot.mailbox.reply() != 0) {
                    leaving = Some((slot, seen));
                }
            }
            // The zygote rings when it has seen the last of one.
            let (slot, seen) = leaving.ok_or(BrokerError::Full { places: nest.places() })?;
            if futex::wait(slot.mailbox.bell(), seen, SLICE) != futex::Woken::Changed && !patience() {
                return Err(BrokerError::Stopped);
            }
        }
    }
}

/// Writes a payload into a slot that nobody else uses; returns its length.
fn write(
    slot: Slot<'_>,
    payload: &dyn Payload,
    objects: &[&Object],
    longest: u64,
) -> Result<usize, BrokerError> {
    let most = usize::try_from(longest).unwrap_or(usize::MAX).min(slot.mailbox.capacity());
    let bytes = payload.len();
    if bytes > most {
        return Err(BrokerError::Long { bytes, most });
    }
    // What its last job left there, or never got.
    discard_inline(slot.mailbox);
    slot.mailbox.reset();
    slot.mailbox.reserve(bytes).map_err(BrokerError::Memory)?;
    slot.mailbox.fill(bytes, |place| payload.write_to(place));
    if !objects.is_empty() {
        objects.iter().for_each(|object| retain(object));
        slot.mailbox.carry(handles::JOB, bytes);
    }
    Ok(bytes)
}
