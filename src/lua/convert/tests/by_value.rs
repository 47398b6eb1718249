//! Objects of llib that travel by value: hashes.

use super::*;
use crate::types::crypto;
use llib_crypto::Algorithm;

fn state() -> State {
    let state = State::new();
    // SAFETY: the state is valid; memory errors aside nothing is raised.
    unsafe {
        luaL_getsubtable(state.0, LUA_REGISTRYINDEX, c"_LOADED".as_ptr());
        crypto::push(state.0);
        lua_setfield(state.0, -2, c"crypto".as_ptr());
        lua_settop(state.0, -2);
    }
    state
}

const HEADER: &str = "local crypto = require 'crypto' ";

#[track_caller]
fn trip(send: &str, check: &str) {
    trip_between(&state(), &state(), &format!("{HEADER}{send}"), &format!("{HEADER}{check}"));
}

#[test]
fn a_hash_travels_anywhere_in_its_stream() {
    let (sender, receiver) = (state(), state());
    for algorithm in Algorithm::ALL {
        let name = algorithm.name();
        let block = if matches!(name, "sha384" | "sha512" | "blake2b") { 128 } else { 64 };
        for split in 0..=2 * block {
            trip_between(
                &sender,
                &receiver,
                &format!("{HEADER} return crypto.{name}() + ('abcdefg'):rep(50):sub(1, {split})"),
                &format!(
                    "{HEADER} local h, text = ..., ('abcdefg'):rep(50)
                    assert(h:final() == crypto.{name}(text:sub(1, {split})))
                    assert(h:update(text:sub({split} + 1)):final() == crypto.{name}(text))
                    assert(tostring(h) == 'llib.hash: {name}')"
                ),
            );
            // SAFETY: drops what is left.
            unsafe {
                lua_settop(sender.0, 0);
                lua_settop(receiver.0, 0);
            }
        }
    }
}

#[test]
fn the_same_hash_twice_is_one_hash_there() {
    trip(
        "local a, b = crypto.md5() + 'a', crypto.md5() + 'a' return a, {a, x = {a}}, b, function() return a end",
        "local a, t, b, f = ... assert(a == t[1] and a == t.x[1] and a == f() and a ~= b)
        a:update('b') assert(f():final() == crypto.md5('ab') and b:final() == crypto.md5('a'))",
    );
}

#[test]
fn what_arrives_is_a_copy() {
    let (sender, receiver) = (state(), state());
    let count = sender.run(&format!("{HEADER} h = crypto.sha1() + 'a' return h"), 0);
    let bytes = sender.encode(count, &EncodeOptions::default()).unwrap();
    let count = receiver.decode(&bytes, &DecodeOptions::PLAIN).unwrap();
    receiver.run("(...):update('x')", count);
    sender.run(&format!("{HEADER} assert(h:final() == crypto.sha1('a'))"), 0);
}

#[test]
fn a_hash_may_be_a_key() {
    trip(
        "local h = crypto.sha512() return {[h] = h, n = h}",
        "local t = ... assert(t[t.n] == t.n and t.n:final() == crypto.sha512(''))",
    );
}

#[test]
fn a_state_without_llib_learns_the_type() {
    let bytes = {
        let sender = state();
        let count = sender.run(&format!("{HEADER} return crypto.blake2s() + 'abc'"), 0);
        sender.encode(count, &EncodeOptions::default()).unwrap()
    };
    let receiver = State::new();
    let count = receiver.decode(&bytes, &DecodeOptions::PLAIN).unwrap();
    receiver.run("local h = ... assert(#h:final() == 64 and (h + 'd'):final() ~= h:final())", count);
}

#[test]
fn states_that_cannot_be_are_errors_in_words() {
    let sender = state();
    let count = sender.run(&format!("{HEADER} return crypto.md5() + 'abc'"), 0);
    let bytes = sender.encode(count, &EncodeOptions::default()).unwrap();
    // Head, count, tag, kind, length: then the number of the algorithm.
    let number = format::HEAD + 4;
    assert_eq!(bytes[number - 1..=number], [89, 1]);
    for (at, byte, words) in [
        (number, 0, "unknown hash algorithm (0)"),
        (number, 2, "the state of a sha1 hash has 92 bytes, not 88"),
        (number + 24, 255, "the state of a md5 hash is damaged"),
        (number + 25, 64, "the state of a md5 hash is damaged"),
        (number + 30, 1, "the state of a md5 hash is damaged"),
    ] {
        let mut bytes = bytes.clone();
        bytes[at] = byte;
        assert_eq!(state().decode(&bytes, &DecodeOptions::PLAIN).unwrap_err().to_string(), words);
    }
}

#[test]
fn a_table_cannot_pose_as_a_hash() {
    let receiver = state();
    for code in ["crypto.md5().update(setmetatable({}, {__name = 'llib.hash'}), 'x')", "crypto.md5() + {}"] {
        assert!(receiver.try_run(&format!("{HEADER} return {code}"), 0).is_err());
    }
    assert_eq!(receiver.run(&format!("{HEADER} return getmetatable(crypto.md5())"), 0), 1);
    assert_eq!(receiver.run("assert(... == 'llib.hash')", 1), 0);
}
