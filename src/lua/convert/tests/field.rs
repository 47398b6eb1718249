//! One field of a message, against the same field of the whole value.

use proptest::prelude::*;

use super::super::format::*;
use super::hostile::{message, samples};
use super::random::{BUILD, description, step};
use super::*;

const ALL: DecodeOptions = DecodeOptions::TRUSTED;

/// What looking up the key that `key` returns gives in what `send` returns; `check` gets the field.
#[track_caller]
fn look_up(send: &str, key: &str, check: &str) -> Field {
    look_up_in(&encoded(send), key, check)
}

#[track_caller]
fn look_up_in(bytes: &[u8], key: &str, check: &str) -> Field {
    let state = State::new();
    assert_eq!(state.run(&format!("return {key}"), 0), 1);
    let field = state.field(bytes, &ALL).unwrap_or_else(|error| panic!("{error}: {key}"));
    if field == Field::Pushed {
        state.run(check, 1);
    }
    field
}

#[test]
fn fields_are_found_by_every_kind_of_key() {
    let table = "return {'one', 'two', nil, 'four', short = 's', ['a key that is long'] = 'l', [''] = 'e',
        [string.rep('k', 100)] = 'k', [true] = 't', [false] = 'f', [1.5] = 'h', [-7] = 'm', [0x10000000000] = 'b',
        [-0x20000000000000] = 'i', [1/0] = 'inf', ['1'] = 'text'}";
    for (key, value) in [
        ("1", "one"),
        ("2.0", "two"),
        ("4", "four"),
        ("'short'", "s"),
        ("'a key that is long'", "l"),
        ("''", "e"),
        ("string.rep('k', 100)", "k"),
        ("true", "t"),
        ("false", "f"),
        ("1.5", "h"),
        ("-7.0", "m"),
        ("2.0^40", "b"),
        ("-0x20000000000000", "i"),
        ("1/0", "inf"),
        ("'1'", "text"),
    ] {
        let field = look_up(table, key, &format!("assert(... == '{value}', ...)"));
        assert_eq!(field, Field::Pushed, "{key}");
    }
    for key in ["0", "3", "5", "'shor'", "'4'", "2.5", "-1/0", "'a key that is lonh'", "0x20000000000"] {
        assert_eq!(look_up(table, key, ""), Field::Absent, "{key}");
    }
    for key in ["nil", "0/0", "{}", "print"] {
        assert_eq!(look_up(table, key, ""), Field::Whole, "{key}");
    }
}

#[test]
fn a_field_that_is_nil_is_absent() {
    for table in [
        &[TABLE, 0, 1, 0x81, b'k', NIL, END][..],
        &[TABLE, 2, 1, 0, NIL, 2, 0, END],
        &[TABLE, 1, 1, NIL, 0x81, b'k', NIL, END],
    ] {
        assert_eq!(look_up_in(&message(table), "'k'", ""), Field::Absent, "{table:x?}");
        assert_eq!(look_up_in(&message(table), "2", ""), Field::Absent, "{table:x?}");
    }
}

#[test]
fn values_of_every_kind_are_fields() {
    for (value, check) in [
        ("5", "assert(math.type(...) == 'integer' and ... == 5)"),
        ("-0x4000000000000", "assert(... == -0x4000000000000)"),
        ("0.1", "assert(... == 0.1)"),
        ("false", "assert(... == false)"),
        ("'short'", "assert(... == 'short')"),
        ("'\\0 a longer one'", "assert(... == '\\0 a longer one')"),
        ("string.rep('x', 1000)", "assert(... == string.rep('x', 1000))"),
        ("string.rep('y', 100000)", "assert(... == string.rep('y', 100000))"),
        ("{}", "assert(next(...) == nil)"),
        ("{1, {2}, x = {y = 'a'}}", "local t = ... assert(t[1] == 1 and t[2][1] == 2 and t.x.y == 'a')"),
        (
            "(function() local t = {} t.t = t return {t, t} end)()",
            "local a = ... assert(a[1] == a[2] and a[1].t == a[1])",
        ),
        ("setmetatable({1}, {__index = {z = 3}})", "assert((...).z == 3)"),
        ("{print, string, _G}", "local t = ... assert(t[1] == print and t[2] == string and t[3] == _G)"),
        (
            "{string.rep('z', 40000), string.rep('z', 40000)}",
            "local t = ... assert(#t[1] == 40000 and t[1] == t[2])",
        ),
    ] {
        // Blobs before and behind it, as they lie outside of the stream.
        let blob = "string.rep('b', 33000)";
        let send = format!("return {{{blob}, {value}, {blob} .. 'c', field = {value}}}");
        assert_eq!(look_up(&send, "2", check), Field::Pushed, "{value}");
        let alone = format!("return {{{blob}, field = {value}}}");
        assert_eq!(look_up(&alone, "'field'", check), Field::Pushed, "{value}");
    }
}

