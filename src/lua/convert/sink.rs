//! Where a message is written: a growing stream, and long strings that stay where they are.

use super::format::*;

/// The stream of a message under construction.
#[derive(Default)]
pub(super) struct Sink {
    bytes: Vec<u8>,
    /// Long strings: they stay in Lua's memory (anchored by the encoder) until they are written out.
    blobs: Vec<(*const u8, usize)>,
    blob_len: usize,
}

/// A state of the sink to go back to.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    pub(super) bytes: usize,
    blobs: usize,
    blob_len: usize,
}

impl Sink {
    pub(super) fn start(&mut self) {
        self.bytes.clear();
        self.blobs.clear();
        self.blob_len = 0;
        self.bytes.extend_from_slice(&[0; HEAD]);
    }

    /// Writes the head; the message is complete.
    pub(super) fn finish(&mut self) {
        let head = (self.bytes.len() as u64) << 8 | u64::from(VERSION);
        self.bytes[..HEAD].copy_from_slice(&head.to_le_bytes());
    }

    /// Offset of the next byte.
    #[inline]
    pub(super) fn at(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn total(&self) -> usize {
        self.bytes.len() + self.blob_len
    }

    #[inline]
    pub(super) fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    #[inline]
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    #[inline]
    pub(super) fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    /// Length and bytes.
    #[inline]
    pub(super) fn counted(&mut self, bytes: &[u8]) {
        self.varint(bytes.len() as u64);
        self.raw(bytes);
    }

    #[inline]
    pub(super) fn boolean(&mut self, value: bool) {
        self.byte(if value { TRUE } else { FALSE });
    }

    #[inline]
    pub(super) fn integer(&mut self, value: i64) {
        if (INLINE_MIN..=INLINE_MAX).contains(&value) {
            self.byte((value - INLINE_MIN) as u8);
        } else {
            self.byte(INT);
            self.varint(zigzag(value));
        }
    }

    #[inline]
    pub(super) fn float(&mut self, value: f64) {
        self.byte(FLOAT);
        self.raw(&value.to_le_bytes());
    }

    /// A string in the form for its length. One of [`BLOB_MIN`] bytes or more has to stay where it is until the
    /// message is written out.
    #[inline]
    pub(super) fn string(&mut self, bytes: &[u8]) {
        match bytes.len() {
            0..=SHORT_MAX => {
                self.byte(SHORT + bytes.len() as u8);
                self.raw(bytes);
            }
            len if len < BLOB_MIN => {
                self.byte(STR);
                self.counted(bytes);
            }
            len => {
                self.byte(BLOB);
                self.varint(len as u64);
                self.blobs.push((bytes.as_ptr(), len));
                self.blob_len += len;
            }
        }
    }

    /// Bytes written before.
    pub(super) fn written(&self, at: usize, len: usize) -> &[u8] {
        &self.bytes[at..at + len]
    }

    /// The object whose tag stands at `at` is met again.
    #[inline]
    pub(super) fn mark_shared(&mut self, at: usize) {
        self.bytes[at] |= SHARED;
    }

    pub(super) fn set(&mut self, at: usize, byte: u8) {
        self.bytes[at] = byte;
    }

    /// Overwrites a varint by a smaller number, padded to the old width.
    pub(super) fn lower_varint(&mut self, mut at: usize, mut value: u64) {
        while self.bytes[at] >= 0x80 {
            self.bytes[at] = value as u8 | 0x80;
            value >>= 7;
            at += 1;
        }
        self.bytes[at] = value as u8;
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { bytes: self.bytes.len(), blobs: self.blobs.len(), blob_len: self.blob_len }
    }

    pub(super) fn back_to(&mut self, mark: Mark) {
        self.bytes.truncate(mark.bytes);
        self.blobs.truncate(mark.blobs);
        self.blob_len = mark.blob_len;
    }

    /// Drops trailing bytes that no blob belongs to.
    pub(super) fn cut(&mut self, at: usize) {
        self.bytes.truncate(at);
    }

    /// Hands over the stream, and each long string.
    ///
    /// # Safety
    /// The strings are still where they were.
    pub(super) unsafe fn each<'a>(&'a self, take: &mut dyn FnMut(&'a [u8])) {
        take(&self.bytes);
        for &(start, len) in &self.blobs {
            // SAFETY: as demanded; Lua strings neither move nor change.
            take(unsafe { std::slice::from_raw_parts(start, len) });
        }
    }

    /// Memory that a reused sink would keep.
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity() + self.blobs.capacity() * size_of::<(*const u8, usize)>()
    }
}
