//! Everything that touches a Lua state.
//!
//! [`types`] are the objects on both sides, [`convert`] turns values into bytes and
//! back, [`call`] and [`hooks`] are the way in and out of Lua; [`version`] knows which Lua it is. Written against
//! Lua's C API itself: values go straight between the Lua stack and
//! shared memory, and errors are plain strings with the script's own position, as every Lua library has them.

#![allow(unsafe_code)]

#[cfg(test)]
extern crate lua_runtime as _;

pub mod call;
pub mod convert;
pub mod hooks;
pub mod types;
pub mod userdata;
pub mod version;

pub use version::ffi;
