//! The algorithms by name and number.

/// A hash algorithm. Its number is the first byte of a saved state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Algorithm {
    /// RFC 1321.
    Md5 = 1,
    /// FIPS 180-4, RFC 3174.
    Sha1 = 2,
    /// FIPS 180-4.
    Sha224 = 3,
    /// FIPS 180-4.
    Sha256 = 4,
    /// FIPS 180-4.
    Sha384 = 5,
    /// FIPS 180-4.
    Sha512 = 6,
    /// RFC 7693, with a digest of 64 bytes.
    Blake2b = 7,
    /// RFC 7693, with a digest of 32 bytes.
    Blake2s = 8,
}

impl Algorithm {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::Md5,
        Self::Sha1,
        Self::Sha224,
        Self::Sha256,
        Self::Sha384,
        Self::Sha512,
        Self::Blake2b,
        Self::Blake2s,
    ];

    /// The name that scripts use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha224 => "sha224",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
            Self::Blake2b => "blake2b",
            Self::Blake2s => "blake2s",
        }
    }

    /// The algorithm with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| *algorithm as u8 == number)
    }
}
