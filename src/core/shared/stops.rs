//! Tests that stop a writer after each of its stores, for good: what others find then is what was before or what comes
//! after, and the object goes on.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use super::buffer;
use super::channel::{self, Popped, Pushed};
use super::object::{Guard, Kind, Object, create, end_unheld};
use super::parcel::Parcel;
use crate::shm::{Payload, SharedFile};

/// Lengths on both sides of every boundary between pairs of halves up to some hundred KiB.
const LENGTHS: [usize; 15] =
    [0, 1, 700, 768, 769, 4096, 4097, 8192, 9000, 20_000, 32_768, 32_769, 65_537, 140_000, 300_000];

/// Bytes that tell their number and length.
fn text(number: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| (number * 31 + at * 7 + len) as u8).collect()
}

/// Content whose writer stops when half of it is written.
struct Half<'a>(&'a [u8]);

impl Payload for Half<'_> {
    fn each<'a>(&'a self, take: &mut dyn FnMut(&'a [u8])) {
        take(&self.0[..self.0.len() / 2]);
        stop();
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

/// Ends the operation without a word on standard error.
fn stop() -> ! {
    resume_unwind(Box::new("stopped"))
}

/// Runs an operation under the lock of an owner that is dead afterwards, up to its step `last`, counted from 0.
/// Whether it was stopped.
fn stopped(object: &Object, last: usize, operation: impl FnOnce(&Guard<'_>, &mut dyn FnMut())) -> bool {
    let guard = object.lock_as_a_dead_owner();
    let mut steps = 0;
    let mut step = || {
        if steps == last {
            stop();
        }
        steps += 1;
    };
    catch_unwind(AssertUnwindSafe(|| operation(&guard, &mut step))).is_err()
}

/// The lock, as the next owner gets it.
fn inherit(object: &Object) -> Guard<'_> {
    let guard = object.lock(None, &mut || true).expect("a dead owner's lock is to be had");
    assert!(guard.abandoned());
    guard
}

fn parcel(bytes: &dyn Payload) -> Parcel<'_> {
    Parcel { content: bytes, ids: &[] }
}

fn set(guard: &Guard<'_>, bytes: &[u8]) {
    buffer::write(guard, parcel(&bytes), &[], || ()).expect("there is room");
}

fn get(guard: &Guard<'_>) -> Vec<u8> {
    // SAFETY: it is copied at once.
    unsafe { buffer::view(guard) }.expect("nobody is mad").bytes.copy()
}

#[test]
fn a_buffer_whose_writer_stops_has_its_old_content_or_its_new() {
    let object = create(Kind::Buffer).unwrap();
    for (number, old) in LENGTHS.iter().enumerate() {
        for new in LENGTHS {
            let (old, new) = (text(number, *old), text(number + 100, new));
            let (mut last, mut before) = (0, true);
            loop {
                set(&object.try_lock().unwrap(), &old);
                let was_stopped = stopped(&object, last, |guard, step| {
                    buffer::write(guard, parcel(&&*new), &[], step).expect("there is room");
                });
                let guard = inherit(&object);
                let found = get(&guard);
                assert!(found == old || found == new, "{} → {} after {last}", old.len(), new.len());
                // Once it is new it stays new.
                assert!(before || found == new);
                before = found == old && old != new;
                if !was_stopped {
                    assert!(found == new && last == 3, "{last} steps");
                    break;
                }
                last += 1;
            }
        }
    }
}

#[test]
fn a_buffer_whose_writer_stops_within_its_bytes_has_its_old_content() {
    let object = create(Kind::Buffer).unwrap();
    for old in LENGTHS {
        for new in LENGTHS {
            let (old, new) = (text(1, old), text(2, new));
            set(&object.try_lock().unwrap(), &old);
            assert!(stopped(&object, usize::MAX, |guard, step| {
                let _ = buffer::write(guard, parcel(&Half(&new)), &[], step);
            }));
            let guard = inherit(&object);
            assert!(get(&guard) == old, "{} → {}", old.len(), new.len());
            set(&guard, &new);
            assert!(get(&guard) == new);
        }
    }
}

#[test]
fn handles_count_once_too_often_at_most_when_a_writer_stops() {
    let object = create(Kind::Buffer).unwrap();
    for last in 0..4 {
        let contained: Vec<Arc<Object>> = (0..2).map(|_| create(Kind::Mutex).unwrap()).collect();
        let ids = [[contained[0].id()], [contained[1].id()]];
        let put = |guard: &Guard<'_>, which: usize, step: &mut dyn FnMut()| {
            let parcel = Parcel { content: &&b"handle"[..], ids: &ids[which] };
            buffer::write(guard, parcel, &[&contained[which]], step).expect("there is room");
        };
        put(&object.try_lock().unwrap(), 0, &mut || ());
        stopped(&object, last, |guard, step| put(guard, 1, step));
        let guard = inherit(&object);
        // SAFETY: the value is not looked at.
        let inside = unsafe { buffer::view(&guard) }.unwrap().ids;
        for (object, id) in contained.iter().zip(ids.as_flattened()) {
            let actual = u64::from(inside.contains(id));
            let counted = object.references();
            assert!(counted == actual || counted == actual + 1, "step {last}: {counted} for {actual}");
        }
        set(&guard, b"none");
    }
}

