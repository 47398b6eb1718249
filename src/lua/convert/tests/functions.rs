//! Functions, upvalues, modules and C functions.

use super::*;
use crate::convert::format::check_sum;

#[test]
fn a_function_works_after_the_trip() {
    trip(
        "return function(a, b) return a + b, 'x' .. a end",
        "local f = ... assert(f(2, 3) == 5 and select(2, f(2, 3)) == 'x2')",
    );
}

#[test]
fn a_function_keeps_its_debug_information() {
    trip(
        "return function() error('here') end",
        "local ok, e = pcall((...)) assert(not ok and e == 'test:1: here', e)",
    );
}

#[test]
fn closures_share_their_upvalue_after_the_trip() {
    trip(
        "local n = 0 local function inc() n = n + 1 end local function get() return n end return inc, get, {get}",
        "local inc, get, t = ... inc() inc() assert(get() == 2 and t[1] == get)",
    );
}

#[test]
fn recursion_works_after_the_trip() {
    trip(
        "local function fib(n) return n < 2 and n or fib(n - 1) + fib(n - 2) end return fib",
        "assert((...)(15) == 610)",
    );
    trip(
        "local odd local function even(n) return n == 0 or odd(n - 1) end
        function odd(n) return n ~= 0 and even(n - 1) end return even, odd",
        "local even, odd = ... assert(even(10) and odd(7) and not odd(8))",
    );
}

#[test]
fn upvalues_of_every_kind_arrive() {
    trip(
        "local a, b, c, d, e = 1, 'two', {3}, nil, print
        return function() return a, b, c[1], d, e, c end",
        "local a, b, c, d, e, t = (...)() assert(a == 1 and b == 'two' and c == 3 and d == nil and e == print and t[1] == 3)",
    );
}

#[test]
fn the_first_upvalue_is_not_the_globals_table_by_accident() {
    trip("local x return function() return x end", "assert((...)() == nil)");
    let own_globals = if HAS_ENVIRONMENTS {
        "return setfenv(function() return y end, {y = 5})"
    } else {
        "local _ENV = {y = 5} return function() return y end"
    };
    trip(own_globals, "assert((...)() == 5)");
}

#[test]
fn globals_of_the_receiver_are_its_own() {
    trip(
        "return function() return _G, print end, _G",
        "local f, g = ... local t, p = f() assert(t == _G and p == print and g == _G)",
    );
}

#[test]
fn code_is_sent_once_for_closures_of_one_function() {
    let bytes = encoded(
        "local t = {} for i = 1, 1000 do t[i] = function() return i, 'a constant of some length to weigh in' end end return t",
    );
    assert!(bytes.len() < 1000 * 12 + 500, "{}", bytes.len());
    trip(
        "local t = {} for k = 1, 1000 do local i = k t[i] = function() i = i + 1 return i end end return t",
        "local t = ... for i = 1, 1000 do assert(t[i]() == i + 1 and t[i]() == i + 2) end",
    );
}

#[test]
fn c_functions_and_modules_go_by_name() {
    trip(
        "return print, string.format, string, {math, coroutine.wrap}, io.stdout, require",
        "local p, f, s, t, out, r = ...
        assert(p == print and f == string.format and s == string and t[1] == math and t[2] == coroutine.wrap)
        assert(out == io.stdout and r == require)",
    );
}

unsafe extern "C-unwind" fn seven(lua: *mut lua_State) -> c_int {
    // SAFETY: a C function has free slots.
    unsafe { lua_pushinteger(lua, 7) };
    1
}

#[test]
fn a_module_that_appears_later_is_found() {
    let (sender, receiver) = (State::new(), State::new());
    trip_between(&sender, &receiver, "return print", "assert(... == print)");
    for state in [&sender, &receiver] {
        state.library(c"seven", c"get", seven);
    }
    trip_between(&sender, &receiver, "return require('seven').get", "assert((...)() == 7)");
    for state in [&sender, &receiver] {
        state.library(c"seven", c"other", seven);
    }
    trip_between(
        &sender,
        &receiver,
        "seven = require('seven') seven.get = nil return seven.other",
        "assert((...)() == 7)",
    );
}

#[test]
fn parts_of_llib_go_by_name() {
    let (sender, receiver) = (State::new(), State::new());
    for state in [&sender, &receiver] {
        state.library(c"llib", c"async", seven);
        state.run(
            "local l = require 'llib' l.thread = {async = l.async, f = function() end} l.async = nil",
            0,
        );
    }
    trip_between(
        &sender,
        &receiver,
        "local l = require 'llib' return l, l.thread, l.thread.async, function() return l.thread end",
        "local l, t, a, f = ... local own = require 'llib'
        assert(l == own and t == own.thread and a == own.thread.async and f() == own.thread)",
    );
}

