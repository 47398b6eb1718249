//! A message where it stands, with what keeps it there.

use super::bytes::SharedBytes;
use super::region::Region;

/// See the module's header. The bytes may change while they are read.
pub enum Stored<'a> {
    /// In the mailbox, or the slot, by which it came.
    Inline(SharedBytes<'a>),
    /// In a segment of its own, with the length that somebody claims.
    Apart(Region, usize),
    /// A private copy.
    Copy(Vec<u8>),
}

impl Stored<'_> {
    /// Its bytes.
    pub fn bytes(&self) -> SharedBytes<'_> {
        match self {
            Stored::Inline(bytes) => *bytes,
            Stored::Apart(region, claimed) => region.bytes().first(*claimed),
            Stored::Copy(bytes) => bytes[..].into(),
        }
    }
}
