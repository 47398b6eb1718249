//! Handing a job over: to a spare that waits, or to a slot that gets a worker.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::job::Job;
use super::launch::{DispatchError, Launch, Walls};
use super::session::Session;
use super::supervisor::Supervisor;
use super::traced::Traced;
use llib_core::shared::{Object, retain};
use llib_core::shm::{
    Bitmap, Go, INLINE, Mailbox, Payload, Region, RegionError, Slot, Spot, State, handles, walls,
};
use llib_core::sys::{clock, futex};
use llib_core::wire::control::JobRef;

/// A job on its way.
struct Order<'a> {
    payload: &'a dyn Payload,
    launch: &'a Launch,
    /// The objects whose handles are in the payload, which ends with their ids.
    objects: &'a [&'a Object],
    /// When `async` was called: deadline and wall-clock time count from here.
    started: u64,
}

impl Session {
    /// Hands a job over. Returns at once: no fork is waited for.
    ///
    /// A payload with handles of `objects` ends as [`llib_core::shared::Parcel`] says.
    pub fn dispatch(
        self: &Arc<Self>,
        payload: &dyn Payload,
        objects: &[&Object],
        launch: &Launch,
    ) -> Result<Job, DispatchError> {
        let order = Order { payload, launch, objects, started: clock::now() };
        self.keep_in_step().map_err(DispatchError::Attributes)?;
        // Captured output needs pipes that a spare does not have.
        if launch.capture.is_none() {
            let header = self.segment.header();
            if launch.sandbox == Walls::Plain {
                // For the next ones, where this is the first. The zygote sees it when it looks after the slot.
                header.walled_wanted.store(1, Ordering::SeqCst);
                // Behind walls nothing can be mapped.
                let fits = payload.len() <= INLINE && objects.is_empty();
                if fits && let Some(job) = self.give_to_spare(&order, &header.walled)? {
                    return Ok(job);
                }
            }
            if let Some(job) = self.give_to_spare(&order, &header.ready)? {
                return Ok(job);
            }
        }
        self.give_to_free_slot(&order)
    }

    fn give_to_spare(
        self: &Arc<Self>,
        order: &Order<'_>,
        spares: &Bitmap,
    ) -> Result<Option<Job>, DispatchError> {
        let is_warm = |index| self.segment.slot(index).mailbox.go().load(Ordering::SeqCst) == Go::Warm as u32;
        loop {
            let Some(index) = spares.take_first(is_warm).or_else(|| spares.take_first(|_| true)) else {
                return Ok(None);
            };
            // A sandboxed job's worker has nothing before it that others may have written.
            let sandboxed = order.launch.sandbox != Walls::None;
            let own = self.segment.entry(index).own_file() != 0;
            let has_memory = match sandboxed && !own {
                true => self.segment.renew_with_spare(index),
                false => self.segment.follow(index),
            };
            let slot = self.segment.slot(index);
            let written = has_memory.map_err(DispatchError::Memory).and_then(|()| self.write(slot, order));
            let (job, length) = match written {
                Ok(written) => written,
                Err(error) if sandboxed && !own => {
                    // It may have gone over, and is not for any job any more.
                    slot.entry.swap(State::Released);
                    self.attend(index);
                    return Err(error);
                }
                Err(error) => {
                    // Untouched but for bytes that nobody reads: the spare waits on. The zygote looks at
                    // the slot, in case the spare died while its bit was out.
                    spares.give(index);
                    self.attend(index);
                    return Err(error);
                }
            };
            if !slot.entry.change(State::Spare, State::Busy) {
                // It died while it waited. The job never started, so another slot can have it.
                self.free(slot);
                continue;
            }
            let pid = slot.entry.pid.load(Ordering::SeqCst).cast_signed();
            let traced = Traced::begin(slot, job.generation, order.started, Some(pid));
            llib_core::log!(
                Debug,
                "job {} '{}' goes to the spare {pid}, {length} bytes",
                llib_core::shm::job_id(index, job.generation),
                slot.mailbox.job_name().unwrap_or_default(),
            );
            slot.mailbox.publish_job(job.generation, length);
            futex::wake_all(slot.mailbox.go());
            // Deadlines are the zygote's to keep, and so are spares; a death tells it of used ones anyway.
            if order.launch.timeout.is_some() || spares.is_empty() {
                self.attend(index);
            }
            return Ok(Some(Job::new(Supervisor::Session(Arc::clone(self)), job, order.started, traced)));
        }
    }