#[test]
fn a_module_made_by_hand_is_copied() {
    trip_between(
        &State::new(),
        &State::new(),
        "package.loaded.mine = {x = 5} package.preload.pre = function() return {y = 6} end
        return package.loaded.mine, require 'pre'",
        "local m, p = ... assert(m.x == 5 and p.y == 6 and package.loaded.mine == m and require 'pre' == p)",
    );
}

#[test]
fn a_module_of_a_file_is_required() {
    let dir = std::env::temp_dir().join(format!("llib-codec-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("filed.lua"), "return {count = 0, f = function() return 'by value' end}")
        .unwrap();
    let path = format!("package.path = '{}/?.lua'", dir.display());
    let (sender, receiver) = (State::new(), State::new());
    sender.run(&path, 0);
    receiver.run(&path, 0);
    trip_between(
        &sender,
        &receiver,
        "return require('filed'), require('filed').f",
        "local m, f = ... assert(m == require 'filed' and f() == 'by value' and f ~= m.f)",
    );
    let elsewhere = State::new();
    let count = sender.run("return require('filed')", 0);
    let bytes = sender.encode(count, &EncodeOptions::default()).unwrap();
    let error = elsewhere.decode(&bytes, &DecodeOptions::TRUSTED).unwrap_err().to_string();
    assert!(error.starts_with("cannot find 'filed' here: module 'filed' not found:"), "{error}");
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_c_function_that_is_missing_there_is_named() {
    let (sender, receiver) = (State::new(), State::new());
    sender.library(c"filed", c"seven", seven);
    receiver.library(c"filed", c"eight", seven);
    let count = sender.run("return require('filed').seven", 0);
    let bytes = sender.encode(count, &EncodeOptions::default()).unwrap();
    let error = receiver.decode(&bytes, &DecodeOptions::TRUSTED).unwrap_err().to_string();
    assert_eq!(error, "cannot find 'filed.seven' here: it has no field 'seven'");
}

#[test]
fn code_with_a_single_wrong_bit_is_not_loaded() {
    let bytes = encoded("local n = 5 return function(a) n = n + a return n, 'a constant' end");
    let start = bytes.windows(4).position(|four| four == b"\x1bLua" || four.starts_with(b"\x1bLJ")).unwrap();
    let receiver = State::new();
    let sum = (start..bytes.len())
        .find(|at| check_sum(&bytes[start..*at]).to_le_bytes()[..] == bytes[*at..*at + 8]);
    let end = sum.expect("a check sum follows the code") + 8;
    for at in start..end {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            let error = receiver.decode(&damaged, &DecodeOptions::TRUSTED).expect_err("it was damaged");
            assert!(error.to_string().contains("code that is not what was sent"), "byte {at}: {error}");
        }
    }
    assert_eq!(receiver.decode(&bytes, &DecodeOptions::TRUSTED).unwrap(), 1);
}

/// LuaJIT's traces tell upvalues apart by the place where they were created. (Lua 5.1 has no `upvaluejoin`.)
#[cfg(not(feature = "lua51"))]
#[test]
fn code_that_is_kept_and_compiled_serves_closures_that_share_other_variables() {
    let pair = "local function pair(joined)
        local x, y = 0, 0
        local function set(v) y = v end
        local function sum(n) local s = 0 for i = 1, n do set(i) s = s + x end return s end
        return joined, set, sum
    end";
    let apart = encoded(&format!("{pair} return pair(false)"));
    let joined = encoded(&format!(
        "{pair} local j, set, sum = pair(true)
        for i = 1, 2 do if debug.getupvalue(sum, i) == 'x' then debug.upvaluejoin(sum, i, set, 1) end end
        return j, set, sum"
    ));
    let (receiver, mut kept) = (State::new(), Prototypes::default());
    for bytes in [&apart, &joined, &apart, &joined, &joined, &apart] {
        let count = receiver.decode_keeping(bytes, &mut kept);
        receiver.run(
            "local joined, set, sum = ... local expected = joined and 500500 or 0
            for i = 1, 3 do local s = sum(1000) assert(s == expected, s .. ' for ' .. tostring(joined)) end",
            count,
        );
    }
}

#[test]
fn code_that_is_kept_takes_a_bounded_amount_of_memory() {
    let (sender, receiver, mut kept) = (State::new(), State::new(), Prototypes::default());
    let mut used = Vec::new();
    for round in 0..4 {
        for number in 0..1000 {
            let code =
                format!("local up = {round} return function() return up, 'x{number}', {{{number}}} end");
            sender.run(&code, 0);
            let bytes = sender.encode(1, &EncodeOptions::default()).unwrap();
            let count = receiver.decode_keeping(&bytes, &mut kept);
            receiver.run(&format!("local a, b = (...)() assert(a == {round} and b == 'x{number}')"), count);
        }
        receiver.run("collectgarbage() collectgarbage() return collectgarbage('count')", 0);
        // SAFETY: the number is on top.
        used.push(unsafe { lua_tonumber(receiver.0, -1) });
    }
    assert!(used[3] < used[0] * 1.1, "KiB after each thousand functions: {used:?}");
}
