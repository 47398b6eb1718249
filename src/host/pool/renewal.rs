//! Workers that have what this process would pass on to a child now: others take their places when that changes.
//!
//! A job that waits says which workers may take it: those of the generation in which it was handed over, and later ones. So
//! those of an earlier one do what was handed over before, and then leave; until then they count as the pool's, so that
//! never more jobs run at once than it has workers. One that has nothing to do any more has a successor at once.

use std::io;
use std::os::unix::ffi::OsStringExt;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::state::Pool;
use llib_core::shm::is_later;
use llib_core::sys::{clock, directory};

/// While jobs are under way, this process is looked at as often at most: each look takes as long as a small job.
const ROUND: Duration = Duration::from_millis(1);

/// What is known of this process.
pub(super) struct Host {
    /// When to look again, on the monotonic clock.
    look_at: u64,
    /// How often it had been asked to look at everything, see [`crate::session::Session`].
    refreshed: u32,
    /// Its working directory, if that is not the one of the workers' settings.
    directory: Option<Rc<[u8]>>,
}

impl Host {
    pub(super) fn new() -> Host {
        Host { look_at: 0, refreshed: 0, directory: None }
    }
}

impl Pool {
    /// Sees to it that jobs that are handed over from now on get workers with this process's attributes. Returns its working
    /// directory, if that is not the one of the workers' settings.
    pub fn keep_in_step(&mut self) -> io::Result<Option<Rc<[u8]>>> {
        let now = clock::now();
        let refreshed = self.session.refreshed();
        let idle = self.vacant.len() == self.records.len();
        if idle || now >= self.host.look_at || refreshed != self.host.refreshed {
            let generation = self.session.keep_in_step()?;
            if is_later(generation, self.generation) {
                self.renew(generation);
            }
            let directory = Some(directory::current().into_os_string().into_vec());
            if self.host.directory.as_deref() != directory.as_deref() {
                let other =
                    directory.filter(|directory| Some(directory) != self.plan.settings.directory.as_ref());
                self.host.directory = other.map(Rc::from);
            }
            (self.host.look_at, self.host.refreshed) = (clock::add(now, ROUND), refreshed);
        }
        Ok(self.host.directory.clone())
    }

    /// Lets workers of before this generation go, and starts others for those that have nothing to do.
    fn renew(&mut self, generation: u32) {
        self.generation = generation;
        self.memory.generation().store(generation, Ordering::SeqCst);
        self.memory.wake_workers();
        self.refill();
    }

    /// Whether the worker of a seat takes no more jobs.
    pub(super) fn is_leaving(&self, index: usize) -> bool {
        use llib_core::shm::seat;
        let Some(seat) = self.memory.seat(index) else { return false };
        if seat.state.load(Ordering::SeqCst) == seat::LEAVING {
            return true;
        }
        is_later(self.generation, self.crew.generations[index])
            && !self.memory.next_is_before(self.generation)
            && seat.current.load(Ordering::SeqCst) == 0
    }
}
