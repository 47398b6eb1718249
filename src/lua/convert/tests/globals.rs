//! Globals that go along.

use super::*;

#[test]
fn the_globals_a_function_names_go_along() {
    trip(
        "x = 5 function helper() return deeper() + x end function deeper() return 10 end unused = 1
        return function() return helper() end",
        "assert((...)() == 15 and x == 5 and unused == nil)",
    );
}

#[test]
fn globals_shared_with_values_stay_shared() {
    trip(
        "shared = {1} function touch() shared[1] = shared[1] + 1 end
        return shared, function() touch() return shared end",
        "local t, f = ... assert(f() == t and t[1] == 2 and shared == t)",
    );
}

#[test]
fn the_standard_library_does_not_go_along() {
    let with = encoded("return function() print(string.format(tostring(_VERSION), math.pi), _G) end");
    trip_between(
        &State::new(),
        &State::new(),
        "return function() return print, string, _G, _VERSION end",
        "local p, s = (...)() assert(p == print and s == string)",
    );
    // Nothing but a GLOBAL section has this byte before a name; the code itself contains the names alone.
    assert!(!with.windows(2).any(|w| w == [0xf3, 5]), "print was sent");
}

#[test]
fn a_replaced_global_goes_along() {
    trip(
        "local old = tostring function tostring(v) return 'mine ' .. old(v) end return function() return tostring(1) end",
        "assert((...)() == 'mine 1')",
    );
    trip("say = print return function() return say end", "assert((...)() == print)");
}

#[test]
fn names_without_access_to_globals_do_not_matter() {
    if HAS_ENVIRONMENTS {
        // Every function has access.
        return;
    }
    trip(
        "field = {1} return function(t) return t.field end",
        "assert((...){field = 3} == 3 or true) assert(field == nil)",
    );
}

#[test]
fn an_unsendable_global_says_why_when_it_is_used() {
    trip(
        "conn = {sock = coroutine.create(function() end)} other = {f = function() return conn end} plain = 1 co = coroutine.create(function() end)
        return function() return plain, function() return conn end, function() return co end, other end",
        "local one, conn, co = (...)() assert(one == 1)
        local ok, e = pcall(conn)
        assert(not ok and e:find(\"global 'conn' could not be sent: field 'sock': a coroutine cannot leave its Lua state\", 1, true), e)
        local ok, e = pcall(co)
        assert(e:find(\"global 'co' could not be sent: a coroutine\", 1, true), e)
        conn_is_nil = 1 assert(undefined == nil)
        conn = 5 assert(conn == 5)",
    );
}

#[test]
fn what_a_failed_global_contained_is_sent_anew_elsewhere() {
    trip(
        "local t = {1, 2} local function f() return late end late = t
        bad = {t, f, function() return only_in_bad end, coroutine.create(function() end)} only_in_bad = 1 good = {t, f}
        return function() return bad, good end",
        "local ok = pcall((...)) assert(not ok and good[1][2] == 2 and good[2]() == good[1] and only_in_bad == nil)",
    );
}

#[test]
fn an_index_metamethod_of_the_globals_is_kept() {
    let receiver = State::new();
    receiver.run("setmetatable(_G, {__index = function(_, k) return k .. '!' end, __name = 'kept'})", 0);
    let sender = State::new();
    for _ in 0..2 {
        trip_between(
            &sender,
            &receiver,
            "co = coroutine.create(function() end) return function() return co end",
            "assert(not pcall((...))) assert(anything == 'anything!' and getmetatable(_G).__name == 'kept')",
        );
    }
}

fn with_options(send: &str, options: &EncodeOptions<'_>, check: &str) {
    let (sender, receiver) = (State::new(), State::new());
    let count = sender.run(send, 0);
    let bytes = sender.encode(count, options).unwrap();
    let count = receiver.decode(&bytes, &DecodeOptions::TRUSTED).unwrap();
    receiver.run(check, count);
}

#[test]
fn modes_choose_the_globals() {
    let code = "a = 1 b = {a} c = print return function() return a end";
    let all = EncodeOptions { globals: GlobalMode::All, ..EncodeOptions::default() };
    with_options(code, &all, "assert(a == 1 and b[1] == 1 and c == print)");
    let none = EncodeOptions { globals: GlobalMode::None, ..EncodeOptions::default() };
    with_options(code, &none, "assert(a == nil and b == nil)");
    let names = [b"b".to_vec(), b"nothing".to_vec()];
    let extra = EncodeOptions { extra_globals: &names, ..EncodeOptions::default() };
    with_options(code, &extra, "assert(a == 1 and b[1] == 1 and c == nil)");
    // Also with a value that names none.
    with_options("a = 1 b = 2 return 5", &all, "assert(... == 5 and a == 1 and b == 2)");
    with_options("a = 1 b = 2 return 'text'", &extra, "assert(... == 'text' and a == nil and b == 2)");
}

#[test]
fn globals_can_be_refused() {
    let bytes = encoded("x = 1 return function() return x end");
    let options = DecodeOptions { globals: false, ..DecodeOptions::TRUSTED };
    let error = State::new().decode(&bytes, &options).unwrap_err();
    assert_eq!(error.to_string(), "a global is not accepted here");
}
