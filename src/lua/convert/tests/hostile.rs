//! Messages of senders that mean harm, or that were damaged.

use super::super::decode::MEMORY_FACTOR;
use super::super::format::*;
use super::*;
use crate::version::collector;
use llib_crypto::{Algorithm, Hash};

/// Messages that contain every tag a hostile sender may use with effect.
pub(super) fn samples() -> Vec<Vec<u8>> {
    let mut samples: Vec<Vec<u8>> = [
        "return 1, -5, 2 ^ 40 + 1, 1.5, 'short', 'a longer string', true, nil",
        "local t = {1, {2}, nil, 4, x = {y = {}}, ['a key of some length'] = 1} t.t = t t[t] = t.x return t, t.x",
        "local mt = {__index = {}} return setmetatable({}, mt), setmetatable({1}, mt), {print, string, _G, io.stdout}",
        "local s = string.rep('long string', 10) return {s, s, {s}, string.rep('y', 40000)}",
        "local n = 1 x = {2} return function() n = n + 1 return n, x end, function() return n end",
        "local t = {} for i = 1, 250 do t = {t, [t] = i} end return t",
        "local c = {__index = {}} package.loaded.own = {c = c} return setmetatable({c}, c), c",
        "local e, f = setmetatable({a = 1, co = coroutine.create(print)}, {__index = _G}), function() return a, co end
            if setfenv then setfenv(f, e) else f = load('return a, co', '', 't', e) end return f, f",
        "package.preload.mine = function() return 1 end return function() return require 'mine' end",
        "return {5, {2}, nil, 'some longer text', x = {y = 'some longer text'}, [true] = {}, [0x10000000000] = 2.5,
            ['a key of some length'] = 1, [1.5] = string.rep('z', 33000), [-3] = setmetatable({}, {})}",
    ]
    .iter()
    .map(|code| encoded(code))
    .collect();
    for algorithm in Algorithm::ALL {
        let mut hash = Hash::new(algorithm);
        hash.update(&[b'x'; 200]);
        let state = hash.save();
        let len = state.as_bytes().len() as u64;
        let mut value = vec![TABLE, 2, 0, VALUE | SHARED, 1, len as u8 | 0x80, (len >> 7) as u8];
        value.extend(state.as_bytes());
        value.extend([REF, HEAD as u8 + 4, END]);
        samples.push(message(&value));
    }
    samples.push(message(&[HANDLE | SHARED, 1, 3, b'a', b'b', b'c', REF, 9]));
    samples
}

/// The samples are where damage starts from, here and in the fuzzer: with LLIB_CORPUS set they are written
/// into that folder, see `tests/fuzz/README.md`.
#[test]
fn every_sample_is_a_message_that_its_own_side_accepts() {
    let state = State::new();
    let folder = std::env::var_os("LLIB_CORPUS");
    let samples = samples();
    // The last one holds a handle, which only objects of llib give a meaning to.
    for (index, sample) in samples.iter().enumerate() {
        let accepted = state.decode(sample, &DecodeOptions::TRUSTED).is_ok();
        assert_eq!(accepted, index + 1 < samples.len(), "sample {index}");
        if let Some(folder) = &folder {
            std::fs::write(std::path::Path::new(folder).join(format!("sample-{index}")), sample).unwrap();
        }
    }
}

/// A message of one value with these bytes.
pub(super) fn message(value: &[u8]) -> Vec<u8> {
    let length = HEAD + 1 + value.len() + 1;
    let mut bytes = ((length as u64) << 8 | u64::from(VERSION)).to_le_bytes().to_vec();
    bytes.push(1);
    bytes.extend_from_slice(value);
    bytes.push(END);
    bytes
}

/// Everything allowed that damaged bytes cannot turn into a crash of Lua itself.
const LOOSE: DecodeOptions =
    DecodeOptions { functions: false, constructors: false, ..DecodeOptions::TRUSTED };

