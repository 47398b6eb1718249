//! Userdata: stand-ins, constructors, raw bytes, handles.

use super::*;
use llib_core::shm::Payload;

/// `u.new(metatable, size)`: a userdata with this metatable.
unsafe extern "C-unwind" fn new(lua: *mut lua_State) -> c_int {
    // SAFETY: a C function with its arguments.
    unsafe {
        lua_newuserdatauv(lua, luaL_optinteger(lua, 2, 8) as usize, 1);
        lua_pushvalue(lua, 1);
        lua_setmetatable(lua, -2);
    }
    1
}

/// `u.register(name, metatable)`: puts a metatable into the registry.
unsafe extern "C-unwind" fn register(lua: *mut lua_State) -> c_int {
    // SAFETY: a C function with its arguments.
    unsafe {
        lua_settop(lua, 2);
        lua_rawset(lua, LUA_REGISTRYINDEX);
    }
    0
}

/// `u.bytes(userdata [, string])`: its content, after setting it.
unsafe extern "C-unwind" fn bytes(lua: *mut lua_State) -> c_int {
    // SAFETY: a C function with its arguments; the test passes strings of the block's length.
    unsafe {
        let mut len = 0;
        let text = luaL_optlstring(lua, 2, std::ptr::null(), &mut len);
        let block = lua_touserdata(lua, 1).cast::<u8>();
        if !text.is_null() {
            std::ptr::copy_nonoverlapping(text.cast(), block, len);
        }
        lua_pushlstring(lua, block.cast(), lua_rawlen(lua, 1));
    }
    1
}

fn state() -> State {
    let state = State::new();
    for (name, function) in [(c"new", new as lua_CFunction), (c"register", register), (c"bytes", bytes)] {
        state.library(c"u", name, function);
    }
    state
}

#[track_caller]
fn trip(send: &str, check: &str) {
    let head = "local u = require 'u' ";
    trip_between(&state(), &state(), &format!("{head}{send}"), &format!("{head}{check}"));
}

#[track_caller]
fn send_error(send: &str) -> String {
    let sender = state();
    let count = sender.run(&format!("local u = require 'u' {send}"), 0);
    sender.encode(count, &EncodeOptions::default()).expect_err(send).to_string()
}

#[test]
fn a_stand_in_arrives_instead() {
    for (value, check) in [
        ("5", "v == 5"),
        ("'text'", "v == 'text'"),
        ("nil", "v == nil"),
        ("", "v == nil"),
        ("{1, 2}", "v[2] == 2"),
        ("string", "v == string"),
    ] {
        trip(
            &format!("return u.new{{__clone = function() return {value} end}}, 'after'"),
            &format!("local v, after = ... assert({check} and after == 'after')"),
        );
    }
}

#[test]
fn a_stand_in_table_keeps_its_identity_and_may_contain_the_userdata() {
    trip(
        "local x x = u.new{__clone = function(x) return {x, y = {x}} end} return x, {x}",
        "local t, v = ... assert(v[1] == t and t[1] == t and t.y[1] == t)",
    );
}

#[test]
fn a_constructor_is_called_on_arrival() {
    trip(
        "local mt = {__clone = function() return function(a, b) return {a, b} end, 1, {2} end}
        local x = u.new(mt) return x, {x}",
        "local v, t = ... assert(v[1] == 1 and v[2][1] == 2 and t[1] == v)",
    );
    trip("return u.new{__clone = function() return 'string.rep', 'ab', 3 end}", "assert(... == 'ababab')");
    trip("return u.new{__clone = function() return select, 2, 1, nil, 3 end}", "assert(... == nil)");
    trip("return u.new{__clone = function() return math.max, 4, 2 end}", "assert(... == 4)");
    trip(
        "local n = 3 return u.new{__clone = function() return function() return n end end}",
        "assert(... == 3)",
    );
}

#[test]
fn a_constructor_can_use_the_methods_of_its_arguments() {
    trip(
        "local mt = {} mt.__index = mt function mt:get() return self.x end
        return u.new{__clone = function() return function(o) return o:get() end, setmetatable({x = 9}, mt) end}",
        "assert(... == 9)",
    );
}

#[test]
fn nested_constructors_work() {
    trip(
        "local mt = {} local function make(depth)
            return u.new{__clone = function() return function(a) return {a} end, depth > 0 and make(depth - 1) or 'end' end}
        end return make(500)",
        "local v, n = ..., 0 while v ~= 'end' do v = v[1] n = n + 1 end assert(n == 501)",
    );
}

#[test]
fn bad_clones_are_refused_in_words() {
    for (clone, reason) in [
        ("error('no way')", "the value: its __clone failed: test:1: no way"),
        ("return 1, 2", "the value: its __clone returned a number where a constructor belongs"),
        (
            "return 'nodot', 2",
            "constructor: its __clone returned the constructor 'nodot', which is not of the form module.function",
        ),
        (
            "return function() end, coroutine.create(function() end)",
            "constructor argument 1: a coroutine cannot leave its Lua state",
        ),
        (
            "return {x = coroutine.create(function() end)}",
            "field 'x': a coroutine cannot leave its Lua state",
        ),
        (
            "return function() end, x",
            "constructor argument 1: what its __clone returned contains the userdata itself",
        ),
        (
            "return u.new(debug.getmetatable(x))",
            "the value: its __clone keeps returning userdata with __clone",
        ),
        ("return print, table.unpack({}, 1, 300)", "the value: its __clone returned too many values"),
    ] {
        let error = send_error(&format!("return u.new{{__clone = function(x) {clone} end}}"));
        assert_eq!(error, format!("cannot send {reason}"), "{clone}");
    }
    assert_eq!(send_error("return u.new{}"), "cannot send the value: userdata has no __clone");
    assert_eq!(
        send_error("local pg = {sock = u.new{__name = 'tcp{client}'}} return function() return pg end"),
        "cannot send upvalue 'pg' → field 'sock': userdata 'tcp{client}' has no __clone"
    );
}

