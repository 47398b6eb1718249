//! Which names things get, classes, environments, and what comes along for `require`.

use super::*;

unsafe extern "C-unwind" fn nine(lua: *mut lua_State) -> c_int {
    // SAFETY: a C function has free slots.
    unsafe { lua_pushinteger(lua, 9) };
    1
}

/// What a message says the value of `code` is called, in a state whose tables were filled in an order of their own.
fn name_of(prepare: &str, code: &str, seed: u32) -> String {
    let state = State::new();
    state.library(c"ninth", c"nine", nine);
    state.run(prepare, 0);
    state.run(
        "local seed = ...
        local function random(n) seed = seed * 16807 % 2147483647 return seed % n + 1 end
        local rawset, pairs, loaded = rawset, pairs, package.loaded
        local function shuffle(t)
            local keys, copy = {}, {}
            for k, v in pairs(t) do keys[#keys + 1] = k copy[k] = v end
            for i = #keys, 2, -1 do local j = random(i) keys[i], keys[j] = keys[j], keys[i] end
            for i = 1, #keys do rawset(t, keys[i], nil) end
            for i = 1, 500 do rawset(t, i, i) end
            for i = 1, 500 do rawset(t, i, nil) end
            for i = 1, #keys do rawset(t, keys[i], copy[keys[i]]) end
        end
        shuffle(loaded.ninth) shuffle(loaded.table) shuffle(loaded.math) shuffle(_G) shuffle(loaded)",
        {
            // SAFETY: the state is valid.
            unsafe { lua_pushinteger(state.0, seed.into()) };
            1
        },
    );
    let count = state.run(code, 0);
    let bytes =
        state.encode(count, &EncodeOptions::default()).unwrap_or_else(|error| panic!("{code}: {error}"));
    let at = bytes.iter().position(|byte| *byte & !format::SHARED == format::NAMED).expect("a name");
    let len = usize::from(bytes[at + 1]);
    String::from_utf8_lossy(&bytes[at + 2..at + 2 + len]).replace('\0', ".")
}

#[test]
fn no_order_of_tables_changes_a_name() {
    const ALIASES: &str = "local l, t = package.loaded, {}
        for _, n in ipairs {'a', 'b', 'nin', 'zz.ninth', 'z', 'compat.ninth', 'nin.th', 'ninth2'} do l[n] = l.ninth end
        table.now, math.format, table.rep, string.nine = os.clock, string.format, string.rep, l.ninth.nine
        l.re = {nine = l.ninth.nine, also = l.ninth.nine, clock = os.clock} g, now = l.ninth.nine, os.clock
        for i = 1, 20 do l['more' .. i] = {['f' .. i] = l.ninth.nine, print = print} end";
    for seed in 1..60 {
        for (code, name) in [
            ("return package.loaded.z.nine", "ninth.nine"),
            ("return package.loaded['compat.ninth']", "ninth"),
            ("return table.now", "os.clock"),
            ("return math.format", "string.format"),
            ("return package.loaded.more5.print", "_G.print"),
            ("return string", "string"),
        ] {
            assert_eq!(name_of(ALIASES, code, seed), name, "{code}, order {seed}");
        }
    }
}

#[test]
fn of_names_that_can_be_required_the_shorter_one_counts_unless_a_global_has_it() {
    for seed in 1..20 {
        let files = |also: &str| {
            // The second file of the module.
            format!(
                "local f = assert(io.open(package.cpath:gsub('%?.so', 'longer_ninth.so'), 'w')) f:close()
                package.loaded.longer_ninth = package.loaded.ninth {also}"
            )
        };
        let code = "return package.loaded.ninth";
        assert_eq!(name_of(&files(""), code, seed), "ninth");
        assert_eq!(name_of(&files("longer_ninth = package.loaded.ninth"), code, seed), "longer_ninth");
    }
}

#[test]
fn a_class_with_an_identity_comes_home_to_those_who_trust_its_sender_alone() {
    let home = State::new();
    home.run(
        "Class = {f = {}} Class.__index = Class package.loaded.own = {Class = Class} x = setmetatable({}, Class)",
        0,
    );
    let count = home.run("return x, Class, Class.f", 0);
    let bytes = home.encode(count, &EncodeOptions::default()).unwrap();
    let count = home.decode(&bytes, &DecodeOptions::TRUSTED).unwrap();
    home.run("local y, c = ... assert(y ~= x and getmetatable(y) == Class and c == Class)", count);
    for options in [
        DecodeOptions { metatables: true, ..DecodeOptions::PLAIN },
        DecodeOptions { functions: true, requires: true, metatables: true, ..DecodeOptions::INERT },
    ] {
        let count = home.decode(&bytes, &options).unwrap();
        home.run(
            "local y, c, f = ... assert(c ~= Class and getmetatable(y) == c and c.__index == c and c.f == f)",
            count,
        );
    }
    // Elsewhere it is one class, and on its way back it is the one from here.
    let other = State::new();
    let first = other.decode(&bytes, &DecodeOptions::TRUSTED).unwrap();
    other.run("a = ...", first);
    let second = other.decode(&bytes, &DecodeOptions::TRUSTED).unwrap();
    let count =
        other.run("local b = ... assert(getmetatable(a) == getmetatable(b) and a ~= b) return a, b", second);
    let bytes = other.encode(count, &EncodeOptions::default()).unwrap();
    let count = home.decode(&bytes, &DecodeOptions::TRUSTED).unwrap();
    home.run(
        "local a, b = ... assert(getmetatable(a) == Class and getmetatable(b) == Class and Class.f)",
        count,
    );
    // Forgotten, it is another.
    // SAFETY: the state is valid; memory errors aside nothing is raised.
    unsafe { forget_classes(other.0) };
    let count = other.decode(&bytes, &DecodeOptions::TRUSTED).unwrap();
    other.run("local b = ... assert(getmetatable(a) ~= getmetatable(b))", count);
}

#[test]
fn a_message_that_fails_leaves_no_class_behind() {
    let home = State::new();
    home.run("Class = {} Class.__index = Class package.loaded.own = {Class = Class}", 0);
    let count = home.run("return setmetatable({}, Class), print", 0);
    let bytes = home.encode(count, &EncodeOptions::default()).unwrap();
    let other = State::new();
    let options = DecodeOptions { requires: false, ..DecodeOptions::TRUSTED };
    assert!(other.decode(&bytes, &options).is_err());
    let count = other.decode(&bytes, &DecodeOptions::TRUSTED).unwrap();
    assert_eq!(count, 2);
    other.run("local x = ... assert(getmetatable(x).__index == getmetatable(x))", count);
}

#[test]
fn what_comes_for_require_is_for_trusted_senders() {
    let sender = State::new();
    sender.run("package.preload.mine = function() return {1} end", 0);
    let count = sender.run("return function() return require 'mine'[1] end", 0);
    let bytes = sender.encode(count, &EncodeOptions::default()).unwrap();
    for options in [
        DecodeOptions { globals: false, ..DecodeOptions::TRUSTED },
        DecodeOptions { requires: false, ..DecodeOptions::TRUSTED },
        DecodeOptions::PLAIN,
        DecodeOptions::INERT,
    ] {
        let receiver = State::new();
        assert!(receiver.decode(&bytes, &options).is_err());
        receiver.run("assert(not package.preload.mine)", 0);
    }
    let receiver = State::new();
    let count = receiver.decode(&bytes, &DecodeOptions::TRUSTED).unwrap();
    receiver.run("assert((...)() == 1)", count);
}

#[test]
fn functions_that_were_taken_away_are_not_to_be_had_by_name() {
    let sender = State::new();
    let receiver = State::new();
    let count = sender.run("return os.remove", 0);
    let bytes = sender.encode(count, &EncodeOptions::default()).unwrap();
    receiver.run("os.remove = nil", 0);
    // They are, where a script did it.
    let count = receiver.decode(&bytes, &DecodeOptions::TRUSTED).unwrap();
    receiver.run("assert(type(...) == 'function')", count);
    // But not for those whose functions alone are taken.
    let options = DecodeOptions { functions: true, requires: true, ..DecodeOptions::INERT };
    let error = receiver.decode(&bytes, &options).unwrap_err().to_string();
    assert_eq!(error, "cannot find 'os.remove' here: it has no field 'remove'");
    // SAFETY: the state is valid; nothing is raised. The process is that of the tests, so the names alone are dropped.
    unsafe { crate::convert::names::forget_originals(receiver.0) };
    let error = receiver.decode(&bytes, &DecodeOptions::TRUSTED).unwrap_err().to_string();
    assert_eq!(error, "cannot find 'os.remove' here: it has no field 'remove'");
}

#[test]
fn an_environment_that_cannot_travel_in_part_leaves_the_rest_as_it_was() {
    let code = if HAS_ENVIRONMENTS {
        "local env = setmetatable({a = 1, co = coroutine.create(print)}, {__index = _G})
        env.deep = {setfenv(function() return b, co end, env), coroutine.create(print)} env.b = 2
        return setfenv(function() return a, deep end, env), setfenv(function() return b end, env)"
    } else {
        "local env = setmetatable({a = 1, co = coroutine.create(print)}, {__index = _G})
        local _ENV = env
        env.deep = {function() return b, co end, coroutine.create(print)} env.b = 2
        return function() return a, deep end, function() return b end"
    };
    trip(
        code,
        "local f, g = ... assert(g() == 2)
        local ok, e = pcall(f)
        assert(not ok and e:find(\"global 'deep' could not be sent: index 2: a coroutine\", 1, true), e)",
    );
}