    fn give_to_free_slot(self: &Arc<Self>, order: &Order<'_>) -> Result<Job, DispatchError> {
        let header = self.segment.header();
        let index = header.free.take_first(|_| true).ok_or(DispatchError::Full)?;
        let prepared =
            self.prepare(index, order.launch.sandbox != Walls::None).map_err(DispatchError::Memory);
        let slot = self.segment.slot(index);
        let written = prepared.and_then(|()| {
            slot.entry.pid.store(0, Ordering::SeqCst);
            self.write(slot, order)
        });
        let (job, length) = match written {
            Ok(written) => written,
            Err(error) => {
                self.segment.clear(slot);
                header.free.give(index);
                return Err(error);
            }
        };
        let traced = Traced::begin(slot, job.generation, order.started, None);
        llib_core::log!(
            Debug,
            "job {} '{}' gets a process of its own, {length} bytes",
            llib_core::shm::job_id(index, job.generation),
            slot.mailbox.job_name().unwrap_or_default(),
        );
        slot.mailbox.publish_job(job.generation, length);
        slot.entry.swap(State::Pending);
        self.attend(index);
        Ok(Job::new(Supervisor::Session(Arc::clone(self)), job, order.started, traced))
    }

    /// Makes a free slot's mailbox ready for a job.
    fn prepare(&self, index: u32, sandboxed: bool) -> Result<(), RegionError> {
        if sandboxed {
            return self.segment.renew(index);
        }
        self.segment.restore(index)?;
        self.segment.reserve(index, Mailbox::READY)?;
        self.segment.slot(index).mailbox.reset();
        Ok(())
    }

    /// Writes payload and launch data into a slot that nobody else uses.
    fn write(&self, slot: Slot<'_>, order: &Order<'_>) -> Result<(JobRef, usize), DispatchError> {
        let Order { payload, launch, objects, started } = *order;
        let entry = slot.entry;
        let generation = entry.generation.fetch_add(1, Ordering::SeqCst).wrapping_add(1);
        entry.capture.store(launch.capture.to_word(), Ordering::SeqCst);
        if launch.sandbox != Walls::None {
            // A worker behind walls has its mark.
            entry.room.fetch_max(walls::THEN, Ordering::SeqCst);
            entry.set_limits(launch.limits);
        }
        entry.detached.store(0, Ordering::SeqCst);
        entry.pool.store(launch.pool, Ordering::SeqCst);
        entry.started.store(started, Ordering::Relaxed);
        let deadline = launch.timeout.map_or(0, |timeout| clock::add(started, timeout));
        entry.deadline.store(deadline, Ordering::SeqCst);
        let length = payload.len();
        if length > Mailbox::READY {
            slot.mailbox.large().store(1, Ordering::SeqCst);
        }
        match slot.mailbox.spot(length) {
            Spot::Inline => {
                if length > Mailbox::READY {
                    self.segment.reserve(slot.index, length).map_err(DispatchError::Memory)?;
                }
                slot.mailbox.write(payload);
            }
            Spot::Apart => {
                let name = self.segment.job_name(slot.index, generation);
                // From here on the worker reads it, and whoever frees the slot removes it.
                Region::write_new(&name, payload).map_err(DispatchError::Memory)?;
                // Once more, for whoever looks on: the settings, and in them the job's name.
                let parts = payload.parts();
                if let Some(settings) = parts.first().filter(|settings| settings.len() <= Mailbox::READY) {
                    slot.mailbox.write(settings);
                }
            }
        }
        if !objects.is_empty() {
            objects.iter().for_each(|object| retain(object));
            slot.mailbox.carry(handles::JOB, length);
        }
        Ok((JobRef { slot: slot.index, generation }, length))
    }
}
