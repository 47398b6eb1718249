//! The userdata that host and workers both have, thin over what they stand for.
//!
//! A type whose userdata travel by value, as copies, has an entry in [`BY_VALUE`]; the codec needs no more.

pub mod buffer;
pub mod channel;
pub mod crypto;
pub mod failure;
mod handle;
pub mod hash;
pub mod lock;
pub mod mutex;
mod outcome;
mod outgoing;
pub mod taken;
mod value;

pub use handle::{Objects, register_all};
pub use outgoing::Outgoing;
pub use value::result_memory;

use super::convert::ByValue;

/// The types that travel by value.
pub const BY_VALUE: &[ByValue] = &[hash::BY_VALUE];
