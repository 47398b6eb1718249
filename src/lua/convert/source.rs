//! Reading a message from memory that somebody else may be writing to.

use std::ptr;

use super::error::DecodeError;

/// The memory of a message.
///
/// There is never a `&[u8]` over it: a hostile or broken peer may change it at any time, and a reference
/// would promise the compiler otherwise. Every scalar is copied out once and checked afterwards; what is
/// read twice is treated as two unrelated values.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    start: *const u8,
    len: usize,
}

impl Source {
    /// # Safety
    /// `start..start+len` must stay mapped and readable as long as the source is used. Its content may change.
    pub unsafe fn new(start: *const u8, len: usize) -> Self {
        Self { start, len }
    }

    /// Length in bytes.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.len
    }
}

/// What a checked read returns.
pub(super) type Read<T> = Result<T, DecodeError>;

#[cold]
fn truncated(at: usize) -> DecodeError {
    DecodeError::Corrupt { at, what: "it ends here" }
}

/// A position in a [`Source`], never past `end`.
#[derive(Clone, Copy)]
pub(super) struct Cursor {
    start: *const u8,
    pub(super) at: usize,
    pub(super) end: usize,
}

impl Cursor {
    pub(super) fn new(source: Source) -> Self {
        Self { start: source.start, at: 0, end: source.len }
    }

    pub(super) fn left(&self) -> usize {
        self.end - self.at
    }

    #[inline]
    pub(super) fn byte(&mut self) -> Read<u8> {
        if self.at >= self.end {
            return Err(truncated(self.at));
        }
        // SAFETY: `at` is less than the source's length. Volatile: read once, whatever the memory does.
        let byte = unsafe { ptr::read_volatile(self.start.add(self.at)) };
        self.at += 1;
        Ok(byte)
    }

    /// Eight bytes, little endian.
    #[inline]
    pub(super) fn word(&mut self) -> Read<u64> {
        let place = self.bytes(8)?;
        // SAFETY: `bytes` checked that eight bytes are there; an array of bytes has no alignment.
        Ok(u64::from_le_bytes(unsafe { ptr::read_volatile(place.cast::<[u8; 8]>()) }))
    }

    #[inline]
    pub(super) fn varint(&mut self) -> Read<u64> {
        let first = self.byte()?;
        if first < 0x80 {
            return Ok(u64::from(first));
        }
        let mut value = u64::from(first & 0x7f);
        let mut shift = 7;
        loop {
            let byte = self.byte()?;
            // The tenth byte holds the last bit of 64.
            if shift > 63 || (shift == 63 && byte > 1) {
                return Err(DecodeError::Corrupt { at: self.at, what: "a number is too large" });
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
            shift += 7;
        }
    }

    /// A length that as many bytes must follow.
    #[inline]
    pub(super) fn length(&mut self) -> Read<usize> {
        let length = self.varint()?;
        if length > self.left() as u64 {
            return Err(truncated(self.end));
        }
        Ok(length as usize)
    }

    /// Skips `len` bytes and returns where they are.
    #[inline]
    pub(super) fn bytes(&mut self, len: usize) -> Read<*const u8> {
        if len > self.left() {
            return Err(truncated(self.end));
        }
        // SAFETY: `at + len` is within the source, as just checked.
        let place = unsafe { self.start.add(self.at) };
        self.at += len;
        Ok(place)
    }

    /// Copies `len` bytes into private memory. The vector is the caller's, so that it is reused.
    pub(super) fn copy_to(&mut self, len: usize, target: &mut Vec<u8>) -> Read<()> {
        let place = self.bytes(len)?;
        target.clear();
        target.try_reserve(len).map_err(|_| DecodeError::Memory)?;
        // SAFETY: `len` bytes can be read at `place` and were reserved in `target`, which is not shared.
        unsafe {
            ptr::copy_nonoverlapping(place, target.as_mut_ptr(), len);
            target.set_len(len);
        }
        Ok(())
    }
}
