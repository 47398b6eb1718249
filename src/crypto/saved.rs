//! The bytes of a saved state.
//!
//! ```text
//! saved     number of the algorithm:u8  chaining value  blocks  bytes in the buffer:u8  buffer
//! blocks    how many were compressed: u64le, for SHA-384 and SHA-512 u128le
//! buffer    as many bytes as belong to the next block, then zeros
//! ```
//!
//! All but the first byte is the form of `digest`'s `SerializableState`, whose length an algorithm fixes. A
//! chaining value may be anything. A number of blocks may not: some algorithms compute the message's length
//! from it without looking for an overflow.

use digest::array::Array;
use digest::common::hazmat::SerializableState;
use digest::typenum::Unsigned;

use super::hash::Algorithm;

/// Longest saved state: SHA-512's chaining value, number of blocks, and all but a byte of a block.
const MAX: usize = 1 + 64 + 16 + 128;

/// Most blocks of a state that is accepted: 2^54 bytes and more, years of hashing, and far below the 2^61 bytes at
/// which the length in bits no longer fits into 64.
const MAX_BLOCKS: u128 = 1 << 48;

/// A saved state, without memory of its own.
#[derive(Clone, Copy)]
pub struct Saved {
    bytes: [u8; MAX],
    len: usize,
}

impl Saved {
    pub(super) fn of<S: SerializableState>(algorithm: Algorithm, hash: &S) -> Self {
        const { assert!(S::SerializedStateSize::USIZE < MAX) };
        let mut saved = Self { bytes: [0; MAX], len: 1 + S::SerializedStateSize::USIZE };
        saved.bytes[0] = algorithm as u8;
        saved.bytes[1..saved.len].copy_from_slice(&hash.serialize());
        saved
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Why bytes are no saved state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// There are none.
    #[error("the state of a hash is empty")]
    Empty,
    /// No algorithm has this number.
    #[error("unknown hash algorithm ({0})")]
    Unknown(u8),
    /// A state of this algorithm has another length.
    #[error("the state of a {} hash has {expected} bytes, not {got}", algorithm.name())]
    Length {
        /// The algorithm.
        algorithm: Algorithm,
        /// Bytes of its states.
        expected: usize,
        /// Bytes that came.
        got: usize,
    },
    /// The bytes contradict each other, or claim more than can have been hashed.
    #[error("the state of a {} hash is damaged", .0.name())]
    Damaged(Algorithm),
}

/// Where the number of blocks stands behind the chaining value, and how many bytes it has.
fn blocks_at(algorithm: Algorithm) -> std::ops::Range<usize> {
    let (words, len) = match algorithm {
        Algorithm::Md5 => (16, 8),
        Algorithm::Sha1 => (20, 8),
        Algorithm::Sha224 | Algorithm::Sha256 | Algorithm::Blake2s => (32, 8),
        Algorithm::Sha384 | Algorithm::Sha512 => (64, 16),
        Algorithm::Blake2b => (64, 8),
    };
    words..words + len
}

/// The state in `bytes`, which are those after the algorithm's number.
pub(super) fn load<S: SerializableState>(algorithm: Algorithm, bytes: &[u8]) -> Result<S, LoadError> {
    let expected = S::SerializedStateSize::USIZE;
    let state: &Array<u8, S::SerializedStateSize> =
        bytes.try_into().map_err(|_| LoadError::Length { algorithm, expected, got: bytes.len() })?;
    let damaged = LoadError::Damaged(algorithm);
    let place = blocks_at(algorithm);
    let buffered = *state.get(place.end).ok_or(damaged)?;
    let mut blocks = [0; 16];
    blocks[..place.len()].copy_from_slice(&state[place]);
    let blocks = u128::from_le_bytes(blocks);
    // BLAKE2 compresses a block only when it knows that it is not the last one.
    let keeps_last = matches!(algorithm, Algorithm::Blake2b | Algorithm::Blake2s);
    if blocks > MAX_BLOCKS || (keeps_last && blocks > 0 && buffered == 0) {
        return Err(damaged);
    }
    // This checks the buffer: its length, and that nothing but zeros follow.
    S::deserialize(state).map_err(|_| damaged)
}
