//! Jobs of a sandboxed job. Behind its walls it can have no supervisors of its own; its zygote is the broker that
//! starts and ends processes for it, by way of a [`Nest`].

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use super::wait::{Patience, reaches};
use llib_core::shared::discard_inline;
use llib_core::shm::{Mailbox, Nest, RegionError, Slot, State, Waiting};
use llib_core::wire::control::Action;
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
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The sandbox grants none.
    #[error("the sandbox of this job lets it start no others (jobs = 0)")]
    None,
    /// All of its slots are in use.
    #[error("too many jobs at once: this sandboxed job may have {places} that are not cleaned yet")]
    Full {
        /// How many there are.
        places: usize,
    },
    /// What goes to the job does not fit into its slot.
    #[error("what goes to the job takes {bytes} bytes, and in this sandbox there is room for {most}")]
    Long {
        /// How many bytes it takes.
        bytes: usize,
        /// How many there is room for.
        most: usize,
    },
    /// Shared memory cannot be had.
    #[error("{0}")]
    Memory(RegionError),
    /// The caller's patience was at its end.
    #[error("waiting for an earlier job's end was interrupted")]
    Stopped,
}

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
        // Its zygote wipes it.
        slot.entry.swap(State::Released);
        self.attend(slot.index);
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
        reaches(orders.done(), number, |late| !late || patience())
    }
}
