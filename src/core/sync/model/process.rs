//! A process of the model.

use std::cell::Cell;

use super::kernel::Kernel;
use crate::sync::lock::{self, Ground, Pause, Slept, Taken, Wait};
use crate::sync::word::Owner;

/// What happens to a process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fate {
    /// How often it wants the lock.
    pub(super) rounds: u32,
    /// The step that it does not live to do, counted from 1; 0 for none. Lying asleep is a step too.
    pub(super) dies_at: u32,
    /// Whether a new process comes to the place of the dead one, and wants the lock once.
    pub(super) replaced: bool,
    /// The sleep at which it is interrupted and gives up, counted from 1; 0 for none.
    pub(super) interrupted_at: u32,
    /// When in that sleep.
    pub(super) moment: Moment,
    /// Whether each wait is a long one from its first sleep on.
    pub(super) impatient: bool,
}

/// When a sleep is interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// Before it begins.
    Before,
    /// While it lasts. A wake-up may come before that.
    Within,
    /// When a wake-up ends it.
    AtWaking,
}

/// The process is dead.
#[derive(Debug)]
pub(super) struct Died;

/// What came of wanting the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    Free,
    Abandoned,
    GaveUp,
}

/// One process. It carries a wake-up from the moment at which one reaches it until it has taken the lock and
/// given it back, or has given up: there it wakes the next. If it dies in between, those that sleep on may
/// watch an owner of long ago, and find out by the end of their slices alone.
pub(super) struct Process<'a> {
    kernel: &'a Kernel,
    me: Owner,
    fate: Fate,
    steps: Cell<u32>,
    sleeps: Cell<u32>,
    carries: Cell<bool>,
}

impl<'a> Process<'a> {
    pub(super) fn new(kernel: &'a Kernel, me: Owner, fate: Fate) -> Self {
        Process { kernel, me, fate, steps: Cell::new(0), sleeps: Cell::new(0), carries: Cell::new(false) }
    }

    fn step(&self) -> Result<(), Died> {
        self.steps.set(self.steps.get() + 1);
        if self.steps.get() == self.fate.dies_at { Err(Died) } else { Ok(()) }
    }

    fn tell(&self, did: &'static str, with: u64) {
        self.kernel.tell(self.me, did, with);
    }

    /// Wants the lock, as `LockRef::acquire` does.
    fn acquire(&self) -> Result<Came, Died> {
        if lock::try_take(self, self.me)? {
            return Ok(Came::Free);
        }
        let mut wait = Wait::default();
        Ok(match lock::take(self, self.me, &mut wait)? {
            Taken::Free => Came::Free,
            Taken::Abandoned => Came::Abandoned,
            Taken::No => {
                lock::give_up(self, &wait)?;
                self.carries.set(false);
                Came::GaveUp
            }
        })
    }

    /// Gives the lock back. False where it does not hold it.
    pub(super) fn release(&self) -> Result<bool, Died> {
        let held = lock::give_back(self, self.me)?;
        self.carries.set(false);
        Ok(held)
    }

    /// Takes the lock, changes what it guards and gives it back.
    pub(super) fn round(&self) -> Result<Came, Died> {
        let came = self.acquire()?;
        if came != Came::GaveUp {
            self.kernel.enter(self.me, came == Came::Abandoned);
            assert!(self.release()?, "the lock was held");
        }
        Ok(came)
    }

    /// Lives: what came of its rounds. A death is published.
    pub(super) fn live(self) -> Result<Vec<Came>, Died> {
        let lived: Result<Vec<_>, _> = (0..self.fate.rounds).map(|_| self.round()).collect();
        if lived.is_err() {
            self.bury();
            if self.fate.replaced {
                let me = Owner { generation: self.me.generation + 1, ..self.me };
                let fate = Fate { rounds: 1, dies_at: 0, interrupted_at: 0, ..self.fate };
                Process::new(self.kernel, me, fate).live().expect("it lives");
            }
        }
        lived
    }

    /// What follows a death: the kernel ends the sleep, the zygote publishes, and slices end if they must.
    fn bury(&self) {
        self.kernel.die(self.me);
        self.tell("died before step", self.fate.dies_at.into());
        let carried = self.kernel.get_up(self.me) || self.carries.get();
        self.kernel.publish(self.me);
        if carried {
            self.kernel.end_slices(self.me);
        }
    }
}

impl Ground for Process<'_> {
    type Stop = Died;

    fn load(&self) -> Result<u64, Died> {
        self.step()?;
        let word = self.kernel.load();
        self.tell("saw", word);
        Ok(word)
    }

    fn exchange(&self, old: u64, new: u64) -> Result<Result<(), u64>, Died> {
        self.step()?;
        let done = self.kernel.exchange(self.me, old, new);
        self.tell(if done.is_ok() { "exchanged" } else { "failed to exchange" }, old);
        Ok(done)
    }

    fn is_alive(&self, owner: Owner) -> Result<bool, Died> {
        self.step()?;
        let alive = self.kernel.generation(owner.index) == owner.generation;
        self.tell(if alive { "saw alive" } else { "saw dead" }, owner.bits());
        Ok(alive)
    }

    fn sleep(&self, word: u64, owner: Option<Owner>, pause: Pause) -> Result<Slept, Died> {
        self.step()?;
        self.sleeps.set(self.sleeps.get() + 1);
        let interrupted = self.sleeps.get() == self.fate.interrupted_at;
        if interrupted && self.fate.moment == Moment::Before {
            return Ok(Slept::Interrupted);
        }
        let asleep = self.kernel.fall_asleep(self.me, word, owner);
        self.step()?;
        // Moments end by themselves.
        let lasts = pause == Pause::Turn && !(interrupted && self.fate.moment == Moment::Within);
        if asleep && lasts {
            self.kernel.sleep(self.me);
        }
        let woken = self.kernel.get_up(self.me);
        self.carries.set(self.carries.get() || woken);
        Ok(match self.fate.impatient {
            _ if interrupted => Slept::Interrupted,
            true => Slept::Long,
            false => Slept::Again,
        })
    }

    fn wake_one(&self) -> Result<(), Died> {
        self.step()?;
        self.kernel.wake_one(self.me);
        Ok(())
    }

    fn spin(&self, _: u32) -> bool {
        false
    }
}
