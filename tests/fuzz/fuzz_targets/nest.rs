//! Any bytes as what a sandboxed worker has left for its supervisor. Every outcome but a crash is right.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| llib_core::shared::fuzz_nest(data));
