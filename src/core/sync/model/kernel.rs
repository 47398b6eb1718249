//! The model's machine. What a process does here is one or two atomic operations of `loom`; all that is not
//! atomic follows one of them at once, where no other process can come between.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use loom::thread::{self, Thread};

use crate::sync::word::{Owner, owner};

/// Places in the table of owners: three processes, and the one that comes last.
pub(super) const PLACES: usize = 4;

/// Of a place: how its process sleeps.
#[derive(Default)]
struct Sleeper {
    /// The place whose owner it watches.
    watches: Option<u16>,
    woken: bool,
    /// Woken through the word, which is a wake-up that nobody else gets.
    by_word: bool,
    /// What to resume; none while it runs.
    parked: Option<Thread>,
}

/// What happened, for the one who has to understand a model that failed.
pub(super) type Story = Arc<Mutex<Vec<Event>>>;

/// A process did something.
pub(super) struct Event {
    who: Owner,
    did: &'static str,
    /// With which word or owner, as an owner's bits.
    with: u64,
    /// The word after it, as it is and not as a process may see it.
    word: u64,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Event { who: Owner { index, generation }, did, with, word } = self;
        write!(f, "{index}.{generation} {did} {with:#x}; the word is {word:#x}")
    }
}

/// Everything the processes share.
pub(super) struct Kernel {
    story: Story,
    word: AtomicU64,
    generations: [AtomicU32; PLACES],
    /// What the lock guards. `loom` fails the model where two accesses are not ordered.
    guarded: UnsafeCell<u32>,
    /// Who sleeps on the word, in the order in which they came.
    queue: RefCell<VecDeque<u16>>,
    sleepers: [RefCell<Sleeper>; PLACES],
    /// The word as it is, for the checks.
    truth: Cell<u64>,
    /// Owners that are dead, published or not.
    dead: RefCell<Vec<Owner>>,
    /// Of them, those that died with the lock.
    bequeathed: RefCell<Vec<Owner>>,
    /// Of these, those whose lock was taken.
    inherited: RefCell<Vec<Owner>>,
    /// Whether the owner of now took the lock from a dead one and has not entered yet.
    inherits: Cell<bool>,
}

impl Kernel {
    pub(super) fn new(story: Story) -> Self {
        story.lock().expect("no panic comes here").clear();
        Kernel {
            story,
            word: AtomicU64::new(0),
            generations: std::array::from_fn(|_| AtomicU32::new(1)),
            guarded: UnsafeCell::new(0),
            queue: RefCell::default(),
            sleepers: std::array::from_fn(|_| RefCell::default()),
            truth: Cell::new(0),
            dead: RefCell::default(),
            bequeathed: RefCell::default(),
            inherited: RefCell::default(),
            inherits: Cell::new(false),
        }
    }

    /// Adds to the story.
    pub(super) fn tell(&self, who: Owner, did: &'static str, with: u64) {
        let word = self.truth.get();
        self.story.lock().expect("no panic comes here").push(Event { who, did, with, word });
    }

    pub(super) fn load(&self) -> u64 {
        self.word.load(SeqCst)
    }

    /// Fails the model where the exchange takes the lock from somebody who lives.
    pub(super) fn exchange(&self, me: Owner, old: u64, new: u64) -> Result<(), u64> {
        self.word.compare_exchange(old, new, SeqCst, SeqCst)?;
        assert_eq!(self.truth.replace(new), old);
        if let Some(last) = owner(old)
            && owner(new) != Some(last)
            && last != me
        {
            assert!(self.dead.borrow().contains(&last), "{me:?} took the lock from {last:?}, who lives");
            self.inherited.borrow_mut().push(last);
            self.inherits.set(true);
        }
        Ok(())
    }

    /// The published generation of a place.
    pub(super) fn generation(&self, index: u16) -> u32 {
        self.generations[usize::from(index)].load(SeqCst)
    }

    /// Changes what the lock guards. Fails the model where the lock was taken from a dead owner and its new one
    /// does not know, or the other way round.
    pub(super) fn enter(&self, me: Owner, abandoned: bool) {
        self.tell(me, "is inside, abandoned", abandoned.into());
        assert_eq!(abandoned, self.inherits.replace(false), "was the lock abandoned?");
        // SAFETY: `loom` fails the model before two accesses meet.
        self.guarded.with_mut(|guarded| unsafe { *guarded += 1 });
    }