#[test]
fn strings_met_before_are_found_as_keys_and_values() {
    let records = "local t = {} for i = 1, 3 do t[i] = {identifier = i, description = 'the same text'} end
        t.identifier = t[1].description return t";
    let check = "local t = ... assert(t.identifier == 3 and t.description == 'the same text')";
    assert_eq!(look_up(records, "3", check), Field::Pushed);
    assert_eq!(look_up(records, "'identifier'", "assert(... == 'the same text')"), Field::Pushed);
    assert_eq!(look_up(records, "'description'", ""), Field::Absent);
    let long = "local k = string.rep('k', 200) return {k, [k] = 1}";
    assert_eq!(look_up(long, "string.rep('k', 200)", "assert(... == 1)"), Field::Pushed);
}

#[test]
fn what_needs_the_whole_value_says_so() {
    for (send, key) in [
        ("return 5", "1"),
        ("return 'text'", "'len'"),
        ("return nil", "1"),
        ("return", "1"),
        ("return {1}, {2}", "1"),
        ("return print", "1"),
        ("return string", "'len'"),
        ("return setmetatable({x = 1}, {__index = {y = 2}})", "'y'"),
        ("return {f = function() end}", "'f'"),
        ("return {f = print}", "'f'"),
        ("return {f = {function() end}}", "'f'"),
        ("local t = {} t.t = t return t", "'t'"),
        ("local u = {} return {u, u}", "2"),
        ("local u = {} return {u, {u}}", "2"),
        ("local mt = {} return {setmetatable({}, mt), setmetatable({}, mt)}", "2"),
        ("return {[print] = 1}", "'x'"),
        ("local b = string.rep('b', 33000) return {[b] = 1}", "string.rep('b', 33000)"),
        ("local b = string.rep('b', 33000) return {b, {b}}", "2"),
        ("local k = string.rep('k', 201) return {k, [k] = 1}", "string.rep('k', 201)"),
    ] {
        assert_eq!(look_up(send, key, ""), Field::Whole, "{send} [{key}]");
    }
    // The key itself comes first, whatever the metatable says.
    let object = "return setmetatable({x = 1}, {__index = error})";
    assert_eq!(look_up(object, "'x'", "assert(... == 1)"), Field::Pushed);
}

