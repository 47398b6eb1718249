//! Everything that touches a Lua state.
#![allow(unsafe_code)]
pub mod convert;