    fn sleeper(&self, index: u16) -> std::cell::RefMut<'_, Sleeper> {
        self.sleepers[usize::from(index)].borrow_mut()
    }

    /// What the kernel does before it lets a process sleep, futex_waitv(2): looks at the words one after the
    /// other, and queues the process on each in the same step. False where one has changed.
    pub(super) fn fall_asleep(&self, me: Owner, word: u64, watched: Option<Owner>) -> bool {
        *self.sleeper(me.index) = Sleeper::default();
        // The kernel's look is no write, but like one it sees the newest value and is in order with wake-ups.
        if self.word.fetch_or(0, SeqCst) as u32 != word as u32 {
            self.tell(me, "need not sleep on", word);
            return false;
        }
        self.queue.borrow_mut().push_back(me.index);
        self.tell(me, "sleeps on", word);
        let Some(watched) = watched else { return true };
        if self.generations[usize::from(watched.index)].fetch_or(0, SeqCst) != watched.generation {
            self.tell(me, "need not sleep: dead is", watched.bits());
            return false;
        }
        self.sleeper(me.index).watches = Some(watched.index);
        true
    }

    /// Sleeps until woken.
    pub(super) fn sleep(&self, me: Owner) {
        while !self.sleeper(me.index).woken {
            self.sleeper(me.index).parked = Some(thread::current());
            thread::park();
        }
    }

    /// Leaves all queues. Whether a wake-up on the word had reached this process.
    pub(super) fn get_up(&self, me: Owner) -> bool {
        if !self.sleeper(me.index).by_word {
            self.word.fetch_or(0, SeqCst);
            self.queue.borrow_mut().retain(|index| *index != me.index);
        }
        let woken = std::mem::take(&mut *self.sleeper(me.index)).by_word;
        self.tell(me, "is up, woken through the word", woken.into());
        woken
    }

    fn rouse(&self, index: u16) {
        let mut sleeper = self.sleeper(index);
        sleeper.woken = true;
        if let Some(thread) = sleeper.parked.take() {
            thread.unpark();
        }
    }

    /// Wakes who has slept longest on the word.
    pub(super) fn wake_one(&self, me: Owner) {
        self.word.fetch_or(0, SeqCst);
        let first = self.queue.borrow_mut().pop_front();
        self.tell(me, "wakes place", first.map_or(u64::MAX, u64::from));
        if let Some(index) = first {
            self.sleeper(index).by_word = true;
            self.rouse(index);
        }
    }

    /// The end of a slice for everybody who sleeps on the word.
    pub(super) fn end_slices(&self, carrier: Owner) {
        self.word.fetch_or(0, SeqCst);
        self.tell(carrier, "carried a wake-up: slices end", 0);
        let all: Vec<u16> = self.queue.borrow().iter().copied().collect();
        all.into_iter().for_each(|index| self.rouse(index));
    }

    /// A process dies.
    pub(super) fn die(&self, dead: Owner) {
        self.dead.borrow_mut().push(dead);
        if owner(self.truth.get()) == Some(dead) {
            self.bequeathed.borrow_mut().push(dead);
            self.inherits.set(false);
        }
    }

    /// The zygote publishes a death.
    pub(super) fn publish(&self, dead: Owner) {
        let entry = &self.generations[usize::from(dead.index)];
        // A swap: `loom` would let a plain store go before a sleeper's look that came first.
        entry.swap(dead.generation + 1, SeqCst);
        self.tell(dead, "is known to be dead", dead.bits());
        entry.fetch_or(0, SeqCst);
        for index in 0..PLACES as u16 {
            if self.sleeper(index).watches == Some(dead.index) {
                self.rouse(index);
            }
        }
    }

    /// When all is over: fails the model where a lock that was left by a death has not gone to one heir.
    /// How many locks were.
    pub(super) fn end(&self) -> usize {
        assert_eq!(
            *self.bequeathed.borrow(),
            *self.inherited.borrow(),
            "a lock without an heir, or with two"
        );
        assert!(self.queue.borrow().is_empty());
        self.inherited.borrow().len()
    }
}