/// One value of every tag.
fn kinds() -> Vec<Vec<u8>> {
    let mut kinds: Vec<Vec<u8>> = [
        &[0x7f][..],
        &[0x80],
        &[0x83, END, META, REF],
        &[NIL],
        &[TRUE],
        &[NULL],
        &[GLOBALS],
        &[INT, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
        &[FLOAT, END, END, END, END, END, END, END, END],
        &[REF, HEAD as u8 + 1],
        &[STR, 3, END, END, END],
        &[STR | SHARED, 9, 1, 2, 3, 4, 5, 6, 7, 8, END],
        &[TABLE, 0, 0, END],
        &[TABLE, 2, 1, 1, TABLE, 0, 1, 1, 2, END, TABLE, 0, 0, END, 1, END],
        &[TABLE, 0, 0, META, TABLE, 0, 0, END],
        &[TABLE, 1, 0, TABLE, 0, 0, META, TABLE, 0, 0, META, TABLE, 0, 0, END, META, TYPE, 1, b'a'],
        &[CODE, 2, END, META, CELL, 9, END, TABLE, 0, 0, END, 5, END],
        &[AGAIN, 20, REF, 20, CELL, 9, META, END],
        &[NAMED, 2, b'_', b'G'],
        &[RAW, 1, b'n', 2, END, END],
        &[BUILT, NAMED, 1, b'f', TABLE, 0, 0, END, END],
        &[HANDLE, END, 2, END, END],
        &[VALUE, END, 2, END, END],
        &[TYPE, 2, END, END],
    ]
    .iter()
    .map(|bytes| bytes.to_vec())
    .collect();
    let all = kinds.concat();
    kinds.push([&[TABLE, kinds.len() as u8, 0][..], &all, &[END]].concat());
    kinds
}

#[test]
fn keys_are_found_behind_every_kind_of_value() {
    const FOUND: &[u8] = &[0x81, b'k', 0x82, b'i', b't'];
    for kind in kinds() {
        let look_up =
            |table: &[&[u8]], key: &str, check: &str| look_up_in(&message(&table.concat()), key, check);
        for table in [
            &[&[TABLE, 1, 1], &kind[..], FOUND, &[END]][..],
            &[&[TABLE, 0, 2, 5], &kind, FOUND, &[END]],
            &[&[TABLE, 0, 2], FOUND, &[5], &kind, &[END]],
            &[&[TABLE, 0, 1], FOUND, &[META], &kind],
        ] {
            assert_eq!(look_up(table, "'k'", "assert(... == 'it')"), Field::Pushed, "{table:x?}");
        }
        // As a key some kinds could turn out to be the same string.
        let unknown = matches!(kind[0], NAMED | BUILT);
        let expected = if unknown { Field::Whole } else { Field::Pushed };
        let table = &[&[TABLE, 0, 2], &kind[..], &[5], FOUND, &[END]];
        assert_eq!(look_up(table, "'k'", "assert(... == 'it')"), expected, "{table:x?}");
        let table = &[&[TABLE, 2, 1], &kind[..], &[6, 5], &kind, &[END]];
        assert_eq!(look_up(table, "'no'", ""), Field::Absent, "{table:x?}");
        assert_eq!(look_up(table, "2", "assert(... == -10)"), Field::Pushed, "{table:x?}");
    }
}

#[test]
fn objects_of_llib_are_fields() {
    struct Echo;
    impl Handles for Echo {
        unsafe fn export(&mut self, _: *mut lua_State, _: c_int) -> Option<Result<(u8, Vec<u8>), String>> {
            None
        }
        unsafe fn import(&mut self, lua: *mut lua_State, kind: u8, bytes: &[u8]) -> Result<(), String> {
            assert_eq!((kind, bytes), (7, &b"id"[..]));
            // SAFETY: below `lua_pcall` with room.
            unsafe { lua_newuserdatauv(lua, 1, 0) };
            Ok(())
        }
    }
    let state = State::new();
    let handle = [HANDLE, 7, 2, b'i', b'd'];
    let bytes = message(&[&[TABLE, 2, 0, 5][..], &handle, &[END]].concat());
    // SAFETY: the vector lives meanwhile; the key is at index 1.
    unsafe {
        lua_pushinteger(state.0, 2);
        let source = Source::new(bytes.as_ptr(), bytes.len());
        let field = decode_field(state.0, source, 1, &DecodeOptions::PLAIN, &mut Echo);
        assert_eq!(field, Ok(Field::Pushed));
        assert_eq!(lua_type(state.0, -1), LUA_TUSERDATA);
        let refused = decode_field(state.0, source, 1, &DecodeOptions::PLAIN, &mut NoHandles);
        assert_eq!(refused, Err(DecodeError::Handle("unknown kind of handle (7)".to_owned())));
        assert_eq!(lua_gettop(state.0), 2);
    }
}

#[test]
fn depth_is_data_here_too() {
    let deep = "local t = {} for i = 1, 200000 do t = {t, [t] = i} end return {{t}, t, 'behind', x = 'pair'}";
    let bytes = encoded(deep);
    assert_eq!(look_up_in(&bytes, "3", "assert(... == 'behind')"), Field::Pushed);
    assert_eq!(look_up_in(&bytes, "'x'", "assert(... == 'pair')"), Field::Pushed);
    let check = "local t, n = (...)[1], 0 while t[1] do t = t[1] n = n + 1 end assert(n == 200000)";
    assert_eq!(look_up_in(&bytes, "1", check), Field::Pushed);
}

#[test]
fn options_and_limits_hold_for_the_field() {
    let state = State::new();
    let error = |send: &str, options: &DecodeOptions| {
        state.run("return 1", 0);
        state.field(&encoded(send), options).unwrap_err().to_string()
    };
    let short = DecodeOptions { max_len: 10, ..ALL };
    assert!(error("return {'some text'}", &short).contains("more than the 10 accepted here"));
    let plain = &DecodeOptions::PLAIN;
    assert_eq!(error("return {setmetatable({}, {})}", plain), "a metatable is not accepted here");
    assert_eq!(error("return {{string}}", plain), "a C function or module is not accepted here");
}

#[test]
fn a_message_cut_before_the_field_is_an_error() {
    let whole = encoded("return {{1, 2}, 'some text', 5, {x = 1}, string.rep('x', 40000), field = 'here'}");
    let state = State::new();
    let stream = usize::from(whole[1]) | usize::from(whole[2]) << 8;
    for len in 0..stream {
        let mut bytes = whole[..len].to_vec();
        if len >= HEAD {
            let head = (len as u64) << 8 | u64::from(VERSION);
            bytes[..HEAD].copy_from_slice(&head.to_le_bytes());
        }
        state.run("return 'none'", 0);
        assert!(state.field(&bytes, &ALL).is_err(), "{len} of {stream}");
    }
}

#[test]
fn damage_never_does_harm() {
    let state = State::new();
    for sample in samples() {
        for bit in HEAD * 8..sample.len().min(600) * 8 {
            let mut bytes = sample.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            for key in ["return 2", "return 'x'", "return 'a key of some length'"] {
                state.run(key, 0);
                let options = DecodeOptions { functions: false, constructors: false, ..ALL };
                let _ = state.field(&bytes, &options);
                // SAFETY: drops the field.
                unsafe { lua_settop(state.0, 0) };
            }
        }
    }
    state.run("collectgarbage()", 0);
}

/// Compares the lookup of the key on top, which is popped, with `rawget` of the table below it.
fn compare(state: &State, bytes: &[u8]) -> Result<Field, TestCaseError> {
    let fail = |reason: String| Err(TestCaseError::fail(reason));
    // SAFETY: `table key` are on top.
    unsafe {
        let table = state.top() - 1;
        lua_pushvalue(state.0, -1);
        let kind = lua_rawget(state.0, table);
        lua_rotate(state.0, -2, 1);
        let field = state.field(bytes, &ALL).map_err(|error| TestCaseError::fail(error.to_string()))?;
        match field {
            Field::Pushed => {
                let got = description(state, 1);
                let expected = description(state, 1);
                prop_assert_eq!(got, expected);
            }
            Field::Absent if kind != LUA_TNIL => return fail(format!("a {kind} is taken for absent")),
            Field::Absent if lua_getmetatable(state.0, table) != 0 => {
                return fail("a metatable was missed".to_owned());
            }
            Field::Absent | Field::Whole => lua_settop(state.0, table),
        }
        prop_assert_eq!(state.top(), table);
        Ok(field)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn fields_of_random_tables_are_those_of_the_whole(
        steps in prop::collection::vec(step(), 1..30),
        pick in 0u32..1000,
    ) {
        let (sender, receiver) = (State::new(), State::new());
        let code = format!("{BUILD}{}\nlocal t = {pick} % 2 == 0 and n or v({pick}) return type(t) == 'table' and t or n", steps.join("\n"));
        sender.run(&code, 0);
        let options = EncodeOptions { globals: GlobalMode::None, ..EncodeOptions::default() };
        let bytes = sender.encode(1, &options).map_err(|e| TestCaseError::fail(e.to_string()))?;
        receiver.decode(&bytes, &ALL).map_err(|e| TestCaseError::fail(e.to_string()))?;
        // SAFETY: the table stays at index 1 and is not changed, so `lua_next` accepts its keys.
        unsafe {
            lua_pushnil(receiver.0);
            while lua_next(receiver.0, 1) != 0 {
                lua_settop(receiver.0, 2);
                // table key table key
                lua_pushvalue(receiver.0, 1);
                lua_pushvalue(receiver.0, 2);
                compare(&receiver, &bytes)?;
                lua_settop(receiver.0, 2);
            }
            for absent in ["return 'absent'", "return 1000", "return 0.5", "return 'x'", "return true"] {
                receiver.run(absent, 0);
                compare(&receiver, &bytes)?;
            }
        }
    }
}
