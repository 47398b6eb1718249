//! A set of slots that several processes take from and give to without a lock.

use std::sync::atomic::{AtomicU64, Ordering};

use super::layout::SLOTS;

const WORDS: usize = SLOTS / 64;

/// One bit a slot. Whoever clears a bit owns what the bit stood for.
#[repr(C)]
pub struct Bitmap {
    words: [AtomicU64; WORDS],
}

impl Bitmap {
    /// Adds a slot.
    pub fn give(&self, slot: u32) {
        self.words[slot as usize / 64].fetch_or(1 << (slot % 64), Ordering::SeqCst);
    }

    /// Takes one slot out, if it is there. Of two takers one gets it.
    pub fn take(&self, slot: u32) -> bool {
        let bit = 1 << (slot % 64);
        self.words[slot as usize / 64].fetch_and(!bit, Ordering::SeqCst) & bit != 0
    }

    /// Takes the lowest slot that `wanted` agrees to. Low slots first keeps their pages warm.
    pub fn take_first(&self, mut wanted: impl FnMut(u32) -> bool) -> Option<u32> {
        for (index, word) in self.words.iter().enumerate() {
            let mut bits = word.load(Ordering::SeqCst);
            while bits != 0 {
                let slot = index as u32 * 64 + bits.trailing_zeros();
                if wanted(slot) && self.take(slot) {
                    return Some(slot);
                }
                bits &= bits - 1;
            }
        }
        None
    }

    /// Takes every slot out, in order.
    pub fn take_all(&self, mut each: impl FnMut(u32)) {
        for (index, word) in self.words.iter().enumerate() {
            if word.load(Ordering::SeqCst) == 0 {
                continue;
            }
            let mut bits = word.swap(0, Ordering::SeqCst);
            while bits != 0 {
                each(index as u32 * 64 + bits.trailing_zeros());
                bits &= bits - 1;
            }
        }
    }

    /// Whether a slot is in the set.
    pub fn has(&self, slot: u32) -> bool {
        self.words[slot as usize / 64].load(Ordering::SeqCst) & 1 << (slot % 64) != 0
    }

    /// How many slots are in the set.
    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.load(Ordering::SeqCst).count_ones() as usize).sum()
    }

    /// Whether no slot is in the set.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| word.load(Ordering::SeqCst) == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> Bitmap {
        Bitmap { words: [const { AtomicU64::new(0) }; WORDS] }
    }

    #[test]
    fn a_given_slot_is_taken_once_and_the_lowest_comes_first() {
        let set = empty();
        for slot in [700, 3, 64, 63] {
            set.give(slot);
        }
        assert_eq!(set.count(), 4);
        assert_eq!(set.take_first(|_| true), Some(3));
        assert_eq!(set.take_first(|slot| slot > 63), Some(64));
        assert!(set.take(63) && !set.take(63));
        let mut rest = Vec::new();
        set.take_all(|slot| rest.push(slot));
        assert_eq!(rest, [700]);
        assert!(set.is_empty());
    }

    #[test]
    fn of_many_takers_each_slot_goes_to_exactly_one() {
        let set = empty();
        (0..SLOTS as u32).for_each(|slot| set.give(slot));
        let taken: usize = std::thread::scope(|scope| {
            let takers: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| std::iter::from_fn(|| set.take_first(|_| true)).count()))
                .collect();
            takers.into_iter().map(|taker| taker.join().unwrap()).sum()
        });
        assert_eq!(taken, SLOTS);
    }
}
