//! Where a sandboxed worker and its zygote meet over the jobs that the worker starts.
//!
//! A worker behind walls can make no segments, run no supervisors and hold no channel. So it has a table of a few slots
//! of its own, mapped before its walls rose: to these it is what a host is to a session's, and its zygote serves them. The
//! states are those of [`super::layout`]; a payload is in its mailbox always. What differs is trust. **The zygote believes
//! nothing that stands here**: who a slot's worker is, what the job was given and what it may use it keeps for
//! itself, and takes words from here for wishes.
//!
//! | word of the orders | written by | meaning |
//! |---|---|---|
//! | `asked` | worker | number of its last order for this slot |
//! | `done` | zygote | number of the last one that was carried out; a futex |
//! | `signal` | worker | to be sent now; 0 is none |
//! | `kill_at` | worker | when to kill the job, on the monotonic clock in nanoseconds; 0 is no time |
//! | `cause` | worker | what that is to be recorded as |
//!
//! Whoever leaves something for the zygote sets `asks` in its own mailbox and rings the doorbell.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};

use super::bytes::Atomics;
use super::error::RegionError;
use super::layout::{Entry, Slot};
use super::mailbox::Mailbox;
use super::mapping::Mapping;
use crate::sys::{PAGE, futex};
use crate::wire::sandbox::MOST_JOBS;

/// Bytes of the smallest mailbox: what is ready in any.
const LEAST: usize = Mailbox::PAYLOAD_AT + Mailbox::READY;
/// Bytes of the largest, so that all of them have addresses.
const LONGEST: usize = 1 << 40;
const _: () = assert!(LEAST.is_multiple_of(PAGE));

/// How many slots a nest has, and how much room each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    places: usize,
    /// Bytes of each mailbox.
    mailbox: usize,
}

impl Shape {
    /// For a worker that may have so many jobs at once: their payloads together are as long as its own result may be.
    /// `None`: it may have none.
    pub fn new(jobs: u32, result: u64) -> Option<Shape> {
        let places = jobs.min(MOST_JOBS) as usize;
        let share = usize::try_from(result).unwrap_or(usize::MAX).checked_div(places)?;
        Some(Shape { places, mailbox: (share.min(LONGEST) / PAGE * PAGE).max(LEAST) })
    }

    /// The longest payload, of a job or of its result.
    pub fn longest(&self) -> u64 {
        (self.mailbox - Mailbox::PAYLOAD_AT) as u64
    }

    /// The same where results may have no more than `result` bytes together. A nest that was made before that was known can
    /// have more room.
    pub fn longest_of(&self, result: Option<u64>) -> u64 {
        let other = result.and_then(|result| Shape::new(self.places as u32, result));
        other.map_or(self.longest(), |other| other.longest().min(self.longest()))
    }

    fn controls(&self) -> usize {
        (self.places * size_of::<Control>()).next_multiple_of(PAGE)
    }

    /// Bytes of the whole nest.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.controls() + self.places * self.mailbox
    }

    /// Where a slot's mailbox begins.
    fn mailbox_at(&self, index: usize) -> usize {
        assert!(index < self.places, "slot {index} is in the nest");
        self.controls() + index * self.mailbox
    }
}

/// What a worker wants of one of its jobs, see the module's header.
#[repr(C)]
pub struct Orders {
    asked: AtomicU32,
    done: AtomicU32,
    signal: AtomicI32,
    cause: AtomicU32,
    kill_at: AtomicU64,
}

/// An order as the zygote takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Its number.
    pub number: u32,
    /// Signal to be sent; 0 is none.
    pub signal: i32,
    /// When to kill the job; 0 is no time.
    pub kill_at: u64,
    /// Code of the cause of that.
    pub cause: u32,
}

impl Orders {
    /// Worker: gives an order and returns its number. The one before has been carried out, or nobody waits for it any more.
    pub fn give(&self, signal: i32, kill_at: u64, cause: u32) -> u32 {
        self.signal.store(signal, Ordering::SeqCst);
        self.cause.store(cause, Ordering::SeqCst);
        self.kill_at.store(kill_at, Ordering::SeqCst);
        self.asked.fetch_add(1, Ordering::SeqCst).wrapping_add(1)
    }

    /// Worker: the futex that tells of orders that were carried out.
    pub fn done(&self) -> &AtomicU32 {
        &self.done
    }

    /// Zygote: what the worker wants that has not been done.
    pub fn wish(&self) -> Option<Wish> {
        let number = self.asked.load(Ordering::SeqCst);
        (number != self.done.load(Ordering::SeqCst)).then(|| Wish {
            number,
            signal: self.signal.load(Ordering::SeqCst),
            kill_at: self.kill_at.load(Ordering::SeqCst),
            cause: self.cause.load(Ordering::SeqCst),
        })
    }

    /// Zygote: it was carried out.
    pub fn acknowledge(&self, wish: Wish) {
        self.done.store(wish.number, Ordering::SeqCst);
        futex::wake_all(&self.done);
    }
}

/// What of a slot its job's worker does not see.
#[repr(C, align(64))]
struct Control {
    entry: Entry,
    orders: Orders,
}

// SAFETY: both parts are made of atomic integers.
unsafe impl Atomics for Control {}

/// A nest, mapped.
pub struct Nest {
    mapping: Mapping,
    shape: Shape,
}

