//! Where an object's content stands: one word, so that one store puts another content in its place.
//!
//! | bits | meaning |
//! |---|---|
//! | 0–4 | which pair of halves, see `object::segment` |
//! | 5 | which half |
//! | 6 | whether the content ends with handles, see [`super::parcel`] |
//! | 8–63 | its length in bytes |

use super::object::half_size;

/// See the module's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) pair: u32,
    pub(super) half: usize,
    pub(super) carries: bool,
    pub(super) len: usize,
}

impl Place {
    pub(super) fn to_word(self) -> u64 {
        u64::from(self.pair) | (self.half as u64) << 5 | u64::from(self.carries) << 6 | (self.len as u64) << 8
    }

    /// `None` for a word that names no place of the layout.
    pub(super) fn from_word(word: u64) -> Option<Place> {
        let pair = (word & 31) as u32;
        let len = usize::try_from(word >> 8).ok()?;
        let place = Place { pair, half: (word >> 5 & 1) as usize, carries: word & 64 != 0, len };
        (pair <= super::object::LARGEST && len <= half_size(pair)).then_some(place)
    }
}
