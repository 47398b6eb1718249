//! `cargo bench -p llib-tests --bench jobs`: what jobs cost, beside what they are measured against.
//!
//! The script `jobs.lua` measures and reports, see `runner`. Goals are reported and never asserted.

mod baseline;
mod runner;

use std::process::ExitCode;

extern crate lua_runtime as _;

fn main() -> ExitCode {
    runner::main("jobs.lua")
}
