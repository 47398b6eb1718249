use std::sync::atomic::Ordering;

use super::*;
use crate::shm::new_name;

fn memory() -> PoolMemory {
    let memory = PoolMemory::create(&pool_name(&new_name().unwrap(), 1), 8).unwrap();
    memory.unlink();
    memory
}

fn queue(memory: &PoolMemory, index: u32, number: u64) {
    memory.reserve_slot(index).unwrap();
    memory.slot(index).unwrap().prepare(0, carries::NONE, 0);
    assert!(memory.push(index, number));
}

#[test]
fn a_word_comes_apart_as_it_was_put_together() {
    let word = Word { number: (1 << 48) - 1, seat: 1023, stage: stage::HELD };
    assert_eq!(Word::from_bits(word.bits()), word);
}

#[test]
fn jobs_are_taken_in_their_order_each_once() {
    let memory = memory();
    for number in 1..=20 {
        queue(&memory, number as u32, number);
    }
    assert_eq!(memory.waiting(), 20);
    for number in 1..=20 {
        let (slot, taken) = memory.take(3, 0, |_| ()).unwrap();
        assert_eq!((taken, slot.index()), (number, number as u32));
        assert_eq!(slot.word(), Word { number, seat: 3, stage: stage::RUNNING });
    }
    assert!(memory.take(3, 0, |_| ()).is_none() && memory.waiting() == 0);
}

#[test]
fn a_job_that_was_given_up_is_passed_over_and_its_slot_serves_the_next() {
    let memory = memory();
    queue(&memory, 5, 1);
    let queued = Word { number: 1, seat: 0, stage: stage::QUEUED };
    let slot = memory.slot(5).unwrap();
    assert!(slot.change(queued, Word { number: 1, seat: 0, stage: stage::FREE }));
    queue(&memory, 5, 2);
    assert_eq!(memory.take(0, 0, |_| ()).map(|(_, number)| number), Some(2));
    assert!(memory.take(0, 0, |_| ()).is_none());
}

#[test]
fn the_queue_takes_no_more_than_it_has_room_for() {
    let memory = memory();
    for number in 1..=RING as u64 {
        queue(&memory, 7, number);
    }
    assert!(!memory.push(7, 9999));
    // Only the last of them is what the slot says.
    assert_eq!(memory.take(0, 0, |_| ()).map(|(_, number)| number), Some(RING as u64));
    assert!(memory.push(7, 9999));
}

#[test]
fn numbers_that_make_no_sense_lead_nowhere() {
    let memory = memory();
    assert!(memory.slot((SMALL_SLOTS + LARGE_SLOTS) as u32).is_none() && memory.seat(SEATS).is_none());
    memory.header().ring.0[0].store(u64::MAX, Ordering::SeqCst);
    memory.header().tail.0.store(1, Ordering::SeqCst);
    assert!(memory.take(0, 0, |_| ()).is_none());
    memory.header().head.0.store(u64::MAX, Ordering::SeqCst);
    assert!(memory.take(0, 0, |_| ()).is_none() && memory.waiting() == 0);
}

#[test]
fn every_job_is_taken_by_one_of_many_takers() {
    let memory = memory();
    const JOBS: u64 = 20_000;
    let taken = std::sync::atomic::AtomicU64::new(0);
    let sum = std::sync::atomic::AtomicU64::new(0);
    std::thread::scope(|scope| {
        for me in 0..3 {
            let (memory, taken, sum) = (&memory, &taken, &sum);
            scope.spawn(move || {
                while taken.load(Ordering::SeqCst) < JOBS {
                    if let Some((slot, number)) = memory.take(me, 0, |_| ()) {
                        sum.fetch_add(number, Ordering::SeqCst);
                        let running = Word { number, seat: me, stage: stage::RUNNING };
                        assert!(slot.change(running, Word { number, seat: me, stage: stage::DONE }));
                        taken.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
        let mut free: Vec<u32> = (0..64).collect();
        free.iter().for_each(|index| memory.reserve_slot(*index).unwrap());
        let mut busy = Vec::new();
        for number in 1..=JOBS {
            while free.is_empty() {
                busy.retain(|index| {
                    let done = memory.slot(*index).unwrap().word().stage == stage::DONE;
                    if done {
                        free.push(*index);
                    }
                    !done
                });
            }
            let index = free.pop().unwrap();
            queue(&memory, index, number);
            busy.push(index);
        }
    });
    assert_eq!(sum.load(Ordering::SeqCst), JOBS * (JOBS + 1) / 2);
}
