//! From the addresses of objects to where they were written.
//!
//! A general hash map scatters its keys, so that every table of a large message costs a cache miss. Objects
//! made one after the other mostly lie one after the other in memory and are met in that order: here
//! neighbours in memory are neighbours in the map.

/// An open addressing map with linear probing. Address 0 marks a free entry.
#[derive(Default)]
pub(super) struct Seen {
    /// Address and offset; the number is a power of two, or none at first.
    entries: Vec<(usize, usize)>,
    used: usize,
}

/// Entries of the first allocation.
const FIRST: usize = 64;

impl Seen {
    /// The entry of an address, or the free one where it belongs. There is always a free one.
    #[inline]
    fn find(&self, address: usize) -> usize {
        let mask = self.entries.len() - 1;
        // Blocks of 16 bytes in order; regions of a megabyte are spread, as they often start alike.
        let mut at =
            (address >> 4).wrapping_add((address >> 20).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20) & mask;
        while self.entries[at].0 != address && self.entries[at].0 != 0 {
            at = (at + 1) & mask;
        }
        at
    }

    #[inline]
    pub(super) fn get(&self, address: usize) -> Option<usize> {
        if self.used == 0 {
            return None;
        }
        let (found, offset) = self.entries[self.find(address)];
        (found == address).then_some(offset)
    }

    /// The offset of the address; enters it with `offset` if there is none.
    #[inline]
    pub(super) fn get_or_insert(&mut self, address: usize, offset: usize) -> Option<usize> {
        if self.used * 2 >= self.entries.len() {
            self.grow();
        }
        let at = self.find(address);
        let (found, known) = self.entries[at];
        if found == address {
            return Some(known);
        }
        self.entries[at] = (address, offset);
        self.used += 1;
        None
    }

    /// Enters an address, or gives it another offset.
    pub(super) fn insert(&mut self, address: usize, offset: usize) {
        if self.get_or_insert(address, offset).is_some() {
            let at = self.find(address);
            self.entries[at].1 = offset;
        }
    }

    #[cold]
    fn grow(&mut self) {
        let capacity = (self.entries.len() * 4).max(FIRST);
        self.rebuild(capacity, usize::MAX);
    }

    /// Forgets the addresses with offsets from `start` on.
    pub(super) fn forget_from(&mut self, start: usize) {
        if self.used > 0 {
            self.rebuild(self.entries.len(), start);
        }
    }

    fn rebuild(&mut self, capacity: usize, before: usize) {
        let old = std::mem::replace(&mut self.entries, vec![(0, 0); capacity]);
        self.used = 0;
        for (address, offset) in old {
            if address != 0 && offset < before {
                let at = self.find(address);
                self.entries[at] = (address, offset);
                self.used += 1;
            }
        }
    }

    pub(super) fn capacity(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn clear(&mut self) {
        if self.used > 0 {
            self.entries.fill((0, 0));
            self.used = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Seen;

    #[test]
    fn addresses_are_found_and_forgotten() {
        let mut seen = Seen::default();
        assert_eq!(seen.get(16), None);
        for i in 1..5000usize {
            assert_eq!(seen.get_or_insert(i * 48 + ((i % 7) << 40), i), None);
        }
        for i in 1..5000usize {
            assert_eq!(seen.get(i * 48 + ((i % 7) << 40)), Some(i));
        }
        seen.forget_from(1000);
        assert_eq!(seen.get(999 * 48 + ((999 % 7) << 40)), Some(999));
        assert_eq!(seen.get(1000 * 48 + ((1000 % 7) << 40)), None);
        seen.clear();
        assert_eq!(seen.get(48 + (1 << 40)), None);
    }
}
