//! A channel: a queue of parcels in a ring, see `ring.rs` for what stands where.
//!
//! Whoever holds the object's lock may push or pop. Bytes are written where no record points, then another
//! record is selected by one store; so a death loses at most the item of the one that died.
//!
//! Waiters sleep on a word that counts pushes, or one that counts pops, and count themselves beforehand, under
//! the lock. A killed waiter counts on, which costs others a needless wake-up call and nothing else; one that
//! was woken and killed leaves its turn to whoever looks next, which is why sleeps are short.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::buffer::WriteError;
use super::object::{Guard, Header, Object, ObjectError, attach, half_size, release_held, retain};
use super::parcel::{Parcel, split_bytes};
use super::ring::{HEAD, Item, Record, item_size};
use super::unreadable::Unreadable::{self, Damaged};
use crate::shm::{Payload, SharedBytes, SharedBytesMut};
use crate::sync::spin;
use crate::sys::futex;

/// What came of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It is in.
    Yes,
    /// As many items stand there as may.
    Full,
    /// The channel is closed.
    Closed,
}

/// What came of a pop.
#[derive(Debug)]
pub enum Popped {
    /// An item.
    Item(Received),
    /// There is none.
    Empty,
    /// There is none, and there will be none.
    Closed,
}

/// An item that was taken out.
pub struct Received {
    /// The value.
    pub bytes: Vec<u8>,
    /// The objects whose handles are in it, held by this process since before the item was taken out.
    pub held: Vec<Arc<Object>>,
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

/// Why nothing was pushed.
#[derive(Debug)]
pub enum PushError {
    /// The ring cannot take it.
    Write(WriteError),
    /// There is no ring to be seen.
    Unreadable(Unreadable),
}

/// Why nothing was popped.
#[derive(Debug, thiserror::Error)]
pub enum PopError {
    /// There is no ring to be seen.
    #[error("{0}")]
    Unreadable(#[from] Unreadable),
    /// The item stays: a handle in it cannot be taken over now.
    #[error("the oldest item has a handle, and {0}")]
    Handle(ObjectError),
}

impl From<Unreadable> for PushError {
    fn from(reason: Unreadable) -> PushError {
        PushError::Unreadable(reason)
    }
}

/// From this pair on a ring that becomes empty gives its pages back.
const SMALL_RING: u32 = 5;
/// How long a waiter sleeps at most before it looks again by itself.
pub const SLICE: Duration = Duration::from_millis(20);

/// Makes the fresh object a channel of at most `capacity` items, 0 for any number.
pub fn found(object: &Object, capacity: u64) {
    let record = Record { pair: 0, half: 0, head: 0, tail: 0, count: 0, capacity, closed: false };
    record.select(object.header(), || ());
}

/// Puts a parcel in. `step` is called after each store that others can see.
pub fn push(
    guard: &Guard<'_>,
    parcel: Parcel<'_>,
    objects: &[&Object],
    mut step: impl FnMut(),
) -> Result<Pushed, PushError> {
    if !objects.iter().all(|inside| inside.tree_name() == guard.object().tree_name()) {
        return Err(PushError::Write(WriteError::Apart));
    }
    let header = guard.object().header();
    let mut record = Record::selected(header).ok_or(Damaged)?;
    guard.reach(record.pair)?;
    if record.closed {
        return Ok(Pushed::Closed);
    }
    if record.capacity != 0 && record.count >= record.capacity {
        return Ok(Pushed::Full);
    }
    let size = item_size(parcel.len());
    let used = (record.tail - record.head) as usize;
    let old = record;
    if used + size > record.size() {
        record = grow(guard, record, used + size)?;
        step();
    }
    let ring = Ring::new(guard, &record).ok_or(Damaged)?;
    ring.reserve(record.tail, size).map_err(PushError::Write)?;
    let word = (parcel.len() as u64) << 1 | u64::from(parcel.carries());
    ring.write(record.tail, &&word.to_ne_bytes()[..]);
    step();
    parcel.write(|at, part| ring.write(record.tail + (HEAD + at) as u64, part));
    // Not what stood there before.
    let end = HEAD + parcel.len();
    ring.write(record.tail + end as u64, &&[0; 8][..size - end]);
    step();
    objects.iter().for_each(|object| retain(object));
    record.tail += size as u64;
    record.count += 1;
    record.select(header, &mut step);
    if old.pair != record.pair && old.pair >= SMALL_RING {
        guard.release_pair(old.pair);
    }
    header.pushed.fetch_add(1, Ordering::SeqCst);
    Ok(Pushed::Yes)
}

/// Takes the oldest item out. `step` is called after each store that others can see.
pub fn pop(guard: &Guard<'_>, mut step: impl FnMut()) -> Result<Popped, PopError> {
    let header = guard.object().header();
    let mut record = Record::selected(header).ok_or(Damaged)?;
    if record.count == 0 {
        return Ok(if record.closed { Popped::Closed } else { Popped::Empty });
    }
    guard.reach(record.pair)?;
    let ring = Ring::new(guard, &record).ok_or(Damaged)?;
    let item = ring.item(record.head).ok_or(Damaged)?;
    let received = ring.receive(item)?;
    let old = record.pair;
    record.head = item.next;
    record.count -= 1;
    if record.count == 0 {
        record.tail = record.head;
        if old >= SMALL_RING {
            // The next item finds itself a ring that it fits into.
            (record.pair, record.half) = (0, 0);
        }
    }
    record.select(header, &mut step);
    // At once: who is killed before this leaves objects that nobody has, until the tree ends.
    received.held.iter().for_each(|object| release_held(object));
    if record.pair != old {
        guard.release_pair(old);
    }
    header.popped.fetch_add(1, Ordering::SeqCst);
    Ok(Popped::Item(received))
}

/// Lets nothing more in. `step` is called after each store that others can see.
pub fn close(guard: &Guard<'_>, step: impl FnMut()) -> Result<(), Unreadable> {
    let header = guard.object().header();
    let mut record = Record::selected(header).ok_or(Damaged)?;
    record.closed = true;
    record.select(header, step);
    for word in [&header.pushed, &header.popped] {
        word.fetch_add(1, Ordering::SeqCst);
        futex::wake_all(word);
    }
    Ok(())
}

/// How many items stand there.
pub fn len(guard: &Guard<'_>) -> Result<u64, Unreadable> {
    Record::selected(guard.object().header()).map(|record| record.count).ok_or(Damaged)
}

/// Moves what stands in the ring to one that has room for `wanted` bytes.
fn grow(guard: &Guard<'_>, record: Record, wanted: usize) -> Result<Record, PushError> {
    let limit = guard.object().capacity();
    let too_long = || PushError::Write(WriteError::TooLong { len: wanted, limit });
    // Twice what is wanted, where that can be had: the next items find room too.
    let pair =
        guard.pair_for(wanted.saturating_mul(2)).or_else(|| guard.pair_for(wanted)).ok_or_else(too_long)?;
    let used = (record.tail - record.head) as usize;
    // Offsets begin anew, so that the items stand in one piece.
    let mut larger = Record { pair, half: 0, head: 0, tail: 0, ..record };
    if used > 0 {
        let to = Ring::new(guard, &larger).ok_or(PushError::Write(WriteError::Unmapped { len: wanted }))?;
        to.reserve(0, used).map_err(PushError::Write)?;
        // Asked for after the larger one, since that may have moved the mapping.
        let from = Ring::new(guard, &record).ok_or(Damaged)?;
        from.readable().ok_or(Damaged)?;
        let (first, second) = from.pieces(record.head, used);
        to.bytes.part(0..first.len()).copy_from(first);
        to.bytes.part(first.len()..used).copy_from(second);
        larger.tail = used as u64;
    }
    Ok(larger)
}

/// A ring in memory; the guard is held.
struct Ring<'a> {
    guard: &'a Guard<'a>,
    record: &'a Record,
    bytes: SharedBytesMut<'a>,
}

impl<'a> Ring<'a> {
    fn new(guard: &'a Guard<'a>, record: &'a Record) -> Option<Ring<'a>> {
        // SAFETY: nothing else of the object is in use but, when it grows, a larger ring.
        let bytes = unsafe { guard.half(record.pair, record.half, half_size(record.pair)) }?;
        Some(Ring { guard, record, bytes })
    }

    /// Makes sure that `len` bytes from the offset `at` on can be written.
    fn reserve(&self, at: u64, len: usize) -> Result<(), WriteError> {
        let (first, second) = self.record.pieces(at, len);
        let part = if second.is_empty() { first } else { 0..self.record.size() };
        self.guard.make_writable(self.record.pair, self.record.half, part).map_err(WriteError::Memory)
    }

    /// Makes sure that what stands in the ring can be read.
    fn readable(&self) -> Option<()> {
        let (first, second) =
            self.record.pieces(self.record.head, (self.record.tail - self.record.head) as usize);
        let end = if second.is_empty() { first.end } else { self.record.size() };
        self.guard.make_readable(self.record.pair, self.record.half, end)
    }

    fn item(&self, at: u64) -> Option<Item> {
        self.readable()?;
        let mut head = [0; HEAD];
        let (first, second) = self.pieces(at, HEAD);
        let whole = first.read(0, &mut head[..first.len()]) && second.read(0, &mut head[first.len()..]);
        self.record.item(at, whole.then_some(head)?)
    }

    fn receive(&self, item: Item) -> Result<Received, PopError> {
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(item.len).map_err(|_| Damaged)?;
        let (first, second) = self.pieces(item.at, item.len);
        first.append_to(&mut bytes).and_then(|()| second.append_to(&mut bytes)).map_err(|_| Damaged)?;
        let mut ids = Vec::new();
        if item.carries {
            let (value, found) = split_bytes(bytes[..].into()).ok_or(Damaged)?;
            let len = value.len();
            bytes.truncate(len);
            // Of one that was distrusted see `contained`.
            if !self.guard.object().look_at_trust().map_err(PopError::Handle)? {
                ids = found;
            }
        }
        let mut held = Vec::with_capacity(ids.len());
        for id in &ids {
            match attach(*id) {
                Ok(object) => held.push(object),
                // Its memory was damaged, or the item's.
                Err(ObjectError::Gone) => {}
                Err(error) => return Err(PopError::Handle(error)),
            }
        }
        Ok(Received { bytes, held })
    }

    /// What stands there, see [`Ring::readable`].
    fn pieces(&self, at: u64, len: usize) -> (SharedBytes<'a>, SharedBytes<'a>) {
        let (first, second) = self.record.pieces(at, len);
        (*self.bytes.part(first), *self.bytes.part(second))
    }

    /// Writes where pages were reserved, and no record points.
    fn write(&self, mut at: u64, payload: &dyn Payload) {
        payload.each(&mut |piece| {
            let (first, second) = self.record.pieces(at, piece.len());
            let (head, tail) = piece.split_at(first.len());
            self.bytes.put(first.start, head);
            self.bytes.put(second.start, tail);
            at += piece.len() as u64;
        });
    }
}

/// Somebody who is about to wait for a change of a channel.
pub struct Waiting<'a> {
    counter: &'a AtomicU32,
    word: &'a AtomicU32,
    seen: u32,
}

impl<'a> Waiting<'a> {
    /// For a process that found the channel empty, with the guard held.
    pub fn for_push(header: &'a Header) -> Waiting<'a> {
        Self::new(&header.poppers, &header.pushed)
    }

    /// For a process that found it full.
    pub fn for_pop(header: &'a Header) -> Waiting<'a> {
        Self::new(&header.pushers, &header.popped)
    }

    fn new(counter: &'a AtomicU32, word: &'a AtomicU32) -> Waiting<'a> {
        Waiting { counter, word, seen: word.load(Ordering::SeqCst) }
    }

    /// Waits until the channel changed, some time at most; whether it did. The guard is not held any more.
    pub fn wait(&self, time: Duration) -> bool {
        if spin::until(|| self.has_changed()) {
            return true;
        }
        // Counted before the word is looked at once more, by the kernel: whoever changes it afterwards sees the count.
        self.counter.fetch_add(1, Ordering::SeqCst);
        futex::wait(self.word, self.seen, time.min(SLICE));
        // A process gone mad may have written a smaller number.
        let _ = self.counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| count.checked_sub(1));
        self.has_changed()
    }

    fn has_changed(&self) -> bool {
        self.word.load(Ordering::SeqCst) != self.seen
    }
}

/// After a push: wakes a process that waits for an item. The guard need not be held.
pub fn tell_popper(header: &Header) {
    tell(&header.poppers, &header.pushed);
}

/// After a pop: wakes a process that waits for room.
pub fn tell_pusher(header: &Header) {
    tell(&header.pushers, &header.popped);
}

fn tell(counter: &AtomicU32, word: &AtomicU32) {
    if counter.load(Ordering::SeqCst) != 0 {
        futex::wake(word, 1);
    }
}
