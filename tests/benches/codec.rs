//! What encoding and decoding cost, without processes around them.
//!
//! `cargo bench -p llib-tests --bench codec [-- LUA-CODE]`: medians and least times of what the given code
//! returns, or of a set of usual values.

#![allow(unsafe_code)]

extern crate lua_runtime as _;

use std::ffi::CString;
use std::time::{Duration, Instant};

use llib_core::shm::Payload;
use llib_lua::convert::{
    DecodeOptions, EncodeOptions, Field, NoHandles, Source, decode, decode_field, encode,
};
use mlua::ffi::*;

/// Name, number of samples, code.
const USUAL: [(&str, usize, &str); 9] = [
    ("integer", 400, "return 1"),
    ("string", 400, "return 'hello world'"),
    ("function", 400, "return function() return 1 end"),
    ("small table", 400, "return {x = 1, y = 2, 'a', 'b'}"),
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

/// Name, code of the value, code of the key.
const FIELDS: [(&str, &str, &str); 5] = [
    ("integer of 5 fields", FIVE, "return 'level'"),
    ("string of 5 fields", FIVE, "return 'title'"),
    ("table of 5 fields", FIVE, "return 'size'"),
    ("none of 5 fields", FIVE, "return 'missing'"),
    ("item 500 of 1000", "local t = {} for i = 1, 1000 do t[i] = i end return t", "return 500"),
];
const FIVE: &str = "return {name = 'main', title = 'a window', size = {640, 480}, level = 3, open = true}";

/// Longest message of which many are sent for a sample: a clock is too coarse for one.
const SMALL: usize = 10_000;
const BATCH: u32 = 100;

fn main() {
    // Cargo itself passes `--bench`.
    let given: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    println!("{:20} {:>10} {:>24} {:>24}", "", "bytes", "encode: median, least", "decode: median, least");
    for code in &given {
        measure("given", 101, code);
    }
    if given.is_empty() {
        USUAL.iter().for_each(|(name, samples, code)| measure(name, *samples, code));
        println!("{:20} {:>10} {:>24}", "", "bytes", "field: median, least");
        FIELDS.iter().for_each(|(name, code, key)| measure_field(name, code, key));
    }
}

/// A state with the standard libraries, and what the code returns on its stack.
fn state(code: &str) -> *mut lua_State {
    let code = CString::new(code).expect("Lua code without zero bytes");
    // SAFETY: a fresh state; the code runs below lua_pcall. What else can fail is memory, which ends the
    // benchmark.
    unsafe {
        let lua = luaL_newstate();
        assert!(!lua.is_null(), "not enough memory");
        luaL_openlibs(lua);
        assert!(luaL_loadstring(lua, code.as_ptr()) == LUA_OK && lua_pcall(lua, 0, LUA_MULTRET, 0) == LUA_OK);
        lua
    }
}

/// Encodes all that is on the stack.
fn encode_all(lua: *mut lua_State, bytes: &mut Vec<u8>) {
    // SAFETY: a state of this program.
    unsafe {
        let message = encode(lua, 1, lua_gettop(lua), &EncodeOptions::default(), &mut NoHandles);
        let message = message.expect("values that can be sent");
        bytes.resize(message.len(), 0);
        message.write_to(bytes);
        lua_pop(lua, 1);
    }
}

/// Time of one call.
fn time(calls: u32, mut call: impl FnMut()) -> Duration {
    let start = Instant::now();
    (0..calls).for_each(|_| call());
    start.elapsed() / calls
}

fn measure(name: &str, samples: usize, code: &str) {
    let (sender, receiver) = (state(code), state("return"));
    let (mut encoding, mut decoding, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    encode_all(sender, &mut bytes);
    let calls = if bytes.len() <= SMALL { BATCH } else { 1 };
    for _ in 0..samples {
        encoding.push(time(calls, || encode_all(sender, &mut bytes)));
        decoding.push(time(calls, || {
            // SAFETY: a state of this function, and a message in a vector that holds it. Values of a batch are
            // dropped within it, large ones below.
            unsafe {
                let source = Source::new(bytes.as_ptr(), bytes.len());
                decode(receiver, source, &DecodeOptions::TRUSTED, &mut NoHandles).expect("a message");
                if calls > 1 {
                    lua_settop(receiver, 0);
                }
            }
        }));
        // SAFETY: drops the values. Freed outside of the timed part.
        unsafe {
            lua_settop(receiver, 0);
            lua_gc(receiver, LUA_GCCOLLECT, 0);
        }
    }
    // SAFETY: not used again.
    unsafe {
        lua_close(sender);
        lua_close(receiver);
    }
    println!("{name:20} {:>10} {:>24} {:>24}", bytes.len(), text(&mut encoding), text(&mut decoding));
}

fn measure_field(name: &str, code: &str, key: &str) {
    let (sender, receiver) = (state(code), state(key));
    let (mut times, mut bytes) = (Vec::new(), Vec::new());
    encode_all(sender, &mut bytes);
    for _ in 0..400 {
        times.push(time(BATCH, || {
            // SAFETY: a state of this function with the key on its stack, and a message in a vector that holds it.
            unsafe {
                let source = Source::new(bytes.as_ptr(), bytes.len());
                let field = decode_field(receiver, source, 1, &DecodeOptions::TRUSTED, &mut NoHandles);
                assert_ne!(field, Ok(Field::Whole));
                lua_settop(receiver, 1);
            }
        }));
    }
    // SAFETY: not used again.
    unsafe {
        lua_close(sender);
        lua_close(receiver);
    }
    println!("{name:20} {:>10} {:>24}", bytes.len(), text(&mut times));
}

/// Median and least.
fn text(times: &mut [Duration]) -> String {
    times.sort();
    format!("{:?}, {:?}", times[times.len() / 2], times[0])
}
