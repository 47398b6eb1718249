//! What is claimed of the lock. Each claim stands on [`explore`], which checks more than the claim's name says:
//! nobody inside while another process that lives is, nobody asleep for ever, one heir for each lock that a
//! death left, and a lock that can be had when all is over.
//!
//! Bounds: two or three processes with one or two rounds each, and one more at the end. At most `preemptions`
//! times a process that could go on has to wait for another (none: any number of times); switches where a
//! process sleeps, dies or ends come free. The bounds are what a debug build explores in some seconds.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use super::kernel::{Kernel, Story};
use super::process::{Came, Fate, Moment, Process};
use crate::sync::word::{Owner, QUEUE, WAITERS};

/// Lives, and waits as long as it takes.
const ONCE: Fate = Fate {
    rounds: 1,
    dies_at: 0,
    replaced: false,
    interrupted_at: 0,
    moment: Moment::Before,
    impatient: false,
};
const TWICE: Fate = Fate { rounds: 2, ..ONCE };
const IMPATIENT: Fate = Fate { impatient: true, ..ONCE };

/// What happened in any of the orders.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// Of the first process.
    death: bool,
    heir: bool,
    giving_up: bool,
}

/// Runs processes with these fates in every order within the bounds.
fn explore(preemptions: Option<usize>, fates: &[Fate]) -> Seen {
    let (seen, story) = (Arc::new(Mutex::new(Seen::default())), Story::default());
    let (all, told, ours) = (seen.clone(), story.clone(), fates.to_vec());
    let mut model = loom::model::Builder::new();
    model.preemption_bound = preemptions;
    model.max_branches = 10_000;
    let run = AssertUnwindSafe(|| model.check(move || live(&ours, told.clone(), &mut all.lock().unwrap())));
    if let Err(panic) = catch_unwind(run) {
        eprintln!("{fates:?}");
        story.lock().unwrap().iter().for_each(|event| eprintln!("{event}"));
        resume_unwind(panic);
    }
    *seen.lock().unwrap()
}

/// One order.
fn live(fates: &[Fate], story: Story, seen: &mut Seen) {
    let kernel = Rc::new(Kernel::new(story));
    let start = |index: usize| {
        let (kernel, fate) = (kernel.clone(), fates[index]);
        move || Process::new(&kernel, Owner { index: index as u16, generation: 1 }, fate).live()
    };
    let others: Vec<_> = (1..fates.len()).map(|index| loom::thread::spawn(start(index))).collect();
    let mut lives = vec![start(0)()];
    lives.extend(others.into_iter().map(|other| other.join().unwrap()));
    // A newcomer has the lock though it never sleeps, if need be at the second try.
    let last = Owner { index: 3, generation: 1 };
    let newcomer = || Process::new(&kernel, last, Fate { interrupted_at: 1, ..ONCE });
    if newcomer().round().unwrap() == Came::GaveUp {
        assert_ne!(newcomer().round().unwrap(), Came::GaveUp, "the lock is free");
    }
    seen.heir |= kernel.end() > 0;
    seen.death |= lives[0].is_err();
    seen.giving_up |= lives.iter().flatten().any(|rounds| rounds.contains(&Came::GaveUp));
}

/// Explores a death at each step, until there is no order in which the process with `fate` lives to see
/// that step. How many steps there are.
fn explore_deaths(preemptions: usize, fate: Fate, others: &[Fate]) -> u32 {
    let deadly = (1..).take_while(|step| {
        let dying = Fate { dies_at: *step, ..fate };
        explore(Some(preemptions), &[&[dying], others].concat()).death
    });
    deadly.last().expect("there is a first step")
}

/// The ways to give up: at which sleep, and when in it.
fn ways_to_give_up() -> impl Iterator<Item = Fate> {
    [Moment::Before, Moment::Within, Moment::AtWaking]
        .into_iter()
        .flat_map(|moment| [1, 2].map(|interrupted_at| Fate { interrupted_at, moment, ..IMPATIENT }))
}

#[test]
fn two_processes_that_live_are_never_inside_at_once() {
    explore(None, &[TWICE, ONCE]);
    explore(Some(4), &[TWICE, TWICE]);
    explore(Some(3), &[ONCE, ONCE, ONCE]);
    explore(Some(2), &[TWICE, ONCE, ONCE]);
}