#[test]
fn a_message_cut_anywhere_is_an_error() {
    let state = State::new();
    for sample in samples() {
        for len in 0..sample.len().min(3000) {
            assert!(state.decode(&sample[..len], &LOOSE).is_err(), "{len} bytes of {}", sample.len());
        }
        let mut longer = sample.clone();
        longer.push(0);
        assert!(state.decode(&longer, &LOOSE).is_err());
    }
}

#[test]
fn a_message_of_one_small_value_has_nothing_but_that_value() {
    let state = State::new();
    for code in ["nil", "true", "5", "0x10000000000", "0.5", "'short'", "'a longer string'"] {
        let whole = encoded(&format!("return {code}"));
        for len in 0..whole.len() {
            assert!(state.decode(&whole[..len], &LOOSE).is_err(), "{len} bytes of {code}");
        }
        for more in [&[0][..], &[END], &[1, END]] {
            let longer = [&whole[..], more].concat();
            assert!(state.decode(&longer, &LOOSE).is_err(), "{code} and {more:?}");
            let mut framed = longer.clone();
            let head = (longer.len() as u64) << 8 | u64::from(VERSION);
            framed[..HEAD].copy_from_slice(&head.to_le_bytes());
            assert!(state.decode(&framed, &LOOSE).is_err(), "{code} and {more:?} in the stream");
        }
        assert_eq!(state.decode(&whole, &LOOSE), Ok(1));
        state.run(&format!("assert(... == {code})"), 1);
    }
}

#[test]
fn a_flipped_bit_is_an_error_or_another_value() {
    let state = State::new();
    for sample in samples() {
        for bit in 0..sample.len().min(2000) * 8 {
            let mut bytes = sample.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            if state.decode(&bytes, &LOOSE).is_ok() {
                // SAFETY: drops the values.
                unsafe { lua_settop(state.0, 0) };
            }
        }
    }
    state.run("collectgarbage() return 1", 0);
}

#[test]
fn mutated_messages_do_no_harm() {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % below.max(1) as u64) as usize
    };
    let samples = samples();
    let start = std::time::Instant::now();
    while start.elapsed().as_secs() < 4 {
        for _ in 0..20 {
            let mut bytes = samples[next(samples.len())].clone();
            bytes.truncate(4000);
            for _ in 0..=next(6) {
                let at = next(bytes.len());
                match next(6) {
                    0 => bytes[at] ^= 1 << next(8),
                    1 => bytes[at] = next(256) as u8,
                    2 => {
                        bytes[at] = [
                            END,
                            META,
                            REF,
                            TABLE | 1,
                            NAMED,
                            RAW,
                            TYPE,
                            HANDLE,
                            CODE,
                            BUILT,
                            BLOB,
                            CELL,
                            VALUE,
                        ][next(13)]
                    }
                    3 => drop(bytes.drain(at..(at + next(20)).min(bytes.len()))),
                    4 => {
                        let from = next(bytes.len());
                        let piece = bytes[from..(from + next(40)).min(bytes.len())].to_vec();
                        bytes.splice(at..at, piece);
                    }
                    _ => bytes.insert(at, next(256) as u8),
                }
                if bytes.is_empty() {
                    break;
                }
            }
            if next(2) == 0 && bytes.len() > HEAD {
                // Most mutants would fail at the head.
                let head = (bytes.len() as u64) << 8 | u64::from(VERSION);
                bytes[..HEAD].copy_from_slice(&head.to_le_bytes());
            }
            fuzz_decode(&bytes);
        }
    }
}

#[test]
fn each_kind_can_be_refused() {
    for (code, words) in [
        ("return {function() end}", "a function is not accepted here"),
        ("return {print}", "a C function or module is not accepted here"),
        ("return {string}", "a C function or module is not accepted here"),
        ("return _G", "the globals table is not accepted here"),
        ("return setmetatable({}, {})", "a metatable is not accepted here"),
    ] {
        let error = State::new().decode(&encoded(code), &DecodeOptions::PLAIN).unwrap_err();
        assert_eq!(error.to_string(), words);
    }
}

