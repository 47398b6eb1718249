//! Bytes on their way into shared memory.

/// Bytes that stand in several pieces, to be copied once.
pub trait Payload {
    /// Hands over each piece, in their order.
    fn each<'a>(&'a self, take: &mut dyn FnMut(&'a [u8]));

    /// The number of all their bytes.
    fn len(&self) -> usize {
        let mut len = 0;
        self.each(&mut |piece| len += piece.len());
        len
    }

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The pieces.
    fn parts(&self) -> Vec<&[u8]> {
        let mut parts = Vec::new();
        self.each(&mut |piece| parts.push(piece));
        parts
    }

    /// All their bytes.
    fn to_vec(&self) -> Vec<u8> {
        self.parts().concat()
    }

    /// Writes them into a slice of exactly that length.
    fn write_to(&self, to: &mut [u8]) {
        assert_eq!(to.len(), self.len(), "a payload is written into a place of its size");
        // SAFETY: the slice is as long as all pieces together.
        unsafe { self.write_at(to.as_mut_ptr()) }
    }

    /// Writes them where others may be reading or writing, so that there can be no slice.
    ///
    /// # Safety
    /// `to` is valid for writing `len()` bytes, to which nobody here has a reference.
    unsafe fn write_at(&self, to: *mut u8) {
        let mut at = to;
        self.each(&mut |piece| {
            // SAFETY: as demanded; the pieces are `len()` bytes together.
            unsafe {
                at.copy_from_nonoverlapping(piece.as_ptr(), piece.len());
                at = at.add(piece.len());
            }
        });
    }
}

impl Payload for &[u8] {
    fn each<'a>(&'a self, take: &mut dyn FnMut(&'a [u8])) {
        take(self);
    }
}

impl Payload for Vec<u8> {
    fn each<'a>(&'a self, take: &mut dyn FnMut(&'a [u8])) {
        take(self);
    }
}

/// Payloads one after the other.
pub struct Joined<'a, const N: usize>(pub [&'a dyn Payload; N]);

impl<const N: usize> Payload for Joined<'_, N> {
    fn each<'a>(&'a self, take: &mut dyn FnMut(&'a [u8])) {
        self.0.iter().for_each(|payload| payload.each(take));
    }

    fn len(&self) -> usize {
        self.0.iter().map(|payload| payload.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_payloads_are_their_bytes_one_after_the_other() {
        let (first, second): (&[u8], &[u8]) = (b"first", b"second");
        let inner = Joined([&first, &second]);
        let outer = Joined([&second, &inner, &(&b""[..])]);
        assert_eq!(outer.len(), 17);
        assert_eq!(outer.to_vec(), b"secondfirstsecond");
        let mut bytes = [0; 17];
        outer.write_to(&mut bytes);
        assert_eq!(&bytes, b"secondfirstsecond");
        assert!(Joined([]).is_empty());
    }

    #[test]
    #[should_panic(expected = "a place of its size")]
    fn a_payload_is_not_written_into_a_place_of_another_size() {
        (&b"four"[..]).write_to(&mut [0; 5]);
    }
}
