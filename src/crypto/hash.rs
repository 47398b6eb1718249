//! The algorithms, and a hash under way.

use digest::Digest;

use super::blake2::{Blake2b, Blake2s};
use super::saved::{self, LoadError, Saved};

/// What has been hashed so far. A copy goes on by itself.
#[derive(Clone)]
pub struct Hash(State);

/// The one table of algorithms: number, name in scripts, implementation.
macro_rules! algorithms {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal, $hash:ty;)*) => {
        /// A hash algorithm. Its number is the first byte of a saved state.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Algorithm {
            $($(#[$doc])* $name = $number),*
        }

        impl Algorithm {
            /// All of them, in the order of their numbers.
            pub const ALL: [Self; [$($number),*].len()] = [$(Self::$name),*];

            /// The name that scripts use.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text),*
                }
            }
        }

        #[derive(Clone)]
        enum State {
            $($name($hash)),*
        }

        impl Hash {
            /// A hash of nothing yet.
            pub fn new(algorithm: Algorithm) -> Self {
                Self(match algorithm {
                    $(Algorithm::$name => State::$name(Digest::new())),*
                })
            }

            /// Its algorithm.
            pub fn algorithm(&self) -> Algorithm {
                match self.0 {
                    $(State::$name(_) => Algorithm::$name),*
                }
            }

            /// Adds bytes to what is hashed.
            pub fn update(&mut self, bytes: &[u8]) {
                match &mut self.0 {
                    $(State::$name(hash) => Digest::update(hash, bytes)),*
                }
            }

            /// The digest of all bytes so far, as lower-case hexadecimal digits. More may follow.
            pub fn hex(&self) -> Hex {
                match &self.0 {
                    $(State::$name(hash) => Hex::of(&hash.clone().finalize())),*
                }
            }

            /// The state, to be continued by [`load`](Hash::load).
            pub fn save(&self) -> Saved {
                match &self.0 {
                    $(State::$name(hash) => Saved::of(Algorithm::$name, hash)),*
                }
            }

            /// The hash of a saved state. The bytes may come from a hostile sender: every state that is accepted is
            /// one that [`save`](Hash::save) could have made of some content, or of another chaining value.
            pub fn load(bytes: &[u8]) -> Result<Self, LoadError> {
                let (number, state) = bytes.split_first().ok_or(LoadError::Empty)?;
                let algorithm = Algorithm::from_number(*number).ok_or(LoadError::Unknown(*number))?;
                Ok(Self(match algorithm {
                    $(Algorithm::$name => State::$name(saved::load(algorithm, state)?)),*
                }))
            }
        }
    };
}

algorithms! {
    /// RFC 1321.
    Md5 = 1, "md5", md5::Md5;
    /// FIPS 180-4, RFC 3174.
    Sha1 = 2, "sha1", sha1::Sha1;
    /// FIPS 180-4.
    Sha224 = 3, "sha224", sha2::Sha224;
    /// FIPS 180-4.
    Sha256 = 4, "sha256", sha2::Sha256;
    /// FIPS 180-4.
    Sha384 = 5, "sha384", sha2::Sha384;
    /// FIPS 180-4.
    Sha512 = 6, "sha512", sha2::Sha512;
    /// RFC 7693, with a digest of 64 bytes.
    Blake2b = 7, "blake2b", Blake2b;
    /// RFC 7693, with a digest of 32 bytes.
    Blake2s = 8, "blake2s", Blake2s;
}

impl Algorithm {
    /// The algorithm with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| *algorithm as u8 == number)
    }
}

/// Hexadecimal digits of a digest, without memory of their own.
#[derive(Clone, Copy)]
pub struct Hex {
    digits: [u8; 128],
    len: usize,
}

impl Hex {
    /// `digest` has 64 bytes at most.
    fn of(digest: &[u8]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hex = Self { digits: [0; 128], len: 2 * digest.len() };
        for (pair, byte) in hex.digits.chunks_exact_mut(2).zip(digest) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        hex
    }

    /// The digits, in ASCII.
    pub fn as_bytes(&self) -> &[u8] {
        &self.digits[..self.len]
    }
}