impl Nest {
    /// Maps a nest of this shape that begins at `offset` of a file.
    pub fn map(file: impl AsFd, offset: usize, shape: Shape) -> io::Result<Nest> {
        Ok(Nest { mapping: Mapping::new(file, offset, shape.len(), true)?, shape })
    }

    /// Maps the mailbox of one slot and nothing else, for the worker of that, until the process ends.
    pub(super) fn map_mailbox(
        file: impl AsFd,
        offset: usize,
        shape: Shape,
        index: usize,
    ) -> io::Result<Mailbox<'static>> {
        let mapping = Mapping::new(file, offset + shape.mailbox_at(index), shape.mailbox, true)?;
        Ok(Mailbox::new(mapping.leak()))
    }

    /// How many slots there are.
    pub fn places(&self) -> usize {
        self.shape.places
    }

    /// Its shape.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Makes sure that the words of all slots exist, and the first pages of their mailboxes. Who has done this before can do
    /// it again on a full file system.
    pub fn reserve(&self) -> Result<(), RegionError> {
        self.mapping.bytes().reserve(0..self.shape.controls())?;
        (0..self.places()).try_for_each(|index| {
            let start = self.shape.mailbox_at(index);
            self.mapping.bytes().reserve(start..start + LEAST)
        })
    }

    fn control(&self, index: usize) -> &Control {
        assert!(index < self.places(), "slot {index} is in the nest");
        self.mapping.bytes().words(index * size_of::<Control>())
    }

    /// One slot. [`Nest::reserve`] comes first.
    pub fn slot(&self, index: usize) -> Slot<'_> {
        let start = self.shape.mailbox_at(index);
        let mailbox = Mailbox::new(self.mapping.bytes().part(start..start + self.shape.mailbox));
        Slot { index: index as u32, entry: &self.control(index).entry, mailbox }
    }

    /// Zygote: makes a slot's mailbox zero, which nobody uses now. The next job there finds nothing of this one.
    pub fn wipe(&self, index: usize) {
        let start = self.shape.mailbox_at(index);
        self.mapping.bytes().part(start..start + LEAST).put(0, &[0; LEAST]);
        self.mapping.release(start + LEAST..start + self.shape.mailbox);
    }

    /// What the worker wants of one slot's job. [`Nest::reserve`] comes first.
    pub fn orders(&self, index: usize) -> &Orders {
        &self.control(index).orders
    }

    /// Keeps it from the children that this process forks from now on.
    pub fn keep_from_children(&self) -> io::Result<()> {
        self.mapping.keep_from_children()
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

    use super::super::layout::State;
    use super::*;

    #[test]
    fn a_nest_is_as_large_as_its_owners_result_and_each_place_has_a_mailbox_at_least() {
        let shape = Shape::new(4, 64 << 20).unwrap();
        assert_eq!((shape.places, shape.mailbox), (4, 16 << 20));
        assert_eq!(shape.len(), shape.controls() + (64 << 20));
        let small = Shape::new(3, 10).unwrap();
        assert_eq!(small.mailbox, LEAST);
        assert_eq!(shape.longest_of(Some(4 << 20)), (1 << 20) - Mailbox::PAYLOAD_AT as u64);
        assert_eq!(
            (shape.longest_of(None), shape.longest_of(Some(u64::MAX))),
            (shape.longest(), shape.longest())
        );
        assert_eq!(Shape::new(0, 64 << 20), None);
        assert_eq!(Shape::new(u32::MAX, u64::MAX).unwrap().places, MOST_JOBS as usize);
    }

    #[test]
    fn both_sides_see_the_same_slots_and_an_order_is_taken_once() {
        let shape = Shape::new(3, 1 << 20).unwrap();
        let file = memfd_create("nest", MemfdFlags::CLOEXEC).unwrap();
        ftruncate(&file, (PAGE + shape.len()) as u64).unwrap();
        let (worker, zygote) =
            (Nest::map(&file, PAGE, shape).unwrap(), Nest::map(&file, PAGE, shape).unwrap());
        worker.reserve().unwrap();
        for index in 0..3 {
            let slot = worker.slot(index);
            slot.entry.swap(State::Pending);
            slot.mailbox.write(&&b"value"[..]);
            slot.mailbox.publish_job(index as u32 + 7, 5);
            assert_eq!(zygote.slot(index).entry.state(), State::Pending);
            let own = Nest::map_mailbox(&file, PAGE, shape, index).unwrap();
            assert_eq!((own.generation(), own.length()), (index as u32 + 7, 5));
            assert_eq!(own.capacity() as u64, shape.longest());
            assert_eq!(own.payload().first(5).copy(), b"value");
        }
        let (orders, seen) = (worker.orders(1), zygote.orders(1));
        assert_eq!(seen.wish(), None);
        let number = orders.give(libc::SIGTERM, 9, 2);
        let wish = seen.wish().unwrap();
        assert_eq!(wish, Wish { number, signal: libc::SIGTERM, kill_at: 9, cause: 2 });
        assert_ne!(orders.done().load(Ordering::SeqCst), number);
        seen.acknowledge(wish);
        assert_eq!((seen.wish(), orders.done().load(Ordering::SeqCst)), (None, number));
        let (start, end) = (worker.slot(1).mailbox.payload(), worker.slot(2).mailbox.payload());
        end.put(9000, b"value");
        start.put(shape.longest() as usize - 5, b"value");
        zygote.wipe(1);
        assert!(start.copy().iter().all(|byte| *byte == 0));
        assert_eq!(end.part(9000..9005).copy(), b"value");
    }
}
