//! `cargo bench -p llib-tests --bench peers`: llib beside other means to the same end.
//!
//! The script `peers.lua` measures and reports, see `runner`; with `-- --plots` it draws the plots of `docs`, too.

mod baseline;
mod runner;

use std::process::ExitCode;

extern crate lua_runtime as _;

fn main() -> ExitCode {
    runner::main("peers.lua")
}
