//! Pools as the zygote sees them: deaths of their workers, signals for their jobs, limits of time.
//!
//! A signal for a job of a pool must not hit the next one of the same worker. So the job's word is changed to `HELD`
//! first, which fails if the job is over, and which a worker that finishes waits for to end; see `llib_core::shm::PoolSlot`.
//!
//! **Limits of time** cost no call for each job. A worker notes when it took a job. The zygote looks at all workers'
//! notes and then sleeps until the first of these jobs is due, or for as long as the limit: a job that begins
//! meanwhile cannot be due before. Once no worker has a job it stops looking, and the next worker that takes one
//! rings.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use llib_core::shm::{PoolMemory, RETIRED, Word, pool_name, stage};
use llib_core::sys::clock;
use llib_core::wire::cause::Cause;
use llib_core::wire::control::{NO_SLOT, PoolJobRef};
use rustix::io::Errno;
use rustix::net::{SendFlags, send};

use super::Zygote;

struct Pool {
    memory: PoolMemory,
    /// In nanoseconds; 0 is none.
    timeout: u64,
    /// When to look at its workers.
    next: Option<u64>,
    /// Who polls for the ends of jobs: slot and number, and where to tell it.
    watchers: Vec<(u32, u64, OwnedFd)>,
}

struct Appointment {
    at: u64,
    job: PoolJobRef,
    cause: Cause,
}

/// All of them that the zygote had to do with.
#[derive(Default)]
pub(super) struct Pools {
    open: HashMap<u32, Pool>,
    appointments: Vec<Appointment>,
}

impl Pools {
    /// Notes that a job is to be killed at some time.
    pub(super) fn appoint(&mut self, job: PoolJobRef, at: u64, cause: Cause) {
        self.appointments.push(Appointment { at, job, cause });
    }

    /// When there is something to do next.
    pub(super) fn next(&self) -> Option<u64> {
        let looks = self.open.values().filter_map(|pool| pool.next);
        looks.chain(self.appointments.iter().map(|appointment| appointment.at)).min()
    }

    /// The doorbell rang: a worker may have begun a job that nobody looks after.
    pub(super) fn hear(&mut self) {
        for pool in self.open.values_mut() {
            if pool.timeout != 0 && pool.next.is_none() && pool.memory.watched().load(Ordering::SeqCst) != 0 {
                pool.next = Some(0);
            }
            if pool.memory.rang().swap(0, Ordering::SeqCst) != 0 {
                pool.tell_watchers();
            }
        }
    }
}

/// Number and seat of [`llib_core::shm::Entry::pool`].
fn place(word: u64) -> Option<(u32, usize)> {
    let seat = (word & 0xffff).checked_sub(1)?;
    Some(((word >> 16) as u32, seat as usize))
}

impl Zygote {
    fn pool(&mut self, number: u32) -> Option<&mut Pool> {
        match self.pools.open.entry(number) {
            Entry::Occupied(entry) => Some(entry.into_mut()),
            Entry::Vacant(entry) => {
                // Gone where the host has dropped the pool.
                let memory = PoolMemory::open(&pool_name(self.segment.name(), number)).ok()?;
                // What its jobs are sent is for its workers, which map it themselves.
                memory.keep_from_children().ok()?;
                Some(entry.insert(Pool { memory, timeout: 0, next: None, watchers: Vec::new() }))
            }
        }
    }

    /// Before a death is published: the worker looks out for jobs no more.
    pub(super) fn clear_pool_seat(&mut self, pooled: u64) {
        if let Some((number, seat)) = place(pooled)
            && let Some(pool) = self.pool(number)
        {
            pool.memory.clear_bits(seat);
        }
    }

    /// After a death was published: wakes the host, and workers that may have missed a job by it.
    pub(super) fn announce_pool_death(&mut self, pooled: u64) {
        let Some((number, _)) = place(pooled) else { return };
        if let Some(pool) = self.pool(number) {
            pool.memory.announce_death();
            pool.watchers.retain(|(.., file)| nudge(file));
        }
        // Opened again if more is to be done; kept, it would keep the memory of a pool that is over.
        let segment = self.segment;
        let belongs =
            |slot: u32| segment.slot(slot).entry.pool.load(Ordering::SeqCst) >> 16 == u64::from(number);
        let last = !self.crew.members().any(|(_, slot)| belongs(slot));
        let is_done = |pool: &Pool| (pool.timeout == 0 && pool.watchers.is_empty()) || pool.memory.is_over();
        if last && self.pools.open.get(&number).is_some_and(is_done) {
            self.pools.open.remove(&number);
        }
    }

    /// Somebody polls for the end of a job, who has seen so many deaths.
    pub(super) fn watch_pooled(&mut self, job: PoolJobRef, deaths: u32, file: OwnedFd) {
        if let Some(pool) = self.pool(job.pool) {
            if pool.memory.deaths().load(Ordering::SeqCst) != deaths {
                nudge(&file);
            }
            // It may be over already.
            if !pool.is_over(job.slot, job.number) {
                pool.watchers.push((job.slot, job.number, file));
            }
        }
    }

    /// Tells the workers of all pools to take no further job. With `late` those are killed that have none and should be gone.
    pub(super) fn retire_pools(&mut self, late: bool) {
        let pooled = |slot: u32| place(self.segment.slot(slot).entry.pool.load(Ordering::SeqCst));
        let seats: Vec<_> =
            self.crew.members().filter_map(|(pid, slot)| Some((pid, slot, pooled(slot)?))).collect();
        for (pid, slot, (number, seat)) in seats {
            let Some(pool) = self.pool(number) else { continue };
            pool.memory.leave().store(RETIRED, Ordering::SeqCst);
            pool.memory.wake_workers();
            let idle = pool.memory.seat(seat).is_none_or(|seat| seat.current.load(Ordering::SeqCst) == 0);
            if late && (idle || self.replied(slot)) {
                self.send(pid, libc::SIGKILL, Cause::Itself);
            }
        }
    }

