//! Bytes with handles: an encoded value, and the objects whose handles occur in it.
//!
//! The ids of the objects follow the bytes, then their number (32 bits, little endian). They are there for
//! those who take over or throw away a parcel without decoding it; one without handles has no such end, and
//! whoever stores a parcel keeps a mark that says which it is.

use crate::shm::{Payload, SharedBytes};

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

    /// Hands its bytes to `write`: the content, and its end with the place where that belongs.
    pub(super) fn write(&self, mut write: impl FnMut(usize, &dyn Payload)) {
        write(0, self.content);
        if self.carries() {
            write(self.content.len(), &&tail(self.ids)[..]);
        }
    }
}

/// Splits a parcel of `len` bytes that ends with handles: the length of its value, and the ids. `read` copies
/// bytes from an offset on. `None`: it makes no sense.
pub(super) fn split(len: usize, mut read: impl FnMut(usize, &mut [u8]) -> bool) -> Option<(usize, Vec<u64>)> {
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

/// The value and the ids of a parcel in memory that others may be writing to. One that does not carry handles, or
/// makes no sense, is all value.
pub fn open_parcel(parcel: SharedBytes<'_>, carries: bool) -> (SharedBytes<'_>, Vec<u64>) {
    let parts = if carries { split_bytes(parcel) } else { None };
    parts.unwrap_or((parcel, Vec::new()))
}

/// The same for one that carries handles; `None`: it makes no sense.
pub(super) fn split_bytes(parcel: SharedBytes<'_>) -> Option<(SharedBytes<'_>, Vec<u64>)> {
    let (len, ids) = split(parcel.len(), |at, to| parcel.read(at, to))?;
    Some((parcel.first(len), ids))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shm::SharedBytesMut;

    #[test]
    fn a_parcel_comes_apart_as_it_was_put_together_and_garbage_does_not() {
        let parcel = Parcel { content: &&b"value"[..], ids: &[7, u64::MAX, 0] };
        let mut bytes = vec![0; parcel.len()];
        parcel.write(|at, part| SharedBytesMut::from(&mut bytes[..]).write(at, part));
        let (value, ids) = split_bytes(bytes[..].into()).unwrap();
        assert_eq!((value.copy(), ids), (b"value".to_vec(), vec![7, u64::MAX, 0]));
        assert_eq!(open_parcel(bytes[..].into(), false).0.len(), bytes.len());
        for garbage in [&bytes[..3], &[255; 16], &[0, 0, 0, 0, 1, 0, 0, 0]] {
            assert!(split_bytes(garbage.into()).is_none());
            assert_eq!(open_parcel(garbage.into(), true).0.copy(), garbage);
        }
    }
}
