//! A message of one string, made without Lua and without memory: for a job that has none left.

use super::format::{END, HEAD, STR, VERSION};

/// Bytes that [`write_text`] puts around a text: head, number of values, tag, length, end.
const AROUND: usize = HEAD + 1 + 1 + 2 + 1;

/// Longest text; its length takes two bytes.
const LONGEST: usize = (1 << 14) - 1;

/// Writes the message that [`decode`](super::decode()) takes as this string into `to`, and returns its length.
/// The text loses its end where there is no room for it.
pub fn write_text(text: &[u8], to: &mut [u8]) -> usize {
    let len = text.len().min(LONGEST).min(to.len().saturating_sub(AROUND));
    let total = AROUND + len;
    let Some(to) = to.get_mut(..total) else { return 0 };
    let (head, rest) = to.split_at_mut(HEAD);
    head.copy_from_slice(&((total as u64) << 8 | u64::from(VERSION)).to_le_bytes());
    // One value; a varint of two bytes, padded for short texts.
    rest[..4].copy_from_slice(&[1, STR, len as u8 & 0x7f | 0x80, (len >> 7) as u8]);
    rest[4..4 + len].copy_from_slice(&text[..len]);
    rest[4 + len] = END;
    total
}
