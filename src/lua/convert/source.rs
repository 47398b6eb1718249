//! Reading a message from memory that somebody else may be writing to.

use std::ptr;

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

/// What a checked read returns: the value, or what is wrong at the cursor. The pair fits into two registers,
/// which a message of many small values gains from.
pub(super) type Read<T> = Result<T, &'static str>;

/// Less is there than what is to be read.
const TRUNCATED: &str = "it ends here";

/// Some bytes of a [`Source`].
#[derive(Clone, Copy)]
pub(super) struct Piece {
    start: *const u8,
    len: usize,
}

impl Piece {
    #[inline]
    pub(super) fn start(self) -> *const u8 {
        self.start
    }

    #[inline]
    pub(super) fn len(self) -> usize {
        self.len
    }

    /// Copies the bytes into private memory. The vector is the caller's, so that it is reused. False if there is
    /// not enough memory.
    pub(super) fn copy_to(self, target: &mut Vec<u8>) -> bool {
        target.clear();
        if target.try_reserve(self.len).is_err() {
            return false;
        }
        // SAFETY: the piece can be read, as the source vouches, and its length was reserved in `target`, which is
        // not shared.
        unsafe {
            ptr::copy_nonoverlapping(self.start, target.as_mut_ptr(), self.len);
            target.set_len(self.len);
        }
        true
    }

    /// Whether the bytes are these; each is read once.
    #[inline]
    pub(super) fn equals(self, bytes: &[u8]) -> bool {
        if self.len != bytes.len() {
            return false;
        }
        let (words, rest) = bytes.as_chunks::<8>();
        // SAFETY: both are of the same length, so every offset is within the piece; arrays of bytes have no
        // alignment. Volatile: read once, whatever the memory does.
        unsafe {
            words
                .iter()
                .enumerate()
                .all(|(index, word)| ptr::read_volatile(self.start.add(index * 8).cast::<[u8; 8]>()) == *word)
                && rest
                    .iter()
                    .enumerate()
                    .all(|(index, byte)| ptr::read_volatile(self.start.add(words.len() * 8 + index)) == *byte)
        }
    }
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
            return Err(TRUNCATED);
        }
        // SAFETY: `at` is less than the source's length. Volatile: read once, whatever the memory does.
        let byte = unsafe { ptr::read_volatile(self.start.add(self.at)) };
        self.at += 1;
        Ok(byte)
    }

    /// The next byte, which stays the next.
    #[inline]
    pub(super) fn peek(mut self) -> Read<u8> {
        self.byte()
    }

    /// Eight bytes, little endian.
    #[inline]
    pub(super) fn word(&mut self) -> Read<u64> {
        let piece = self.piece(8)?;
        // SAFETY: the piece has eight bytes; an array of bytes has no alignment.
        Ok(u64::from_le_bytes(unsafe { ptr::read_volatile(piece.start.cast::<[u8; 8]>()) }))
    }

    #[inline]
    pub(super) fn varint(&mut self) -> Read<u64> {
        let first = self.byte()?;
        if first < 0x80 {
            return Ok(u64::from(first));
        }
        self.long_varint(first)
    }

    /// The rest of a number of several bytes. Apart, so that the usual case is small enough to be inlined.
    #[inline(never)]
    fn long_varint(&mut self, first: u8) -> Read<u64> {
        let mut value = u64::from(first & 0x7f);
        let mut shift = 7;
        loop {
            let byte = self.byte()?;
            // The tenth byte holds the last bit of 64.
            if shift > 63 || (shift == 63 && byte > 1) {
                return Err("a number is too large");
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
            return Err(TRUNCATED);
        }
        Ok(length as usize)
    }

    /// Skips `len` bytes and returns them.
    #[inline]
    pub(super) fn piece(&mut self, len: usize) -> Read<Piece> {
        if len > self.left() {
            return Err(TRUNCATED);
        }
        // SAFETY: `at + len` is within the source, as just checked.
        let start = unsafe { self.start.add(self.at) };
        self.at += len;
        Ok(Piece { start, len })
    }

    /// Skips a length and as many bytes, and returns them.
    #[inline]
    pub(super) fn counted(&mut self) -> Read<Piece> {
        let len = self.length()?;
        self.piece(len)
    }
}
