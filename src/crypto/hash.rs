//! A hash under way.

use digest::Digest;

use super::algorithm::Algorithm;
use super::blake2::{Blake2b, Blake2s};
use super::saved::{self, LoadError, Saved};

/// What has been hashed so far. A copy goes on by itself.
#[derive(Clone)]
pub struct Hash(State);

#[derive(Clone)]
enum State {
    Md5(md5::Md5),
    Sha1(sha1::Sha1),
    Sha224(sha2::Sha224),
    Sha256(sha2::Sha256),
    Sha384(sha2::Sha384),
    Sha512(sha2::Sha512),
    Blake2b(Blake2b),
    Blake2s(Blake2s),
}

/// The same for whichever algorithm it is.
macro_rules! each {
    ($state:expr, $hash:ident => $body:expr) => {
        match $state {
            State::Md5($hash) => $body,
            State::Sha1($hash) => $body,
            State::Sha224($hash) => $body,
            State::Sha256($hash) => $body,
            State::Sha384($hash) => $body,
            State::Sha512($hash) => $body,
            State::Blake2b($hash) => $body,
            State::Blake2s($hash) => $body,
        }
    };
}

impl Hash {
    /// A hash of nothing yet.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Md5 => State::Md5(Digest::new()),
            Algorithm::Sha1 => State::Sha1(Digest::new()),
            Algorithm::Sha224 => State::Sha224(Digest::new()),
            Algorithm::Sha256 => State::Sha256(Digest::new()),
            Algorithm::Sha384 => State::Sha384(Digest::new()),
            Algorithm::Sha512 => State::Sha512(Digest::new()),
            Algorithm::Blake2b => State::Blake2b(Digest::new()),
            Algorithm::Blake2s => State::Blake2s(Digest::new()),
        })
    }

    /// Its algorithm.
    pub fn algorithm(&self) -> Algorithm {
        match self.0 {
            State::Md5(_) => Algorithm::Md5,
            State::Sha1(_) => Algorithm::Sha1,
            State::Sha224(_) => Algorithm::Sha224,
            State::Sha256(_) => Algorithm::Sha256,
            State::Sha384(_) => Algorithm::Sha384,
            State::Sha512(_) => Algorithm::Sha512,
            State::Blake2b(_) => Algorithm::Blake2b,
            State::Blake2s(_) => Algorithm::Blake2s,
        }
    }

    /// Adds bytes to what is hashed.
    pub fn update(&mut self, bytes: &[u8]) {
        each!(&mut self.0, hash => Digest::update(hash, bytes));
    }

    /// The digest of all bytes so far, as lower-case hexadecimal digits. More may follow.
    pub fn hex(&self) -> Hex {
        each!(&self.0, hash => Hex::of(&hash.clone().finalize()))
    }

    /// The state, to be continued by [`load`](Hash::load).
    pub fn save(&self) -> Saved {
        each!(&self.0, hash => Saved::of(self.algorithm(), hash))
    }

    /// The hash of a saved state. The bytes may come from a hostile sender: every state that is accepted is
    /// one that [`save`](Hash::save) could have made of some content, or of another chaining value.
    pub fn load(bytes: &[u8]) -> Result<Self, LoadError> {
        let (number, state) = bytes.split_first().ok_or(LoadError::Empty)?;
        let algorithm = Algorithm::from_number(*number).ok_or(LoadError::Unknown(*number))?;
        Ok(Self(match algorithm {
            Algorithm::Md5 => State::Md5(saved::load(algorithm, state)?),
            Algorithm::Sha1 => State::Sha1(saved::load(algorithm, state)?),
            Algorithm::Sha224 => State::Sha224(saved::load(algorithm, state)?),
            Algorithm::Sha256 => State::Sha256(saved::load(algorithm, state)?),
            Algorithm::Sha384 => State::Sha384(saved::load(algorithm, state)?),
            Algorithm::Sha512 => State::Sha512(saved::load(algorithm, state)?),
            Algorithm::Blake2b => State::Blake2b(saved::load(algorithm, state)?),
            Algorithm::Blake2s => State::Blake2s(saved::load(algorithm, state)?),
        }))
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
