//! How many spares to keep.

use std::time::Duration;

use llib_core::sys::clock;

pub(super) const FEWEST: usize = 5;
const MOST: usize = 16;
/// Without a shortage for this long, half the spares above the fewest go.
const CALM: Duration = Duration::from_secs(5);

/// The number of spares follows demand: a job that found none doubles it, calm halves it.
pub(super) struct Spares {
    wanted: usize,
    calm_at: u64,
    /// Not more than this, while jobs have not shown yet that they come as they did.
    most: usize,
}

impl Spares {
    pub(super) fn new() -> Spares {
        Spares { wanted: FEWEST, calm_at: u64::MAX, most: MOST }
    }

    /// How many there should be.
    pub(super) fn wanted(&self) -> usize {
        self.wanted.min(self.most)
    }

    /// How many there should be behind walls, once there was a job for one.
    pub(super) fn walled(&self) -> usize {
        FEWEST.min(self.most)
    }

    /// All were let go, and that may happen again before there is a job for one.
    pub(super) fn start_over(&mut self) {
        self.most = 1;
    }

    /// A job has begun.
    pub(super) fn used(&mut self) {
        self.most = (self.most * 2).min(MOST);
    }

    /// A job found no spare.
    pub(super) fn missed(&mut self) {
        let wanted = (self.wanted * 2).min(MOST);
        if wanted != self.wanted {
            llib_core::log!(Debug, "a job found no spare: {wanted} from now on");
        }
        self.wanted = wanted;
        self.calm_at = clock::after(CALM);
    }

    /// When to look again, if ever.
    pub(super) fn next(&self) -> Option<u64> {
        (self.wanted > FEWEST).then_some(self.calm_at)
    }

    /// Lowers the number if it has been calm until `now`.
    pub(super) fn settle(&mut self, now: u64) {
        if self.wanted > FEWEST && now >= self.calm_at {
            self.wanted = (self.wanted / 2).max(FEWEST);
            llib_core::log!(Debug, "calm: {} spares from now on", self.wanted);
            self.calm_at = clock::after(CALM);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spares_that_were_let_go_come_back_with_the_jobs() {
        let mut spares = Spares::new();
        spares.start_over();
        assert_eq!((spares.wanted(), spares.walled()), (1, 1));
        let counts: Vec<_> = (0..4)
            .map(|_| {
                spares.used();
                spares.wanted()
            })
            .collect();
        assert_eq!(counts, [2, 4, FEWEST, FEWEST]);
    }

    #[test]
    fn shortage_doubles_the_spares_up_to_a_limit_and_calm_halves_them() {
        let mut spares = Spares::new();
        assert_eq!((spares.wanted(), spares.next()), (FEWEST, None));
        for _ in 0..10 {
            spares.missed();
        }
        assert_eq!(spares.wanted(), MOST);
        spares.settle(0);
        assert_eq!(spares.wanted(), MOST);
        for _ in 0..10 {
            spares.settle(u64::MAX);
        }
        assert_eq!((spares.wanted(), spares.next()), (FEWEST, None));
    }
}
