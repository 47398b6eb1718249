//! Any bytes as a message of a hostile sender: every outcome but a crash or a hang is right.
#![no_main]

use lua_runtime as _;

libfuzzer_sys::fuzz_target!(|data: &[u8]| llib_lua::convert::fuzz_decode(data));