#[test]
fn an_object_that_another_process_has_mapped_is_left_to_that_and_found_once_it_is_dead() {
    let exists = |name: &str| std::path::Path::new("/dev/shm").join(name).exists();
    let object = create(Kind::Mutex).unwrap();
    let (tree, id) = (object.tree_name(), object.id());
    let name = format!("{tree}.{id:016x}");
    // As a process would that was forked from this one.
    let other = SharedFile::open(&name).unwrap();
    other.hold().unwrap();
    drop(object);
    end_unheld(tree);
    assert!(exists(&name));
    drop(other);
    end_unheld(tree);
    assert!(!exists(&name));
}

fn channel(items: &[Vec<u8>]) -> Arc<Object> {
    let object = create(Kind::Channel).unwrap();
    channel::found(&object, 0);
    let guard = object.try_lock().unwrap();
    items.iter().for_each(|item| push(&guard, item));
    drop(guard);
    object
}

fn push(guard: &Guard<'_>, item: &[u8]) {
    assert_eq!(channel::push(guard, parcel(&item), &[], || ()).unwrap(), Pushed::Yes);
}

fn pop(guard: &Guard<'_>) -> Option<Vec<u8>> {
    match channel::pop(guard, || ()).unwrap() {
        Popped::Item(received) => Some(received.bytes),
        Popped::Empty | Popped::Closed => None,
    }
}

fn drain(guard: &Guard<'_>) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| pop(guard)).collect()
}

/// Stops an operation at each of its steps on a fresh channel with these items, of which some were popped before, so
/// that the ring is at various points of its circle. The channel then has the items of before or those of after.
fn stop_everywhere(
    items: &[Vec<u8>],
    popped: usize,
    after: &[Vec<u8>],
    operation: impl Fn(&Guard<'_>, &mut dyn FnMut()),
) {
    for last in 0.. {
        let object = channel(items);
        let guard = object.try_lock().unwrap();
        (0..popped).for_each(|_| drop(pop(&guard)));
        drop(guard);
        let was_stopped = stopped(&object, last, &operation);
        let guard = inherit(&object);
        assert!(channel::len(&guard).unwrap() as usize <= items.len() + 1);
        // Whoever comes next goes on.
        let more = text(55, 3000);
        let closed = channel::push(&guard, parcel(&&*more), &[], || ()).unwrap() == Pushed::Closed;
        let mut found = drain(&guard);
        if !closed {
            assert!(found.pop() == Some(more));
        }
        let before = &items[popped..];
        assert!(found == before || found == after, "{} items after step {last}", found.len());
        if !was_stopped {
            assert!(found == after && last > 0);
            return;
        }
    }
}

/// Rows of items, and how many of them are popped first.
fn rows() -> Vec<(Vec<Vec<u8>>, usize)> {
    let mut rows = vec![(Vec::new(), 0)];
    for len in [0, 100, 700, 5000, 40_000] {
        rows.push(((0..1).map(|number| text(number, len)).collect(), 0));
        rows.push(((0..6).map(|number| text(number, len + number)).collect(), 4));
    }
    rows
}

#[test]
fn a_channel_whose_pusher_stops_has_its_item_whole_or_not_at_all() {
    for (items, popped) in rows() {
        for len in [0, 10, 600, 3000, 9000, 70_000] {
            let item = text(77, len);
            let mut after = items[popped..].to_vec();
            after.push(item.clone());
            stop_everywhere(&items, popped, &after, |guard, step| {
                assert_eq!(channel::push(guard, parcel(&&*item), &[], step).unwrap(), Pushed::Yes);
            });
            // In the midst of the item's bytes.
            let object = channel(&items);
            assert!(stopped(&object, usize::MAX, |guard, step| {
                let _ = channel::push(guard, parcel(&Half(&item)), &[], step);
            }));
            assert!(drain(&inherit(&object)) == items);
        }
    }
}

#[test]
fn a_channel_whose_popper_stops_loses_one_item_at_most() {
    for (items, popped) in rows().into_iter().filter(|(items, _)| !items.is_empty()) {
        stop_everywhere(&items, popped, &items[popped + 1..], |guard, step| {
            assert!(matches!(channel::pop(guard, step), Ok(Popped::Item(_))));
        });
    }
}

#[test]
fn a_channel_whose_closer_stops_keeps_its_items() {
    for (items, popped) in rows() {
        stop_everywhere(&items, popped, &items[popped..], |guard, step| {
            channel::close(guard, step).unwrap();
        });
    }
}
