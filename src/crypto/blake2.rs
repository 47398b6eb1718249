//! BLAKE2b and BLAKE2s without key (RFC 7693), with a state that can be saved.
//!
//! RustCrypto's `blake2` is the only hash here whose state cannot be saved: its released versions leave
//! `SerializableState` out and keep the chaining value private. What stands here is the compression function
//! of the RFC alone; buffering, finishing and saving around it are those of `digest`, as for every other
//! hash, and `blake2` itself is what the tests compare it with. See decision 9.

use std::fmt;

use digest::array::Array;
use digest::block_api::{
    AlgorithmName, Block, BlockSizeUser, Buffer, BufferKindUser, FixedOutputCore, Lazy, OutputSizeUser,
    UpdateCore,
};
use digest::common::hazmat::{DeserializeStateError, SerializableState, SerializedState};
use digest::consts::{U32, U40, U64, U72, U128};
use digest::{HashMarker, Output};

/// The order of the message's words in each round (section 2.7). Rounds 10 and 11 begin again.
const SIGMA: [[usize; 16]; 10] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
    [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
    [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
    [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
    [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
    [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
    [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
    [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
    [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
    [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
];

/// A core with words of one size. `blocks` counts those compressed so far: the last block of a message is
/// compressed at its end alone, so the buffer holds a byte at least once anything was put in.
macro_rules! blake2 {
    (
        $(#[$doc:meta])* $hash:ident, $core:ident, $name:literal, $word:ty, rounds [$($round:literal)*],
        rotations $rotations:expr, block $block:ty, output $output:ty, state $state:ty, start $iv:expr,
    ) => {
        #[derive(Clone)]
        pub(super) struct $core {
            words: [$word; 8],
            blocks: u64,
        }

        impl $core {
            const IV: [$word; 8] = $iv;
            const WORD: usize = size_of::<$word>();

            /// Mixes a block into the state; `bytes` of the message are done with it.
            fn compress(&mut self, block: &[u8], bytes: u128, last: bool) {
                let mut message: [$word; 16] = [0; 16];
                for (word, bytes) in message.iter_mut().zip(block.chunks_exact(Self::WORD)) {
                    for (at, byte) in bytes.iter().enumerate() {
                        *word |= <$word>::from(*byte) << (8 * at);
                    }
                }
                let mut v: [$word; 16] = [0; 16];
                v[..8].copy_from_slice(&self.words);
                v[8..].copy_from_slice(&Self::IV);
                v[12] ^= bytes as $word;
                v[13] ^= (bytes >> <$word>::BITS) as $word;
                if last {
                    v[14] = !v[14];
                }
                $( Self::round(&mut v, &message, &SIGMA[$round % SIGMA.len()]); )*
                for (index, word) in self.words.iter_mut().enumerate() {
                    *word ^= v[index] ^ v[index + 8];
                }
            }

            /// A round (section 3.2): columns, then diagonals.
            ///
            /// Called once for each line of [`SIGMA`], so that every index is a constant in the end and the words
            /// stay in registers: several times as fast as loops.
            #[inline(always)]
            fn round(v: &mut [$word; 16], message: &[$word; 16], order: &[usize; 16]) {
                let word = |place: usize| message[order[place]];
                Self::mix(v, [0, 4, 8, 12], word(0), word(1));
                Self::mix(v, [1, 5, 9, 13], word(2), word(3));
                Self::mix(v, [2, 6, 10, 14], word(4), word(5));
                Self::mix(v, [3, 7, 11, 15], word(6), word(7));
                Self::mix(v, [0, 5, 10, 15], word(8), word(9));
                Self::mix(v, [1, 6, 11, 12], word(10), word(11));
                Self::mix(v, [2, 7, 8, 13], word(12), word(13));
                Self::mix(v, [3, 4, 9, 14], word(14), word(15));
            }

            /// The function G of section 3.1.
            #[inline(always)]
            fn mix(v: &mut [$word; 16], [a, b, c, d]: [usize; 4], x: $word, y: $word) {
                v[a] = v[a].wrapping_add(v[b]).wrapping_add(x);
                v[d] = (v[d] ^ v[a]).rotate_right($rotations[0]);
                v[c] = v[c].wrapping_add(v[d]);
                v[b] = (v[b] ^ v[c]).rotate_right($rotations[1]);
                v[a] = v[a].wrapping_add(v[b]).wrapping_add(y);
                v[d] = (v[d] ^ v[a]).rotate_right($rotations[2]);
                v[c] = v[c].wrapping_add(v[d]);
                v[b] = (v[b] ^ v[c]).rotate_right($rotations[3]);
            }

            /// Bytes in the blocks compressed so far.
            fn bytes(&self) -> u128 {
                u128::from(self.blocks) * 16 * Self::WORD as u128
            }
        }

        impl Default for $core {
            /// The parameter block of section 2.5: no key, a digest of full length.
            fn default() -> Self {
                let mut words = Self::IV;
                words[0] ^= 0x0101_0000 ^ (8 * Self::WORD) as $word;
                Self { words, blocks: 0 }
            }
        }

        impl HashMarker for $core {}

        impl BlockSizeUser for $core {
            type BlockSize = $block;
        }

        impl BufferKindUser for $core {
            type BufferKind = Lazy;
        }

        impl OutputSizeUser for $core {
            type OutputSize = $output;
        }

        impl UpdateCore for $core {
            fn update_blocks(&mut self, blocks: &[Block<Self>]) {
                for block in blocks {
                    self.blocks = self.blocks.wrapping_add(1);
                    self.compress(block, self.bytes(), false);
                }
            }
        }

        impl FixedOutputCore for $core {
            fn finalize_fixed_core(&mut self, buffer: &mut Buffer<Self>, out: &mut Output<Self>) {
                let bytes = self.bytes() + buffer.get_pos() as u128;
                self.compress(&buffer.pad_with_zeros(), bytes, true);
                for (place, word) in out.chunks_exact_mut(Self::WORD).zip(self.words) {
                    place.copy_from_slice(&word.to_le_bytes());
                }
            }
        }

        impl AlgorithmName for $core {
            fn write_alg_name(f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($name)
            }
        }

        impl SerializableState for $core {
            type SerializedStateSize = $state;

            /// The words, then the number of blocks, little endian.
            fn serialize(&self) -> SerializedState<Self> {
                let mut state = Array::default();
                let (words, blocks) = state.split_at_mut(8 * Self::WORD);
                for (place, word) in words.chunks_exact_mut(Self::WORD).zip(self.words) {
                    place.copy_from_slice(&word.to_le_bytes());
                }
                blocks.copy_from_slice(&self.blocks.to_le_bytes());
                state
            }

            fn deserialize(state: &SerializedState<Self>) -> Result<Self, DeserializeStateError> {
                let (bytes, blocks) = state.split_at(8 * Self::WORD);
                let mut words = [0; 8];
                for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(Self::WORD)) {
                    *word = <$word>::from_le_bytes(bytes.try_into().map_err(|_| DeserializeStateError)?);
                }
                let blocks = u64::from_le_bytes(blocks.try_into().map_err(|_| DeserializeStateError)?);
                Ok(Self { words, blocks })
            }
        }

        digest::buffer_fixed!(
            $(#[$doc])*
            pub(super) struct $hash($core);
            impl: BaseFixedTraits Default Clone HashMarker SerializableState;
        );
    };
}

blake2! {
    /// BLAKE2b-512.
    Blake2b, Blake2bCore, "Blake2b", u64, rounds [0 1 2 3 4 5 6 7 8 9 10 11],
    rotations [32, 24, 16, 63], block U128, output U64, state U72,
    start [
        0x6a09_e667_f3bc_c908, 0xbb67_ae85_84ca_a73b, 0x3c6e_f372_fe94_f82b, 0xa54f_f53a_5f1d_36f1,
        0x510e_527f_ade6_82d1, 0x9b05_688c_2b3e_6c1f, 0x1f83_d9ab_fb41_bd6b, 0x5be0_cd19_137e_2179,
    ],
}

blake2! {
    /// BLAKE2s-256.
    Blake2s, Blake2sCore, "Blake2s", u32, rounds [0 1 2 3 4 5 6 7 8 9],
    rotations [16, 12, 8, 7], block U64, output U32, state U40,
    start [
        0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19,
    ],
}
