//! Hashes that can be interrupted: fed piece by piece, saved, and continued in another process.
//!
//! What the room owns: which algorithms there are, and the bytes of a saved state. What it may not do: know Lua
//! or processes. The algorithms come from RustCrypto; for BLAKE2 see `blake2` and decision 9.

mod blake2;
mod hash;
mod saved;
#[cfg(test)]
mod tests;

pub use hash::{Algorithm, Hash, Hex};
pub use saved::{LoadError, Saved};