#[test]
fn while_nobody_dies_every_waiter_gets_the_lock_without_the_help_of_a_clock() {
    let twice = Fate { rounds: 2, ..IMPATIENT };
    explore(None, &[TWICE, IMPATIENT]);
    explore(Some(4), &[TWICE, twice]);
    explore(Some(3), &[ONCE, IMPATIENT, ONCE]);
    explore(Some(2), &[TWICE, IMPATIENT, ONCE]);
    explore(Some(2), &[twice, IMPATIENT, IMPATIENT]);
}

#[test]
fn a_dead_owners_lock_has_one_heir_who_learns_of_it() {
    // The first step takes the free lock, so this one dies with it, and may come back in a new body.
    for replaced in [false, true] {
        let dying = Fate { dies_at: 2, replaced, ..ONCE };
        assert!(explore(Some(4), &[dying, ONCE]).heir);
        assert!(explore(Some(2), &[dying, ONCE, ONCE]).heir);
        assert!(explore(Some(2), &[dying, dying, ONCE]).heir);
    }
}

#[test]
fn a_death_at_any_step_of_taking_or_giving_back_leaves_the_lock_usable() {
    for fate in [ONCE, IMPATIENT, Fate { replaced: true, ..IMPATIENT }] {
        let steps = explore_deaths(4, fate, &[ONCE]);
        assert!(steps > 10, "{steps}");
        explore_deaths(2, fate, &[TWICE, ONCE]);
    }
}

#[test]
fn two_deaths_at_any_steps_leave_the_lock_usable() {
    for dies_at in 1..=16 {
        explore_deaths(1, IMPATIENT, &[Fate { dies_at, ..IMPATIENT }, TWICE]);
    }
}

#[test]
fn who_gives_up_passes_the_wake_up_on() {
    for fate in ways_to_give_up() {
        assert!(explore(Some(3), &[TWICE, fate]).giving_up);
        assert!(explore(Some(2), &[TWICE, fate, ONCE]).giving_up);
        assert!(explore(Some(2), &[ONCE, fate, fate]).giving_up);
    }
}

#[test]
fn a_death_at_any_step_of_giving_up_leaves_the_lock_usable() {
    for fate in ways_to_give_up() {
        explore_deaths(3, fate, &[TWICE]);
        explore_deaths(2, fate, &[ONCE, ONCE]);
    }
}

#[test]
fn a_mark_of_the_queue_locks_nobody_out_though_its_maker_dies() {
    // The dying one loses a race once, marks the queue and dies; whoever comes then finds a free lock.
    let steps = explore_deaths(3, IMPATIENT, &[TWICE]);
    assert!(steps > 10, "{steps}");
    let poller = Fate { interrupted_at: 1, ..TWICE };
    explore_deaths(2, IMPATIENT, &[TWICE, poller]);
}

#[test]
fn newcomers_wait_a_moment_where_somebody_waits_long() {
    loom::model(|| {
        let kernel = Kernel::new(Story::default());
        let [owner, newcomer] = [0, 1].map(|index| Owner { index, generation: 1 });
        kernel.exchange(owner, 0, owner.bits()).unwrap();
        kernel.exchange(owner, owner.bits(), QUEUE | WAITERS).unwrap();
        let hasty = Process::new(&kernel, newcomer, Fate { interrupted_at: 1, ..ONCE });
        assert_eq!(hasty.round().unwrap(), Came::GaveUp);
        kernel.exchange(owner, kernel.load(), QUEUE | WAITERS).unwrap();
        let patient = Process::new(&kernel, newcomer, ONCE);
        assert_eq!(patient.round().unwrap(), Came::Free);
    });
}

#[test]
fn who_does_not_hold_the_lock_cannot_give_it_back() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = None;
    model.check(|| {
        let kernel = Rc::new(Kernel::new(Story::default()));
        let theirs = kernel.clone();
        let other = loom::thread::spawn(move || {
            Process::new(&theirs, Owner { index: 1, generation: 1 }, TWICE).live().unwrap();
        });
        // Neither another place nor another process of the same place.
        for owner in [Owner { index: 0, generation: 1 }, Owner { index: 1, generation: 2 }] {
            assert!(!Process::new(&kernel, owner, ONCE).release().unwrap());
        }
        other.join().unwrap();
        kernel.end();
    });
}
