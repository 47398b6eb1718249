//! A worker's post in a pool: waiting for jobs, taking them, handing results over.

use std::sync::Mutex;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::Duration;

use llib_core::shared::{Object, open_parcel, release, retain};
use llib_core::shm::{
    OVER, POLLED, Payload, PoolMemory, PoolSlot, Region, RegionError, Seat, SharedBytes, Stored, Tree,
    WHEN_EMPTY, Word, carries, is_later, seat, stage,
};
use llib_core::sync::spin;
use llib_core::sys::{clock, cores, futex};
use llib_core::wire::settings::PoolPost;

use crate::job::Job;
use llib_sandbox::limits;
use llib_worker_sys as sys;

/// How long an idle worker sleeps at most. Whoever has work wakes it, and so does a death that could have swallowed
/// a wake-up.
const SLEEP: Duration = Duration::from_secs(10);
/// After so long without a job a worker has time to tidy up.
const CALM: Duration = Duration::from_millis(50);
/// Jobs between two looks at the memory of the process.
const MEMORY_STRIDE: u64 = 64;

/// The post of this process.
pub(crate) struct Post {
    memory: PoolMemory,
    me: u16,
    generation: u32,
    timeout: u64,
    max_jobs: u64,
    max_memory: u64,
    doorbell: std::os::fd::RawFd,
    taken: Mutex<Option<Taken>>,
}

/// A job that this worker has.
#[derive(Clone, Copy)]
pub(crate) struct Taken {
    index: u32,
    /// The job's number.
    pub(crate) number: u64,
    /// When it was taken, on the monotonic clock; 0 where nobody wants to know.
    started: u64,
}

/// A job's payload where it stands.
pub(crate) struct Load<'a> {
    stored: Stored<'a>,
    pub(crate) carries: bool,
}

impl Load<'_> {
    /// The payload without the ids of objects at its end, and these.
    pub(crate) fn open(&self) -> (SharedBytes<'_>, Vec<u64>) {
        open_parcel(self.stored.bytes(), self.carries)
    }
}

static CURRENT: AtomicPtr<Post> = AtomicPtr::new(std::ptr::null_mut());

/// The post, if this process serves a pool.
#[allow(unsafe_code)]
pub(crate) fn current() -> Option<&'static Post> {
    // SAFETY: null, or a post that `enter` leaked.
    unsafe { CURRENT.load(Ordering::SeqCst).as_ref() }
}

/// Makes this process a worker of a pool.
pub(crate) fn enter(job: &Job, post: &PoolPost) -> Result<&'static Post, RegionError> {
    let post = Box::leak(Box::new(Post {
        memory: PoolMemory::open(&post.memory)?,
        me: post.seat,
        generation: post.generation,
        timeout: post.timeout,
        max_jobs: post.max_jobs,
        max_memory: post.max_memory,
        doorbell: job.desk.doorbell,
        taken: Mutex::new(None),
    }));
    CURRENT.store(post, Ordering::SeqCst);
    if let Some(place) = post.seat() {
        place.state.store(seat::SERVING, Ordering::SeqCst);
    }
    Ok(post)
}

impl Post {
    fn seat(&self) -> Option<&Seat> {
        self.memory.seat(self.me.into())
    }

    /// The job that this worker has.
    pub(crate) fn taken(&self) -> Option<Taken> {
        // Nothing panics while it is locked.
        self.taken.lock().ok().and_then(|taken| *taken)
    }

    fn set_taken(&self, taken: Option<Taken>) {
        if let Ok(mut place) = self.taken.lock() {
            *place = taken;
        }
    }

    /// Number of the running job; 0 between two.
    pub(crate) fn number(&self) -> u64 {
        self.taken().map_or(0, |taken| taken.number)
    }

