//! Where a message is written: a growing stream, and long strings that stay where they are.

use std::ptr;

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

    /// Memory that a reused sink would keep.
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity() + self.blobs.capacity() * size_of::<(*const u8, usize)>()
    }
}

/// An encoded message. Long strings are still in Lua's memory: valid during `encode`'s closure only.
pub struct Message<'a> {
    pub(super) sink: &'a Sink,
}

impl Message<'_> {
    /// Exact length in bytes.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.sink.total()
    }

    /// Writes the message. Long strings are copied here, for the first and only time.
    ///
    /// # Safety
    /// `target` must be valid for writing [`len`](Message::len) bytes.
    pub unsafe fn write_to(&self, target: *mut u8) {
        let Sink { bytes, blobs, .. } = self.sink;
        // SAFETY: the stream and the blobs are `len` bytes together. The encoder keeps the blobs' strings
        // on the Lua stack or in a table there while the message exists, and Lua strings never move.
        unsafe {
            ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len());
            let mut at = bytes.len();
            for &(start, len) in blobs {
                ptr::copy_nonoverlapping(start, target.add(at), len);
                at += len;
            }
        }
    }

    /// The message's bytes where they are: the stream and each long string.
    pub fn parts(&self) -> Vec<&[u8]> {
        let Sink { bytes, blobs, .. } = self.sink;
        let mut parts = vec![bytes.as_slice()];
        // SAFETY: see `write_to`: the strings stay where they are, unchanged, while the message exists.
        parts.extend(blobs.iter().map(|&(start, len)| unsafe { std::slice::from_raw_parts(start, len) }));
        parts
    }

    /// The message as a vector.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len());
        // SAFETY: `len` bytes were reserved and are all written.
        unsafe {
            self.write_to(bytes.as_mut_ptr());
            bytes.set_len(self.len());
        }
        bytes
    }
}
