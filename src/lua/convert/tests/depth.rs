//! Nesting without limit.

use super::*;

#[test]
fn a_million_tables_in_each_other_by_field() {
    trip(
        "local t = {} for i = 1, 1000000 do t = {next = t, i = i} end return t, 'after'",
        "local t, after = ... for i = 1000000, 1, -1 do assert(t.i == i) t = t.next end assert(next(t) == nil and after == 'after')",
    );
}

#[test]
fn a_million_tables_in_each_other_by_item() {
    trip(
        "local t = {} for i = 1, 1000000 do t = {t} end return t",
        "local t, n = ..., 0 while t[1] do t = t[1] n = n + 1 end assert(n == 1000000)",
    );
}

#[test]
fn a_million_tables_in_each_other_by_key() {
    trip(
        "local t = {} for i = 1, 1000000 do t = {[t] = {i}} end return t",
        "local t = ... for i = 1000000, 1, -1 do local k, v = next(t) assert(v[1] == i) t = k end assert(next(t) == nil)",
    );
}

#[test]
fn a_million_metatables_of_each_other() {
    trip(
        "local t = {} for i = 1, 1000000 do t = setmetatable({}, t) end return t",
        "local t, n = ..., 0 while getmetatable(t) do t = getmetatable(t) n = n + 1 end assert(n == 1000000)",
    );
}

#[test]
fn a_chain_of_upvalues() {
    trip(
        "local f = function() return 0 end for i = 1, 200000 do local g = f f = function() return g, i end end return f",
        "local f, n = ..., 0 while true do local g, i = f() if not i then break end n = n + 1 f = g end assert(n == 200000)",
    );
}

#[test]
fn many_containers_at_the_depth_where_slots_move() {
    trip(
        "local wide = {} for i = 1, 20000 do wide[i] = {{{{i}}}} end
        local t = wide for i = 1, 198 do t = {x = t} end
        local u = wide for i = 1, 397 do u = {y = u} end return t, u",
        "local t, u = ... for i = 1, 198 do t = t.x end for i = 1, 397 do u = u.y end
        assert(t == u and #t == 20000) for i = 1, 20000 do assert(t[i][1][1][1][1] == i) end",
    );
}

#[test]
fn an_error_in_the_deep_names_both_ends_of_its_path() {
    let error = refused(
        "local t = {co = coroutine.create(function() end)} for i = 1, 100000 do t = {a = t} end return t",
        Roots::Values,
    );
    assert_eq!(
        error,
        "cannot send field 'a' → field 'a' → field 'a' → field 'a' → field 'a' → field 'a' → field 'a' → field 'a' → \
         … (99985 levels) → field 'a' → field 'a' → field 'a' → field 'a' → field 'a' → field 'a' → field 'a' → \
         field 'co': a coroutine cannot leave its Lua state"
    );
}
