//! Locks between processes: the algorithm, and what it stands on.
//!
//! Owns the lock word, its state table and every change of it. Knows no segments and no Lua. The page that
//! explains it is `docs/locks.md`.
//!
//! The algorithm (`lock.rs`) is written against a small trait, [`Ground`], so that the model checker runs the
//! very same code on its own atomics, with a death between any two steps.

#![allow(unsafe_code)]

mod futex_ground;
mod held;
mod lock;
mod marks;
#[cfg(test)]
mod model;
pub mod spin;
mod word;

pub use futex_ground::OwnerCheck;
pub(crate) use held::is_only_user;
pub use held::{Acquired, LockRef, Unlocked, abandon_all, holds, holds_any};
pub use lock::Ground;
pub use marks::{Marks, tell_in};
pub(crate) use word::OWNERS;
pub use word::Owner;
pub(crate) use word::owner as holder;