    fn pool_worker(&self, number: u32, seat: u16) -> Option<i32> {
        let wanted = u64::from(number) << 16 | (u64::from(seat) + 1);
        let is_it = |slot: u32| self.segment.slot(slot).entry.pool.load(Ordering::SeqCst) == wanted;
        self.crew.members().find(|(_, slot)| is_it(*slot)).map(|(pid, _)| pid)
    }

    /// Sends a signal to the worker that has this job, if one has.
    pub(super) fn signal_pooled(&mut self, job: PoolJobRef, signal: i32, cause: Cause) {
        let word = self.pool(job.pool).and_then(|pool| pool.memory.slot(job.slot).map(|slot| slot.word()));
        if let Some(word) = word.filter(|word| word.number == job.number && word.stage == stage::RUNNING) {
            self.hold_and_send(job.pool, job.slot, word, signal, cause);
        }
    }

    fn hold_and_send(&mut self, number: u32, index: u32, running: Word, signal: i32, cause: Cause) {
        let held = Word { stage: stage::HELD, ..running };
        let change = |zygote: &mut Zygote, from, to| {
            let slot = zygote.pool(number).and_then(|pool| pool.memory.slot(index));
            slot.is_some_and(|slot| slot.change(from, to))
        };
        if !change(self, running, held) {
            return;
        }
        if let Some(pid) = self.pool_worker(number, running.seat) {
            self.signal(pid, signal, cause);
            if signal == libc::SIGKILL {
                return;
            }
        }
        change(self, held, running);
    }

    /// Looks after a pool's limit of time from now on.
    pub(super) fn limit_pool(&mut self, number: u32, timeout: u64) {
        if let Some(pool) = self.pool(number) {
            (pool.timeout, pool.next) = (timeout, Some(0));
            pool.memory.watched().store(1, Ordering::SeqCst);
        }
    }

    /// Kills the workers whose jobs have run for too long.
    pub(super) fn keep_pool_deadlines(&mut self, now: u64) {
        let due: Vec<_> =
            self.pools.appointments.extract_if(.., |appointment| appointment.at <= now).collect();
        for Appointment { job, cause, .. } in due {
            self.signal_pooled(job, libc::SIGKILL, cause);
        }
        let looks = self.pools.open.iter().filter(|(_, pool)| pool.next.is_some_and(|at| at <= now));
        let looks: Vec<u32> = looks.map(|(number, _)| *number).collect();
        for number in looks {
            let late = self.pools.open.get_mut(&number).map(Pool::look).unwrap_or_default();
            for (index, word) in late {
                self.hold_and_send(number, index, word, libc::SIGKILL, Cause::Deadline);
            }
        }
    }
}

/// Makes a descriptor readable, until its owner has looked after its pool. False if it is gone.
fn nudge(file: &OwnedFd) -> bool {
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    // One that is full is readable.
    !matches!(send(file, &[1], flags), Err(Errno::PIPE | Errno::CONNRESET))
}

impl Pool {
    /// Makes the descriptors readable whose jobs are over; those of jobs that had no slot, when anything happens.
    fn tell_watchers(&mut self) {
        let mut watchers = std::mem::take(&mut self.watchers);
        // Closing our end is what makes theirs readable.
        watchers.retain(|(slot, number, file)| match *slot {
            NO_SLOT => nudge(file),
            slot => !self.is_over(slot, *number),
        });
        self.watchers = watchers;
    }

    /// Whether a job that had this slot is over.
    fn is_over(&self, slot: u32, number: u64) -> bool {
        self.memory.slot(slot).is_some_and(|slot| {
            let word = slot.word();
            word.number != number || !matches!(word.stage, stage::QUEUED | stage::RUNNING | stage::HELD)
        })
    }

    /// Finds the jobs that are past their time, and when to look again.
    fn look(&mut self) -> Vec<(u32, Word)> {
        if self.memory.is_over() {
            self.next = None;
            return Vec::new();
        }
        let (mut late, mut next) = (Vec::new(), None);
        let look = |late: &mut Vec<(u32, Word)>, next: &mut Option<u64>| {
            let now = clock::now();
            for seat in (0..self.memory.seats()).filter_map(|seat| self.memory.seat(seat)) {
                let Some(index) = seat.current.load(Ordering::SeqCst).checked_sub(1) else { continue };
                let Some(slot) = self.memory.slot(index) else { continue };
                // In this order: a time that was read before the word could be that of the job before.
                let word = slot.word();
                let at = seat.started.load(Ordering::SeqCst).saturating_add(self.timeout);
                if word.stage != stage::RUNNING {
                    continue;
                }
                if at <= now {
                    late.push((index, word));
                }
                let at = if at <= now { now.saturating_add(self.timeout) } else { at };
                *next = Some(next.map_or(at, |next| at.min(next)).min(now.saturating_add(self.timeout)));
            }
        };
        look(&mut late, &mut next);
        if next.is_none() {
            self.memory.watched().store(0, Ordering::SeqCst);
            // A worker that took a job before it could see that did not ring.
            look(&mut late, &mut next);
            if next.is_some() {
                self.memory.watched().store(1, Ordering::SeqCst);
            }
        }
        self.next = next;
        late
    }
}
