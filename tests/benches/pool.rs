//! `cargo bench -p llib-tests --bench pool`: what jobs of a pool cost.
//!
//! The script `pool.lua` measures and reports, see `runner`. Goals are reported and never asserted.

mod baseline;
mod runner;

use std::process::ExitCode;

extern crate lua_runtime as _;

fn main() -> ExitCode {
    runner::main("pool.lua")
}
