//! The end of a session whose host is not any more what it was at the start: another user, without some capability, in another root
//! directory. Jobs that run come to their end; nothing new is begun, whatever the host writes into the shared memory.

use llib_core::shm::{SLOTS, State};
use llib_core::sys::clock;

use super::Zygote;

impl Zygote {
    /// Takes no new jobs from now on. Those that were handed over before are begun.
    pub(super) fn retire(&mut self) {
        llib_core::log!(Info, "takes no new jobs: the host has other privileges now");
        self.retired = true;
        let header = self.segment.header();
        while let Some(index) =
            header.ready.take_first(|_| true).or_else(|| header.walled.take_first(|_| true))
        {
            self.segment.slot(index).entry.swap(State::Released);
            self.release(index);
        }
        self.retire_pools(false);
        self.retired_at = clock::now();
    }

    /// Lets nobody stay who only waits.
    pub(super) fn keep_retired(&mut self, now: u64) {
        /// Time for a worker to leave by itself.
        const NOTICE: u64 = 500_000_000;
        if self.retired && now.saturating_sub(self.retired_at) > NOTICE {
            self.retire_pools(true);
        }
    }

    /// A job that came too late.
    pub(super) fn refuse(&mut self, index: u32) {
        self.end_unstarted(index, libc::EPERM);
    }

    /// Whether the last job is gone, and its result taken.
    pub(super) fn is_done(&self) -> bool {
        self.retired
            && self.crew.len() == 0
            && self.pending.is_empty()
            && self.segment.header().free.count() == SLOTS
    }
}
