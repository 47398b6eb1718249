//! A channel's content: a ring of bytes in one half of its segment, and the record that says where in it.
//!
//! # Record
//!
//! | number | meaning |
//! |---|---|
//! | 0 | pair and half, as in [`super::place`] |
//! | 1 | head: offset of the oldest item, counted from the channel's first byte ever |
//! | 2 | tail: where the next item goes |
//! | 3 | how many items stand between them |
//! | 4 | the most items at once; 0 is any number |
//! | 5 | 1 once the channel is closed |
//!
//! There are two records. A change is written into the one that is not selected, and one store selects it.
//!
//! # Items
//!
//! A word (length, its lowest bit says whether handles follow, see [`super::parcel`]), then the bytes, padded to
//! eight. Both may wrap around the end of the ring, whose size is that of the half.

use std::ops::Range;
use std::sync::atomic::Ordering;

use super::object::{Header, LARGEST, half_size};

/// See the module's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) pair: u32,
    pub(super) half: usize,
    pub(super) head: u64,
    pub(super) tail: u64,
    pub(super) count: u64,
    pub(super) capacity: u64,
    pub(super) closed: bool,
}

/// An item in the ring.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    /// Where its bytes begin.
    pub(super) at: u64,
    /// Their number.
    pub(super) len: usize,
    /// Whether they end with handles.
    pub(super) carries: bool,
    /// Where the next item begins.
    pub(super) next: u64,
}

/// Bytes of an item's head.
pub(super) const HEAD: usize = 8;

/// Bytes that an item of `len` bytes takes up.
pub(super) fn item_size(len: usize) -> usize {
    HEAD + len.next_multiple_of(8)
}

impl Record {
    /// The record in force; `None` where its numbers make no sense.
    pub(super) fn selected(header: &Header) -> Option<Record> {
        let place = header.selected.load(Ordering::SeqCst) as usize & 1;
        let [spot, head, tail, count, capacity, closed] =
            header.records[place].each_ref().map(|number| number.load(Ordering::SeqCst));
        let (pair, half) = ((spot & 31) as u32, (spot >> 5 & 1) as usize);
        let record = Record { pair, half, head, tail, count, capacity, closed: closed != 0 };
        let makes_sense = pair <= LARGEST
            && head <= tail
            && tail <= u64::MAX / 2
            && tail - head <= half_size(pair) as u64
            && head.is_multiple_of(8)
            && tail.is_multiple_of(8)
            && count <= (tail - head) / HEAD as u64
            && (count == 0) == (head == tail);
        makes_sense.then_some(record)
    }

    /// Puts this record in force. Each store is one that a death may follow: `step` is called after each.
    pub(super) fn select(&self, header: &Header, mut step: impl FnMut()) {
        let place = header.selected.load(Ordering::SeqCst) as usize & 1 ^ 1;
        let numbers = [
            u64::from(self.pair) | (self.half as u64) << 5,
            self.head,
            self.tail,
            self.count,
            self.capacity,
            u64::from(self.closed),
        ];
        for (number, value) in header.records[place].iter().zip(numbers) {
            number.store(value, Ordering::SeqCst);
            step();
        }
        header.selected.store(place as u32, Ordering::SeqCst);
        step();
    }

    /// Bytes of the ring.
    pub(super) fn size(&self) -> usize {
        half_size(self.pair) / 8 * 8
    }

    /// Where `len` bytes from the offset `at` on stand in the half: up to the ring's end, and from its start.
    pub(super) fn pieces(&self, at: u64, len: usize) -> (Range<usize>, Range<usize>) {
        let start = (at % self.size() as u64) as usize;
        let first = len.min(self.size() - start);
        (start..start + first, 0..len - first)
    }

    /// The item at `at`, by its head; `None` where that makes no sense.
    pub(super) fn item(&self, at: u64, head: [u8; HEAD]) -> Option<Item> {
        let word = u64::from_ne_bytes(head);
        let len = usize::try_from(word >> 1).ok()?;
        let room = usize::try_from(self.tail.checked_sub(at)?).ok()?;
        if len > room || item_size(len) > room {
            return None;
        }
        let (start, next) = (at + HEAD as u64, at + item_size(len) as u64);
        Some(Item { at: start, len, carries: word & 1 != 0, next })
    }

    /// All items, as far as they make sense.
    pub(super) fn items(&self, read: &mut impl FnMut(u64, &mut [u8]) -> bool) -> Vec<Item> {
        let (mut items, mut at) = (Vec::new(), self.head);
        while at < self.tail && (items.len() as u64) < self.count {
            let mut head = [0; HEAD];
            if !read(at, &mut head) {
                break;
            }
            let Some(item) = self.item(at, head) else { break };
            items.push(item);
            at = item.next;
        }
        items
    }
}
