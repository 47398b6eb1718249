//! What depends on the version of Lua: the form of a binary chunk.

use memchr::memchr2_iter;

/// Tag of a string constant of at most 40 bytes, in a binary chunk of Lua 5.4.
const SHORT_STRING: u8 = 0x04;
/// Tag of a longer one.
const LONG_STRING: u8 = 0x14;
/// Longest name looked for.
const MAX_NAME: usize = 200;

/// Longest string that Lua hashes (and compares) before it copies it: the bytes are read twice.
pub(super) const HASHED_STRING: usize = 40;

/// Calls `found` with every identifier among the string constants of a binary chunk.
///
/// Does not parse the chunk: a constant is its tag, its length plus one in groups of seven bits (the highest
/// group first, the last one marked by 0x80) and its bytes; whatever looks like that counts. Too many
/// candidates do no harm, since only those that are globals matter.
pub(super) fn identifiers(chunk: &[u8], mut found: impl FnMut(&[u8])) {
    for tag in memchr2_iter(SHORT_STRING, LONG_STRING, chunk) {
        let mut at = tag + 1;
        let mut length = 0usize;
        let complete = loop {
            let Some(&byte) = chunk.get(at) else { break false };
            at += 1;
            length = length << 7 | usize::from(byte & 0x7f);
            if byte & 0x80 != 0 {
                break true;
            }
            if length > MAX_NAME {
                break false;
            }
        };
        if !complete || !(2..=MAX_NAME).contains(&length) {
            continue;
        }
        if let Some(name) = chunk.get(at..at + length - 1)
            && is_identifier(name)
        {
            found(name);
        }
    }
}

fn is_identifier(name: &[u8]) -> bool {
    !name[0].is_ascii_digit() && name.iter().all(|&b| b.is_ascii_alphanumeric() || b == b'_' || b >= 0x80)
}