    fn slot(&self) -> Option<PoolSlot<'_>> {
        self.memory.slot(self.taken()?.index)
    }

    /// Whether the running job is asked to end.
    pub(crate) fn is_closing(&self) -> bool {
        self.slot().is_some_and(|slot| slot.closing().load(Ordering::SeqCst) != 0)
    }

    /// Lets the running job be ended anywhere.
    pub(crate) fn allow_autoclose(&self) {
        if let Some(slot) = self.slot() {
            slot.autoclose().store(1, Ordering::SeqCst);
        }
    }

    /// The next job; none if it is time to go. `tidy` is called when there has been none for a while.
    pub(crate) fn next(&self, mut tidy: impl FnMut()) -> Option<Taken> {
        let place = self.seat()?;
        let me = usize::from(self.me);
        let mut calm = false;
        loop {
            if self.memory.leave().load(Ordering::SeqCst) >= OVER {
                self.leave();
                return None;
            }
            let mut started = 0;
            let note = |index: u32| {
                if self.timeout != 0 {
                    started = clock::now();
                    place.started.store(started, Ordering::SeqCst);
                }
                place.current.store(index + 1, Ordering::SeqCst);
            };
            // Looked at in this order, so that no job is left which this worker may take.
            let outdated = self.is_outdated();
            if let Some((slot, number)) = self.memory.take(self.me, self.generation, note) {
                if self.timeout != 0 && self.memory.watched().load(Ordering::SeqCst) == 0 {
                    self.get_watched();
                }
                // One that looked out for jobs may have kept the host from waking another for the next one.
                self.memory.wake_for_work();
                let taken = Taken { index: slot.index(), number, started };
                self.set_taken(Some(taken));
                return Some(taken);
            }
            place.current.store(0, Ordering::SeqCst);
            let leave = || self.memory.leave().load(Ordering::SeqCst) >= WHEN_EMPTY || self.is_outdated();
            if outdated || self.memory.leave().load(Ordering::SeqCst) >= WHEN_EMPTY {
                self.leave();
                // It may have been woken in place of one that can take what waits.
                self.memory.wake_for_work();
                return None;
            }
            match self.memory.hungry().swap(0, Ordering::SeqCst) {
                0 => {}
                POLLED => {
                    self.memory.ring();
                    self.ring_zygote();
                }
                _ => self.memory.ring(),
            }
            // Of those who look out one core is left for the rest of the world.
            if !calm && (self.memory.spinners() as usize) < cores::count().saturating_sub(1).max(1) {
                self.memory.set_spinning(me, true);
                let found = spin::until(|| self.memory.waiting() > 0 || leave());
                self.memory.set_spinning(me, false);
                if found {
                    continue;
                }
            }
            place.wake.store(0, Ordering::SeqCst);
            self.memory.set_asleep(me, true);
            if self.memory.waiting() == 0 && !leave() {
                let time = if calm { SLEEP } else { CALM };
                let woken = futex::wait(&place.wake, 0, time);
                if woken == futex::Woken::TimedOut && !std::mem::replace(&mut calm, true) {
                    self.memory.set_asleep(me, false);
                    tidy();
                    continue;
                }
            }
            self.memory.set_asleep(me, false);
        }
    }

    /// Whether what workers inherit has changed since this one was started.
    fn is_outdated(&self) -> bool {
        is_later(self.memory.generation().load(Ordering::SeqCst), self.generation)
    }

    /// Has the zygote look after those who poll for jobs of this pool.
    fn ring_zygote(&self) {
        self.memory.rang().store(1, Ordering::SeqCst);
        sys::ring_doorbell(self.doorbell);
    }

    #[cold]
    fn get_watched(&self) {
        if self.memory.watched().swap(1, Ordering::SeqCst) == 0 {
            sys::ring_doorbell(self.doorbell);
        }
    }

    /// This worker takes no more jobs.
    pub(crate) fn leave(&self) {
        if let Some(place) = self.seat() {
            place.state.store(seat::LEAVING, Ordering::SeqCst);
        }
    }

    /// Whether it is another's turn after the job that was just done. `heap` is what Lua holds, in bytes.
    pub(crate) fn is_worn(&self, heap: u64) -> bool {
        let Some(place) = self.seat() else { return true };
        let jobs = place.jobs.load(Ordering::Relaxed);
        if self.max_jobs != 0 && jobs >= self.max_jobs {
            return true;
        }
        self.max_memory != 0
            && (heap > self.max_memory
                || (jobs.is_multiple_of(MEMORY_STRIDE) && sys::resident() > self.max_memory))
    }

    /// Where the payload of a job stands.
    pub(crate) fn load(&self, taken: Taken) -> Result<Load<'_>, RegionError> {
        let Some(slot) = self.memory.slot(taken.index) else {
            return Ok(Load { stored: Stored::Copy(Vec::new()), carries: false });
        };
        let length = slot.length();
        let stored = if length <= slot.capacity() {
            Stored::Inline(slot.payload().first(length))
        } else {
            Stored::Apart(Region::take(&self.memory.job_name(taken.number))?, length)
        };
        Ok(Load { stored, carries: slot.carries().load(Ordering::Relaxed) == carries::JOB })
    }

    /// This process holds now what the payload held.
    pub(crate) fn took_handles(&self, ids: Vec<u64>) {
        if let Some(slot) = self.slot() {
            // In this order: a death in between leaves a handle too many, which is better than one too few.
            slot.carries().store(carries::NONE, Ordering::SeqCst);
        }
        if let Some(tree) = Tree::joined().filter(|_| !ids.is_empty()) {
            release(tree.name(), ids);
        }
    }

    /// Hands the result of the running job over. The worker has none any more.
    pub(crate) fn publish(
        &self,
        code: u32,
        payload: &dyn Payload,
        objects: &[&Object],
    ) -> Result<(), RegionError> {
        let Some((taken, slot)) =
            self.taken().and_then(|taken| Some((taken, self.memory.slot(taken.index)?)))
        else {
            return Ok(());
        };
        let length = payload.len();
        if length <= slot.capacity() {
            slot.write(payload);
        } else {
            limits::beyond_file_limits(|| Region::write_new(&self.memory.reply_name(taken.number), payload))?;
        }
        if !objects.is_empty() {
            objects.iter().for_each(|object| retain(object));
            slot.carries().store(carries::REPLY, Ordering::SeqCst);
        }
        let ended = clock::now();
        slot.conclude(code, length, ended, ended.saturating_sub(taken.started));
        let running = Word { number: taken.number, seat: self.me, stage: stage::RUNNING };
        while !slot.change(running, Word { stage: stage::DONE, ..running }) {
            if slot.word() != (Word { stage: stage::HELD, ..running }) {
                // Only a process gone mad can have changed it.
                break;
            }
            // A signal is on its way here.
            std::thread::sleep(Duration::from_micros(50));
        }
        self.set_taken(None);
        if let Some(place) = self.seat() {
            place.current.store(0, Ordering::SeqCst);
            place.jobs.fetch_add(1, Ordering::Relaxed);
        }
        let awaited = self.memory.awaited().load(Ordering::SeqCst);
        if (awaited == taken.number || awaited == llib_core::shm::ANY)
            && self.memory.awaited().swap(0, Ordering::SeqCst) != 0
        {
            self.memory.ring();
        }
        if slot.notify().load(Ordering::SeqCst) != 0 {
            self.ring_zygote();
        }
        Ok(())
    }
}

impl Taken {
    /// The same, with its beginning on record.
    pub(crate) fn timed(post: &Post, taken: Taken) -> Taken {
        let taken = if taken.started == 0 { Taken { started: clock::now(), ..taken } } else { taken };
        post.set_taken(Some(taken));
        taken
    }
}
