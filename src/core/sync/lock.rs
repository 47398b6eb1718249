//! Taking and giving back a lock. The state table is that of [`super::word`].

use super::word::{Owner, QUEUE, WAITERS, flags, owner};

/// What the algorithm stands on: one lock word and the table of owners. Each method is one step that a death
/// can follow; `Stop` is how the model makes a process stop there, and nothing elsewhere.
pub trait Ground {
    /// Why the process stops for good.
    type Stop;

    /// The word.
    fn load(&self) -> Result<u64, Self::Stop>;

    /// Puts `new` in place of `old`; the word that was there instead where it was another.
    fn exchange(&self, old: u64, new: u64) -> Result<Result<(), u64>, Self::Stop>;

    /// Whether the process that the word names lives. For a number that no table has: it does not.
    fn is_alive(&self, owner: Owner) -> Result<bool, Self::Stop>;

    /// Sleeps while the lower half of the word is that of `word` and `owner` lives, for a while at most.
    fn sleep(&self, word: u64, owner: Option<Owner>, pause: Pause) -> Result<Slept, Self::Stop>;

    /// Wakes the process that has slept longest on the word.
    fn wake_one(&self) -> Result<(), Self::Stop>;

    /// A short time of doing nothing; false when it is time to sleep instead. `round` counts from 0.
    fn spin(&self, round: u32) -> bool;
}

/// How long a sleep may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// Until something changes. For the case that a process which was woken dies before it wakes the next,
    /// this too ends some time.
    Turn,
    /// A moment, to let others go first.
    Moment,
}

/// Why a sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slept {
    /// Look again.
    Again,
    /// The same, and this wait has become a long one.
    Long,
    /// The caller has to see to something else: its time is over, or a signal handler ran. A wake-up may have
    /// come all the same.
    Interrupted,
}

/// How a lock was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It was free.
    Free,
    /// Its owner had died with it.
    Abandoned,
    /// It was not: see [`Slept::Interrupted`].
    No,
}

/// What a waiter keeps between two tries.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wait {
    /// Whether it has slept, which puts it before newcomers.
    slept: bool,
    /// Whether it has waited so long that newcomers must wait.
    long: bool,
}

/// The way without contention: one compare-and-swap.
#[inline]
pub(super) fn try_take<G: Ground>(ground: &G, me: Owner) -> Result<bool, G::Stop> {
    Ok(ground.exchange(0, me.bits())?.is_ok())
}

/// Takes the lock, or sleeps until it can or is interrupted.
pub(super) fn take<G: Ground>(ground: &G, me: Owner, wait: &mut Wait) -> Result<Taken, G::Stop> {
    let mut round = 0;
    let mut word = ground.load()?;
    loop {
        let holder = owner(word);
        if holder.is_none() && (wait.slept || word & QUEUE == 0) {
            // There may be more sleepers than this one, and nobody counts them. Who has not slept keeps
            // what the word says.
            let marks = if wait.slept { WAITERS } else { word & WAITERS };
            match ground.exchange(word, me.bits() | marks)? {
                Ok(()) => return Ok(Taken::Free),
                Err(other) => word = other,
            }
            continue;
        }
        if let Some(dead) = holder
            && !ground.is_alive(dead)?
        {
            match ground.exchange(word, me.bits() | WAITERS)? {
                Ok(()) => return Ok(Taken::Abandoned),
                Err(other) => word = other,
            }
            continue;
        }
        if !wait.slept && ground.spin(round) {
            round += 1;
            word = ground.load()?;
            continue;
        }
        let marked = word | WAITERS | if wait.long { QUEUE } else { 0 };
        if marked != word
            && let Err(other) = ground.exchange(word, marked)?
        {
            word = other;
            continue;
        }
        let pause = if holder.is_none() { Pause::Moment } else { Pause::Turn };
        let slept = ground.sleep(marked, holder, pause)?;
        wait.slept = true;
        match slept {
            Slept::Again => {}
            Slept::Long => wait.long = true,
            Slept::Interrupted => return Ok(Taken::No),
        }
        word = ground.load()?;
    }
}

/// What a waiter does that gives up for good. Who has marked the queue must not leave newcomers waiting for it;
/// nor must one that died, so a mark on a free lock goes too: who still waits for it makes it again.
/// A sleeper that was just woken may be the one that gives up, so it passes that on.
pub(super) fn give_up<G: Ground>(ground: &G, wait: &Wait) -> Result<(), G::Stop> {
    if !wait.slept {
        return Ok(());
    }
    let mut word = ground.load()?;
    while word & QUEUE != 0 && (wait.long || owner(word).is_none()) {
        match ground.exchange(word, word & !QUEUE)? {
            Ok(()) => break,
            Err(other) => word = other,
        }
    }
    ground.wake_one()
}

/// Gives the lock back; false where this owner does not hold it.
pub(super) fn give_back<G: Ground>(ground: &G, me: Owner) -> Result<bool, G::Stop> {
    let mut word = ground.load()?;
    loop {
        if owner(word) != Some(me) {
            return Ok(false);
        }
        // With a queue the word stays marked: of those that come now, the ones that slept go first.
        let left = if word & QUEUE != 0 { flags(word) } else { 0 };
        match ground.exchange(word, left)? {
            Ok(()) => break,
            Err(other) => word = other,
        }
    }
    if word & WAITERS != 0 {
        ground.wake_one()?;
    }
    Ok(true)
}

/// Leaves the lock as the owner's death would, for an owner that lives on.
pub(super) fn abandon<G: Ground>(ground: &G, me: Owner) -> Result<(), G::Stop> {
    let mut word = ground.load()?;
    while owner(word) == Some(me) {
        match ground.exchange(word, me.predecessor().bits() | flags(word))? {
            // Nobody else wakes those that wait. One that falls asleep just now sees the same lower half, and looks
            // again after a slice.
            Ok(()) => return ground.wake_one(),
            Err(other) => word = other,
        }
    }
    Ok(())
}
