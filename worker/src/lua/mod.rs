//! The only folder here that runs Lua code.
//!
//! [`state`] is what every worker starts with, [`job`] takes a worker's job from its bytes to its end, [`res`] is
//! what the job can call, [`autoclose`] how it is ended anywhere, [`outcome`] what ends it, [`explain`] what its errors
//! say, [`text`] how source text becomes a function, [`walls`] what a sandboxed one does not have, [`confine`] how it comes to that, [`pool`] runs one job of a pool
//! after the other. Makes no system calls of its own.

#![allow(unsafe_code)]

mod autoclose;
pub(crate) mod confine;
mod explain;
mod granted;
pub(crate) mod job;
mod loaders;
mod memory;
mod outcome;
mod pool;
mod raw;
mod res;
pub(crate) mod state;
mod text;
mod walls;
