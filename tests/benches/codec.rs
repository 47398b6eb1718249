//! What encoding and decoding cost, without processes around them.
//!
//! `cargo bench -p llib-tests --bench codec [-- LUA-CODE]`: medians and least times of what the given code
//! returns, or of a set of usual values.

#![allow(unsafe_code)]

extern crate lua_runtime as _;

use std::ffi::CString;
use std::time::{Duration, Instant};

use llib::lua::convert::{DecodeOptions, EncodeOptions, NoHandles, Source, decode, encode};
use mlua::ffi::*;

const USUAL: [(&str, usize, &str); 9] = [
    ("integer", 20_000, "return 1"),
    ("string", 20_000, "return 'hello world'"),
    ("function", 20_000, "return function() return 1 end"),
    ("small table", 20_000, "return {x = 1, y = 2, 'a', 'b'}"),
    ("100,000 rows", 21, "local t = {} for i = 1, 100000 do t[i] = {i, tostring(i)} end return t"),
    (
        "100,000 records",
        21,
        "local t = {} for i = 1, 100000 do t[i] = {id = i, text = 'number ' .. i} end return t",
    ),
    ("1,000,000 integers", 11, "local t = {} for i = 1, 1000000 do t[i] = i end return t"),
    ("10,000 closures", 21, "local t = {} for i = 1, 10000 do t[i] = function() return i end end return t"),
    ("16 MiB string", 21, "return string.rep('x', 16 << 20)"),
];

fn main() {
    // Cargo itself passes `--bench`.
    let given: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    println!("{:20} {:>10} {:>24} {:>24}", "", "bytes", "encode: median, least", "decode: median, least");
    for code in &given {
        measure("given", 101, code);
    }
    if given.is_empty() {
        USUAL.iter().for_each(|(name, rounds, code)| measure(name, *rounds, code));
    }
}

/// A state with the standard libraries.
fn state() -> *mut lua_State {
    // SAFETY: a fresh state; nothing else can fail but memory, which ends the benchmark.
    unsafe {
        let lua = luaL_newstate();
        assert!(!lua.is_null(), "not enough memory");
        luaL_openlibs(lua);
        lua
    }
}

fn measure(name: &str, rounds: usize, code: &str) {
    let (sender, receiver) = (state(), state());
    let code = CString::new(code).expect("Lua code without zero bytes");
    let (mut encoding, mut decoding, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    // SAFETY: two states of this function; the code runs below lua_pcall and leaves its values on the
    // stack, and each message is read from a vector that holds it.
    unsafe {
        assert!(
            luaL_loadstring(sender, code.as_ptr()) == LUA_OK
                && lua_pcall(sender, 0, LUA_MULTRET, 0) == LUA_OK
        );
        for _ in 0..rounds {
            let start = Instant::now();
            let count = lua_gettop(sender);
            let length = encode(sender, 1, count, &EncodeOptions::default(), &mut NoHandles, |message| {
                bytes.resize(message.len(), 0);
                message.write_to(bytes.as_mut_ptr());
                message.len()
            });
            encoding.push(start.elapsed());
            let length = length.expect("values that can be sent");
            let start = Instant::now();
            let source = Source::new(bytes.as_ptr(), length);
            decode(receiver, source, &DecodeOptions::TRUSTED, &mut NoHandles).expect("a message");
            decoding.push(start.elapsed());
            // Freed outside of the timed part.
            lua_settop(receiver, 0);
            if length > 10_000 {
                lua_gc(receiver, LUA_GCCOLLECT, 0);
            }
        }
        lua_close(sender);
        lua_close(receiver);
    }
    let text = |times: &mut Vec<Duration>| {
        times.sort();
        format!("{:?}, {:?}", times[times.len() / 2], times[0])
    };
    println!("{name:20} {:>10} {:>24} {:>24}", bytes.len(), text(&mut encoding), text(&mut decoding));
}