#[test]
fn a_constructor_that_fails_is_reported() {
    for (clone, reason) in [
        ("return function() error('broken', 0) end", "a constructor returned by __clone failed: broken"),
        ("return 'string.nothing', 1", "cannot find 'string.nothing' here: it has no field 'nothing'"),
    ] {
        let (sender, receiver) = (state(), state());
        let count = sender.run(&format!("return require('u').new{{__clone = function() {clone} end}}"), 0);
        let bytes = sender.encode(count, &EncodeOptions::default()).unwrap();
        assert_eq!(receiver.decode(&bytes, &DecodeOptions::TRUSTED).unwrap_err().to_string(), reason);
        let options = DecodeOptions { constructors: false, ..DecodeOptions::TRUSTED };
        let error = receiver.decode(&bytes, &options).unwrap_err().to_string();
        assert_eq!(error, "a userdata is not accepted here");
    }
}

#[test]
fn temporaries_of_clones_are_not_mistaken_for_each_other() {
    trip(
        "local list = {} for i = 1, 2000 do
            list[i] = u.new{__clone = function() collectgarbage('step') return {i, {i}} end} end return list",
        "for i, v in ipairs(...) do assert(v[1] == i and v[2][1] == i) end",
    );
}

#[test]
fn raw_bytes_travel_between_types_that_allow_it() {
    let mt = "local mt = {__memcpy = true, __name = 'blob'} u.register('blob', mt) ";
    let head = "local u = require 'u' ";
    let (sender, receiver) = (state(), state());
    receiver.run(&format!("{head}{mt} blob = mt"), 0);
    let send =
        format!("{head}{mt} local x = u.new(mt, 5) u.bytes(x, 'a\\0b\\255c') return x, {{x}}, u.new(mt, 0)");
    trip_between(
        &sender,
        &receiver,
        &send,
        "local u = require 'u' local x, t, empty = ...
        assert(x == t[1] and u.bytes(x) == 'a\\0b\\255c' and debug.getmetatable(x) == blob and u.bytes(empty) == '')",
    );
    let count = sender.run(&send, 0);
    let bytes = sender.encode(count, &EncodeOptions::default()).unwrap();
    let error = state().decode(&bytes, &DecodeOptions::TRUSTED).unwrap_err().to_string();
    assert_eq!(error, "cannot copy userdata 'blob': this type is not registered here");
    receiver.run("blob.__memcpy = 1", 0);
    let error = receiver.decode(&bytes, &DecodeOptions::TRUSTED).unwrap_err().to_string();
    assert_eq!(error, "cannot copy userdata 'blob': its type does not set __memcpy here");
}

/// Exports a userdata as the number in its block.
#[derive(Default)]
struct Numbers {
    exports: Vec<u8>,
}

impl Handles for Numbers {
    unsafe fn export(&mut self, lua: *mut lua_State, idx: c_int) -> Option<Result<(u8, Vec<u8>), String>> {
        // SAFETY: a userdata of one byte at least.
        let number = unsafe { *lua_touserdata(lua, idx).cast::<u8>() };
        if number == b'x' {
            return Some(Err("this one stays".to_owned()));
        }
        self.exports.push(number);
        Some(Ok((3, vec![number])))
    }

    unsafe fn import(&mut self, lua: *mut lua_State, kind: u8, bytes: &[u8]) -> Result<(), String> {
        assert_eq!(kind, 3);
        // SAFETY: called with free slots.
        unsafe {
            lua_createtable(lua, 0, 0);
            lua_pushlstring(lua, bytes.as_ptr().cast(), bytes.len());
            lua_rawseti(lua, -2, 1);
        }
        Ok(())
    }

    fn exported(&self) -> usize {
        self.exports.len()
    }

    fn withdraw(&mut self, keep: usize) {
        self.exports.truncate(keep);
    }
}

#[test]
fn handles_are_asked_first_and_withdrawn_on_failure() {
    let (sender, receiver) = (state(), state());
    let mut handles = Numbers::default();
    let mut send = |code: &str| {
        let count = sender.run(code, 0);
        let first = sender.top() - count + 1;
        // SAFETY: the values are on the stack.
        unsafe {
            let message = encode(sender.0, first, count, &EncodeOptions::default(), &mut handles);
            let bytes = message.map(|message| message.to_vec());
            lua_settop(sender.0, 0);
            (bytes, handles.exports.clone())
        }
    };
    let make = "local u = require 'u' local function n(s) local x = u.new({}, 1) u.bytes(x, s) return x end ";
    let (bytes, exports) = send(&format!("{make} local a = n 'a' return a, {{a}}, n 'b'"));
    assert_eq!(exports, b"ab");
    let bytes = bytes.unwrap();
    // SAFETY: the vector lives meanwhile.
    unsafe {
        let source = Source::new(bytes.as_ptr(), bytes.len());
        let count = decode(receiver.0, source, &DecodeOptions::PLAIN, &mut Numbers::default()).unwrap();
        receiver.run("local a, t, b = ... assert(t[1] == a and a[1] == 'a' and b[1] == 'b')", count);
    }
    let (error, exports) = send(&format!("{make} return n 'c', n 'x'"));
    assert_eq!(error.unwrap_err().to_string(), "cannot send value 2: this one stays");
    assert_eq!(exports, b"ab");
    let (bytes, exports) =
        send(&format!("{make} bad = {{n 'd', n 'x'}} good = n 'e' return function() return bad, good end"));
    assert!(bytes.is_ok());
    assert_eq!(exports, b"abe");
}
