//! `cargo bench -p llib-tests --bench shared`: what buffers, locks and channels cost.
//!
//! The script `shared.lua` measures and reports, see `runner`. Goals are reported and never asserted.

mod baseline;
mod runner;

use std::process::ExitCode;

extern crate lua_runtime as _;

fn main() -> ExitCode {
    runner::main("shared.lua")
}