#[test]
fn damaged_parts_are_named() {
    for (value, what) in [
        (&[0xff][..], "an unknown tag"),
        (&[END], "an unknown tag"),
        (&[REF, 9], "a reference to nothing"),
        (&[REF, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], "a reference to nothing"),
        (&[INT, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2], "a number is too large"),
        (&[STR, 100], "it ends here"),
        (&[BLOB, 100], "a long string is too short or not there"),
        (&[TABLE, 0xff, 0xff, 0xff, 0x7f, 0], "a table is larger than the message"),
        (&[TABLE, 0, 30, END], "it claims more table slots than it can fill"),
        (&[TABLE, 0, 0, NIL, 0, END], "a table key is nil or NaN"),
        (&[TABLE, 0, 0, FLOAT, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f, 0, END], "a table key is nil or NaN"),
        (&[TABLE, 0, 0, META, 0], "a metatable is no table"),
        (&[TYPE, 3, b'a', b'b', b'c'], "a type is none of llib's"),
        (&[TYPE, 9, b'l', b'l', b'i', b'b', b'.', b'h', b'a', b's', b'h'], "a type is not one of tables"),
        (&[VALUE, 0, 0], "an object of an unknown type"),
        (&[VALUE, 1, 100], "it ends here"),
    ] {
        match State::new().decode(&message(value), &DecodeOptions::TRUSTED) {
            Err(DecodeError::Corrupt { what: got, .. }) => assert_eq!(got, what, "{value:x?}"),
            other => panic!("{value:x?}: {other:?}"),
        }
    }
}

#[test]
fn a_count_of_values_that_cannot_be_is_refused() {
    let mut bytes = message(&[0]);
    bytes[HEAD] = 0x7f;
    assert!(State::new().decode(&bytes, &LOOSE).is_err());
}

/// Kilobytes that a state uses, after making sure that what is dead is freed.
fn used(state: &State) -> usize {
    // SAFETY: the state is valid.
    unsafe {
        collector::collect(state.0);
        collector::count(state.0) as usize
    }
}

#[test]
fn memory_is_bounded_by_the_message() {
    const N: usize = 100_000;
    // In each other's items, in each other's pairs, all recorded; claims in every table; short strings.
    let mut nested = [TABLE | SHARED, 1, 0].repeat(N);
    nested.extend([0].iter().chain([END].repeat(N).iter()));
    let mut in_keys = [TABLE | SHARED, 0, 0].repeat(N);
    in_keys.push(1);
    in_keys.extend([1, END].repeat(N));
    let mut flat = vec![TABLE, 0, 0];
    for i in 0..N as u32 {
        flat.push(INT);
        let n = i + 1000;
        flat.extend([n as u8 | 0x80, (n >> 7) as u8 | 0x80, (n >> 14) as u8]);
        flat.extend([TABLE | SHARED, 0, 0, END]);
    }
    flat.push(END);
    let mut claims = [TABLE, 1, 1].repeat(N);
    claims.push(0);
    claims.extend([0, 0, END].repeat(N));
    let mut strings = vec![TABLE, 0, 0];
    for i in 0..N as u32 {
        strings.extend([0x83, i as u8, (i >> 8) as u8, (i >> 16) as u8, 5]);
    }
    strings.push(END);
    let state = Hash::new(Algorithm::Blake2s).save();
    let one = [&[VALUE | SHARED, 1, state.as_bytes().len() as u8], state.as_bytes()].concat();
    let mut hashes = vec![TABLE, 0, 0];
    for i in 0..N as u32 / 10 {
        hashes.extend([0x83, i as u8, (i >> 8) as u8, (i >> 16) as u8]);
        hashes.extend(&one);
    }
    hashes.push(END);
    for value in [nested, in_keys, flat, claims, strings, hashes] {
        let bytes = message(&value);
        let state = State::new();
        let before = used(&state);
        // SAFETY: the collector would hide what was needed meanwhile.
        unsafe { collector::stop(state.0) };
        let result = state.decode(&bytes, &LOOSE);
        // SAFETY: as above.
        let after = unsafe { collector::count(state.0) as usize };
        let factor = (after - before) * 1024 / bytes.len();
        println!("{} bytes: factor {factor}", bytes.len());
        assert_eq!(result, Ok(1));
        assert!(factor <= MEMORY_FACTOR);
    }
}

