//! The lock word.
//!
//! # Bits
//!
//! | bits | name | meaning | set by | cleared by |
//! |---|---|---|---|---|
//! | 0 | `WAITERS` | somebody may sleep on the word, or be about to | a process that cannot have the lock, before it sleeps; whoever takes the lock after a sleep, or from a dead owner | the owner, when it unlocks and there is no `QUEUE` |
//! | 1 | `QUEUE` | somebody has waited so long that only processes that slept may take the lock | such a waiter, before it sleeps again | whoever takes the lock; a waiter of that kind that gives up; any process that gives up while the lock is free |
//! | 2–15 | index | place of the owner in the table of owners | whoever takes the lock | the owner, when it unlocks |
//! | 16 | `HELD` | somebody has the lock | whoever takes the lock | the owner, when it unlocks |
//! | 17–31 | | zero | | |
//! | 32–63 | generation | which process of that place; never zero | with the index; an owner whose job is over puts that of its dead predecessor there | with the index |
//!
//! A word without generation is free. A lock whose owner is dead is taken by a compare-and-swap of the whole
//! word, so each such lock has one heir.
//!
//! The lower half is the futex. `HELD` is there for it alone: without it a free lock with `QUEUE` would look like
//! one that place 0 holds, and a waiter could fall asleep on it after the wake-up was sent. Two owners that
//! differ in their generations alone have the same lower half: a waiter that falls asleep on the wrong one of
//! them is woken all the same, as `WAITERS` is set.

/// See the module's header.
pub(super) const WAITERS: u64 = 1;
/// See the module's header.
pub(super) const QUEUE: u64 = 2;
const FLAGS: u64 = WAITERS | QUEUE;
/// See the module's header.
const HELD: u64 = 1 << 16;

/// Bits of an index.
const INDEX_BITS: u32 = 14;
const INDEX_AT: u32 = 2;

/// How many owners there can be at once.
pub(crate) const OWNERS: usize = 1 << INDEX_BITS;

/// A process that can hold locks: its place in the table of owners, and which of that place's processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// Place in the table.
    pub index: u16,
    /// Number of the process among those of this place, never zero.
    pub generation: u32,
}

impl Owner {
    pub(super) fn bits(self) -> u64 {
        debug_assert!(usize::from(self.index) < OWNERS && self.generation != 0);
        u64::from(self.generation) << 32 | HELD | u64::from(self.index) << INDEX_AT
    }

    /// The process that had this place before, which is dead. The generations of those that live are odd.
    pub(super) fn predecessor(self) -> Owner {
        Owner { generation: self.generation.wrapping_sub(2) | 1, ..self }
    }
}

/// Who holds the lock, as far as the word says.
pub(crate) fn owner(word: u64) -> Option<Owner> {
    let generation = (word >> 32) as u32;
    let index = (word >> INDEX_AT) as u16 & (OWNERS as u16 - 1);
    (generation != 0).then_some(Owner { index, generation })
}

/// The flags of a word.
pub(super) fn flags(word: u64) -> u64 {
    word & FLAGS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_survives_the_word_with_any_flags() {
        for index in [0, 1, 77, OWNERS as u16 - 1] {
            for generation in [1, 2, u32::MAX] {
                let owner_in = Owner { index, generation };
                for bits in [0, WAITERS, QUEUE, FLAGS] {
                    let word = owner_in.bits() | bits;
                    assert_eq!(owner(word), Some(owner_in));
                    assert_eq!(flags(word), bits);
                }
            }
        }
        assert_eq!(owner(FLAGS), None);
        assert_eq!(owner(0), None);
    }

    #[test]
    fn the_half_of_a_held_lock_that_the_kernel_sees_is_never_that_of_a_free_one() {
        let held = Owner { index: 0, generation: 1 }.bits();
        for (marks, others) in
            [0, WAITERS, QUEUE, FLAGS].into_iter().flat_map(|a| [0, WAITERS, QUEUE, FLAGS].map(|b| (a, b)))
        {
            assert_ne!((held | marks) as u32, others as u32);
        }
    }
}
