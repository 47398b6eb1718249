//! Bytes with handles: an encoded value, and the objects whose handles occur in it.
//!
//! The ids of the objects follow the bytes, then their number (32 bits, little endian). They are there for
//! those who take over or throw away a parcel without decoding it; one without handles has no such end, and
//! whoever stores a parcel keeps a mark that says which it is.

use crate::shm::{Payload, PoolSlot, Region};

/// An encoded value and the ids of the objects in it.
#[derive(Clone, Copy)]
pub struct Parcel<'a> {
    /// The value.
    pub content: &'a dyn Payload,
    /// The objects.
    pub ids: &'a [u64],
}

/// Bytes of the number at the end.
const COUNT: usize = 4;
/// The most handles in a parcel.
pub const MOST_HANDLES: usize = 1 << 16;

/// The end of a parcel with these handles.
pub fn tail(ids: &[u64]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(ids.len() * 8 + COUNT);
    ids.iter().for_each(|id| bytes.extend_from_slice(&id.to_le_bytes()));
    bytes.extend_from_slice(&(ids.len() as u32).to_le_bytes());
    bytes
}

impl Parcel<'_> {
    /// Whether handles follow the value.
    pub fn carries(&self) -> bool {
        !self.ids.is_empty()
    }

    /// Its bytes' number.
    pub fn len(&self) -> usize {
        self.content.len() + if self.carries() { self.ids.len() * 8 + COUNT } else { 0 }
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// # Safety
    /// As [`Payload::write_at`], for `len()` bytes.
    pub unsafe fn write(&self, to: *mut u8) {
        // SAFETY: as demanded; the end follows the content.
        unsafe {
            self.content.write_at(to);
            if self.carries() {
                tail(self.ids).as_slice().write_at(to.add(self.content.len()));
            }
        }
    }
}

/// Splits a parcel of `len` bytes that ends with handles: the length of its value, and the ids. `read` copies
/// bytes from an offset on. `None`: it makes no sense.
pub fn split(len: usize, mut read: impl FnMut(usize, &mut [u8]) -> bool) -> Option<(usize, Vec<u64>)> {
    let mut count = [0; COUNT];
    let end = len.checked_sub(COUNT)?;
    let count = read(end, &mut count).then(|| u32::from_le_bytes(count) as usize)?;
    if count > MOST_HANDLES {
        return None;
    }
    let start = end.checked_sub(count * 8)?;
    let mut bytes = vec![0; count * 8];
    if !read(start, &mut bytes) {
        return None;
    }
    let ids = bytes.as_chunks::<8>().0.iter().map(|id| u64::from_le_bytes(*id)).collect();
    Some((start, ids))
}

/// The same for a parcel in memory that others may be writing to.
///
/// # Safety
/// `len` bytes from `start` on are mapped and exist.
pub unsafe fn split_in_memory(start: *const u8, len: usize) -> Option<(usize, Vec<u64>)> {
    split(len, |at, to| {
        let inside = at.checked_add(to.len()).is_some_and(|end| end <= len);
        if inside {
            // SAFETY: the range lies in the `len` bytes; `to` is private.
            unsafe { start.add(at).copy_to_nonoverlapping(to.as_mut_ptr(), to.len()) };
        }
        inside
    })
}

/// The ids at the end of a parcel of `len` bytes that fills a pool's slot; none where they make no sense.
pub fn ids_in_slot(slot: PoolSlot<'_>, len: usize) -> Vec<u64> {
    let len = len.min(slot.capacity());
    // SAFETY: so many bytes of the slot are mapped, and exist.
    unsafe { split_in_memory(slot.payload(), len) }.map(|(_, ids)| ids).unwrap_or_default()
}

/// The same for one that fills a region.
pub fn ids_in_region(region: &Region) -> Vec<u64> {
    // SAFETY: the region is mapped whole; its writer wrote all of it.
    unsafe { split_in_memory(region.as_ptr(), region.len()) }.map(|(_, ids)| ids).unwrap_or_default()
}

/// The same for private bytes.
pub fn ids_in_bytes(bytes: &[u8]) -> Vec<u64> {
    let from = |at: usize, to: &mut [u8]| {
        bytes.get(at..at + to.len()).map(|from| to.copy_from_slice(from)).is_some()
    };
    split(bytes.len(), from).map(|(_, ids)| ids).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_from(bytes: &[u8]) -> impl FnMut(usize, &mut [u8]) -> bool {
        |at, to| bytes.get(at..at + to.len()).map(|from| to.copy_from_slice(from)).is_some()
    }

    #[test]
    fn a_parcel_comes_apart_as_it_was_put_together_and_garbage_does_not() {
        let parcel = Parcel { content: &&b"value"[..], ids: &[7, u64::MAX, 0] };
        let mut bytes = vec![0; parcel.len()];
        // SAFETY: the vector is that long.
        unsafe { parcel.write(bytes.as_mut_ptr()) };
        assert_eq!(split(bytes.len(), read_from(&bytes)), Some((5, vec![7, u64::MAX, 0])));
        assert_eq!(split(3, read_from(&bytes)), None);
        assert_eq!(split(16, read_from(&[255; 16])), None);
        assert_eq!(split(8, read_from(&[0, 0, 0, 0, 1, 0, 0, 0])), None);
    }
}