#[test]
fn memory_that_changes_meanwhile_does_no_harm() {
    let mut samples = samples();
    // SAFETY: nothing that needs trust is accepted; that the memory changes is the point.
    while_changing(&samples.swap_remove(1), |state, source| unsafe {
        let _ = decode(state.0, source, &DecodeOptions::PLAIN, &mut NoHandles);
    });
    let mut keys = ["return 2", "return 4", "return 'x'", "return 'a key of some length'"].iter().cycle();
    let fields = encoded(
        "return {5, {2}, nil, 'some longer text', x = {y = 'some longer text'}, ['a key of some length'] = 1}",
    );
    // SAFETY: as above; the key is at index 1.
    while_changing(&fields, |state, source| unsafe {
        keys.next().map(|key| state.run(key, 0));
        let _ = decode_field(state.0, source, 1, &DecodeOptions::PLAIN, &mut NoHandles);
    });
}

/// Calls `read` many times while another thread changes single bytes of the sample and puts them right again.
fn while_changing(sample: &[u8], mut read: impl FnMut(&State, Source)) {
    use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
    let shared: Vec<AtomicU8> = sample.iter().map(|&b| AtomicU8::new(b)).collect();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut random = 88_172_645_463_325_252_u64;
            while !stop.load(Ordering::Relaxed) {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let at = HEAD + random as usize % (shared.len() - HEAD);
                shared[at].store((random >> 32) as u8, Ordering::Relaxed);
                shared[at].store(sample[at], Ordering::Relaxed);
            }
        });
        let state = State::new();
        for _ in 0..20_000 {
            // SAFETY: the memory lives meanwhile.
            read(&state, unsafe { Source::new(shared.as_ptr().cast(), shared.len()) });
            // SAFETY: drops the values.
            unsafe { lua_settop(state.0, 0) };
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn what_values_may_take_is_bounded_by_more_than_their_length() {
    let limit = 1 << 20;
    let options = DecodeOptions { max_memory: limit, ..DecodeOptions::INERT };
    let greedy = [
        "local t = {} for i = 1, 20000 do t[i] = {} end return t",
        "local t = {} for i = 1, 100000 do t[i] = false end return t",
        "local t = {} for i = 1, 20000 do t[i + 0.5] = true end return t",
        "local t = {} for i = 1, 20000 do t[i] = 'x' .. i end return t",
        "return ('x'):rep(2 << 20)",
        "local t = {} for i = 1, 20000 do t[i] = function() return i end end return t",
    ];
    for source in greedy {
        let receiver = State::new();
        receiver.run("collectgarbage() before = collectgarbage('count')", 0);
        let error = receiver.decode(&encoded(source), &options).unwrap_err();
        assert_eq!(error, DecodeError::TooMuch { limit }, "{source}");
        receiver.run("local used = collectgarbage('count') - before assert(used < 1300, used)", 0);
    }
    let modest = encoded("local t = {} for i = 1, 2000 do t[i] = { i, 'x' .. i } end return t");
    assert_eq!(State::new().decode(&modest, &options), Ok(1));
}

#[test]
fn what_is_not_accepted_arrives_without_effect_where_the_options_say_so() {
    let receiver = State::new();
    // SAFETY: a valid state with free slots.
    unsafe { register_inert(receiver.0) };
    let bytes = encoded(
        "local up = {} local function f() return up end \
         return f, { f, f }, function() return f, up end, print, string, _G, setmetatable({ 1 }, { __index = print })",
    );
    let count = receiver.decode(&bytes, &DecodeOptions::INERT).unwrap();
    receiver.run(
        "local f, list, g, p, s, globals, t = ... \
         assert(rawequal(f, list[1]) and rawequal(f, list[2]) and not rawequal(f, g)) \
         assert(tostring(f) == 'inert function from a sandboxed job') \
         assert(tostring(p) == 'inert C function print from a sandboxed job') \
         assert(tostring(s) == 'inert module string from a sandboxed job') \
         assert(tostring(globals) == 'inert globals table from a sandboxed job') \
         assert(t[1] == 1 and getmetatable(t) == nil) \
         assert(not pcall(f))",
        count,
    );
    for (index, _) in bytes.iter().enumerate() {
        // Whatever is changed in it, it is an error or other values.
        let mut broken = bytes.clone();
        broken[index] ^= 0x5a;
        if let Ok(count) = receiver.decode(&broken, &DecodeOptions::INERT) {
            // SAFETY: drops the values.
            unsafe { lua_settop(receiver.0, receiver.top() - count) };
        }
    }
}

fn varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// A table of these pairs, as encoded bytes.
fn table_of(hint: u8, pairs: impl Iterator<Item = (Vec<u8>, u8)>) -> Vec<u8> {
    let mut bytes = vec![TABLE, 0, hint];
    for (key, value) in pairs {
        bytes.extend(key);
        bytes.push(value);
    }
    bytes.push(END);
    message(&bytes)
}

fn integer(key: u64) -> Vec<u8> {
    let mut bytes = vec![INT];
    varint(&mut bytes, key << 1);
    bytes
}

/// Numbers that LuaJIT puts on one place of a table of 2^16 places (`hashrot` of lj_tab.c).
fn alike_in_luajit() -> impl Iterator<Item = Vec<u8>> {
    const HIGH: u32 = 0x4000_0000;
    let high = HIGH << 1;
    let turned = high.rotate_left(14);
    let other = turned.rotate_left(5);
    (0..1u32 << 16).map(move |number| {
        // The low 16 bits of `other ^ word` are those of `word.rotate_left(13)`.
        let (top, middle) = (number & 0x1fff, number >> 13);
        let low = (other & 0x1fff) ^ top;
        let word = top << 19 | middle << 16 | ((other >> 13 ^ low) & 7) << 13 | low;
        let bits = u64::from(HIGH) << 32 | u64::from(word.wrapping_add(turned) ^ high);
        [&[FLOAT][..], &bits.to_le_bytes()].concat()
    })
}

/// With keys that all have one main position; or, where Lua makes a place for a key without a value, with such keys, for
/// which it counts all others each time.
fn slow_table() -> Vec<u8> {
    if cfg!(any(feature = "lua54", feature = "lua55")) {
        return table_of(18, (1..1 << 17).map(|key| (integer(key * ((1 << 17) - 1)), TRUE)));
    }
    if cfg!(feature = "luajit") {
        return table_of(17, alike_in_luajit().map(|key| (key, TRUE)));
    }
    // One fewer than places, so that the next key takes the last one and leaves it as good as empty.
    let live = (1..1 << 16).map(|key| (integer(key * 3), TRUE));
    let dead = (1..=1 << 17).map(|key| (integer(key * 3 + 1), NIL));
    table_of(17, live.chain(dead))
}

#[test]
fn keys_chosen_to_collide_are_refused_in_a_time_that_grows_with_their_number() {
    let state = State::new();
    let slow = slow_table();
    assert_eq!(state.decode(&slow, &DecodeOptions::PLAIN).map(drop), Err(DecodeError::TooSlow));
}

#[test]
fn honest_values_are_never_taken_for_slow_ones() {
    let state = State::new();
    for code in [
        "local t = {} for i = 1, 100000 do t[i * 7919] = i end return t",
        "local t = {} for i = 1, 60000 do t['key number ' .. i] = {i, 'value'} end return t",
        "local t = {} for i = 1, 300000 do t[i] = i end return t",
        "local t = {} for i = 1, 50000 do t[i + 0.5] = 'x' .. i end return t",
        "local t = {} for i = 1, 20000 do t[i] = string.rep('x', i % 300) .. i end return t",
    ] {
        assert!(state.decode(&encoded(code), &DecodeOptions::PLAIN).is_ok(), "{code}");
    }
}
