//! Handing over a job of a sandboxed job: into a slot of its nest, for which the zygote forks a worker.

use std::sync::atomic::Ordering;

use super::broker::{Broker, BrokerError};
use super::job::Job;
use super::launch::Launch;
use super::supervisor::Supervisor;
use super::traced::Traced;
use super::wait::{Patience, SLICE};
use llib_core::shared::{Object, discard_inline, retain};
use llib_core::shm::{Nest, Payload, Slot, State, detached, handles};
use llib_core::sys::{clock, futex};
use llib_core::wire::control::JobRef;

impl Broker {
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
    // What its last job never got; what one left that had begun, the zygote has wiped.
    discard_inline(slot.mailbox);
    slot.mailbox.wipe_payload();
    slot.mailbox.reset();
    slot.mailbox.reserve(bytes).map_err(BrokerError::Memory)?;
    slot.mailbox.write(payload);
    if !objects.is_empty() {
        objects.iter().for_each(|object| retain(object));
        slot.mailbox.carry(handles::JOB, bytes);
    }
    Ok(bytes)
}
