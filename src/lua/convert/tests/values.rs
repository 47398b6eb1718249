//! Plain values and tables.

use super::*;

#[test]
fn scalars_arrive_exactly() {
    trip(
        "local inf = 1/0 return nil, true, false, 0, -16, -17, 111, 112, 9007199254740993, -9007199254740991, 1.0, 0.1, -1/inf, 1/0, -1/0, 0/0",
        "local v = table.pack(...)
        assert(v.n == 16 and v[1] == nil and v[2] == true and v[3] == false)
        local want = {[4]=0, [5]=-16, [6]=-17, [7]=111, [8]=112, [9]=9007199254740993, [10]=-9007199254740991}
        for i, w in pairs(want) do assert(v[i] == w and math.type(v[i]) == 'integer', i) end
        assert(v[11] == 1 and v[12] == 0.1)
        assert(v[13] == 0 and 1/v[13] == -1/0 and v[14] == 1/0 and v[15] == -1/0 and v[16] ~= v[16])",
    );
    if HAS_INTEGERS {
        trip(
            "return math.maxinteger, math.mininteger, 1.0, 2^53",
            "local a, b, c, d = ... assert(a == math.maxinteger and b == math.mininteger and math.type(a) == 'integer')
            assert(math.type(c) == 'float' and math.type(d) == 'float')",
        );
    }
}

#[test]
fn no_values_and_many_values_arrive() {
    trip("return", "assert(select('#', ...) == 0)");
    trip(
        "local t = {} for i = 1, 3000 do t[i] = i end return table.unpack(t)",
        "assert(select('#', ...) == 3000 and select(-1, ...) == 3000)",
    );
}

#[test]
fn strings_of_every_length_and_any_bytes_arrive() {
    trip(
        "local t = {} for i = 0, 300 do t[i] = string.rep('\\0\\255x', i):sub(1, i) end
        t.big = string.rep('b', 2 ^ 20) t.edge = string.rep('e', 32768) t.below = string.rep('f', 32767)
        return t, t.big, t.edge",
        "local t, big, edge = ...
        for i = 0, 300 do assert(t[i] == string.rep('\\0\\255x', i):sub(1, i)) end
        assert(big == string.rep('b', 2 ^ 20) and t.big == big and edge == string.rep('e', 32768))
        assert(t.edge == edge and t.below == string.rep('f', 32767))",
    );
}

#[test]
fn a_long_string_is_sent_once() {
    let bytes =
        encoded("local s = string.rep('x', 2 ^ 20) local t = {} for i = 1, 1000 do t[i] = s end return t");
    assert!(bytes.len() < (1 << 20) + 5000, "{}", bytes.len());
}

#[test]
fn an_integer_takes_a_byte_beside_the_frame_of_the_message() {
    assert_eq!(encoded("return 5").len(), 8 + 1 + 1 + 1);
}

#[test]
fn tables_keep_items_pairs_and_holes() {
    trip(
        "local holes = {1, nil, 3, nil, nil, 6}
        local sparse = {} for i = 0, 40 do sparse[2 ^ i] = i end
        local backwards = {} for i = 100, 1, -1 do backwards[i] = i end
        local keys = {[1.5] = 'f', [true] = 't', [-1] = 'n', [0] = 'z', [''] = 'e', [2^53] = 'b'}
        return holes, sparse, backwards, keys, {}, {n = 3, nil, nil, 7}, {{}, {{}}}",
        "local holes, sparse, backwards, keys, empty, packed, nested = ...
        assert(holes[1] == 1 and holes[2] == nil and holes[3] == 3 and holes[6] == 6 and (#holes == 6 or jit or _VERSION == 'Lua 5.5'))
        local n = 0 for k, v in pairs(sparse) do assert(k == 2 ^ v) n = n + 1 end assert(n == 41)
        assert(#backwards == 100) for i = 1, 100 do assert(backwards[i] == i) end
        assert(keys[1.5] == 'f' and keys[true] == 't' and keys[-1] == 'n' and keys[0] == 'z' and keys[''] == 'e')
        assert(keys[2^53] == 'b' and next(empty) == nil and packed.n == 3 and packed[3] == 7)
        assert(type(nested[2][1]) == 'table')",
    );
}

#[test]
fn holes_before_and_after_containers_arrive() {
    trip(
        "local t = {nil, {1}, nil, {2}, nil, nil, {3}, 8} t[4] = nil return t",
        "local t = ... assert(t[2][1] == 1 and t[7][1] == 3 and t[8] == 8 and t[4] == nil and (#t == 8 or _VERSION == 'Lua 5.5'))",
    );
}

#[test]
fn identity_and_cycles_are_kept() {
    trip(
        "local t, u = {}, {} t.self = t t.u = u u.t = t t[t] = u t[u] = {t, u} return t, u, t",
        "local t, u, again = ...
        assert(t == again and t.self == t and t.u == u and u.t == t and t[t] == u)
        assert(t[u][1] == t and t[u][2] == u)",
    );
}

#[test]
fn metatables_are_shared_and_work() {
    trip(
        "local mt = {} mt.__index = mt function mt.get(self) return self.x end mt.__call = function(_, a) return a end
        local a, b = setmetatable({x = 1}, mt), setmetatable({x = 2}, mt) mt.__metatable = 'hidden'
        return a, b, setmetatable({}, {__mode = 'k'})",
        "local a, b, weak = ...
        assert(debug.getmetatable(a) == debug.getmetatable(b) and a:get() == 1 and b:get() == 2 and a(7) == 7)
        assert(getmetatable(a) == 'hidden')
        weak[{}] = 1 collectgarbage() assert(next(weak) == nil)",
    );
}

#[test]
fn no_metamethod_runs_on_the_way() {
    trip(
        "local function no() error('metamethod') end
        local mt = {__index = no, __newindex = no, __pairs = no, __len = no, __gc = nil, __eq = no, __name = 5}
        return setmetatable({1, 2, x = setmetatable({}, mt)}, mt)",
        "local t = ... assert(rawlen(t) == 2 and type(rawget(t, 'x')) == 'table' and not pcall(function() t.y = 1 end))",
    );
}

#[test]
fn a_finalizer_meets_a_complete_object() {
    if !TABLES_HAVE_FINALIZERS {
        return;
    }
    trip(
        "local t = setmetatable({}, {__gc = function(t) seen = t.later.x end}) t.later = {x = 5} return t",
        "local t = ... t = nil return",
    );
    let (sender, receiver) = (State::new(), State::new());
    trip_between(
        &sender,
        &receiver,
        "return setmetatable({later = {x = 5}}, {__gc = function(t) seen = t.later.x end})",
        "",
    );
    receiver.run("collectgarbage() collectgarbage() assert(seen == 5)", 0);
}

#[test]
fn a_metatable_that_llib_registered_travels_by_name() {
    let (sender, receiver) = (State::new(), State::new());
    for state in [&sender, &receiver] {
        // SAFETY: the state is valid.
        unsafe {
            luaL_newmetatable(state.0, c"llib.failure".as_ptr());
            lua_setglobal(state.0, c"failure".as_ptr());
        }
    }
    let count =
        sender.run("failure.huge = print return setmetatable({1}, failure), setmetatable({2}, failure)", 0);
    let bytes = sender.encode(count, &EncodeOptions::default()).unwrap();
    let count = receiver.decode(&bytes, &DecodeOptions::PLAIN).unwrap();
    receiver.run("local a, b = ... assert(getmetatable(a) == failure and getmetatable(b) == failure)", count);
    let count = sender.run("return setmetatable({}, {__name = 'llib.failure'})", 0);
    let bytes = sender.encode(count, &EncodeOptions::default()).unwrap();
    let error = receiver.decode(&bytes, &DecodeOptions::PLAIN).unwrap_err();
    assert_eq!(error.to_string(), "a metatable is not accepted here");
    receiver.run("failure.__gc = print", 0);
    let count = sender.run("return setmetatable({}, failure)", 0);
    let bytes = sender.encode(count, &EncodeOptions::default()).unwrap();
    assert!(receiver.decode(&bytes, &DecodeOptions::PLAIN).is_err());
}

#[test]
fn the_array_part_is_one_again() {
    let (sender, receiver) = (State::new(), State::new());
    trip_between(&sender, &receiver, "local t = {} for i = 1, 1000 do t[i] = i end return t", "kept = ...");
    receiver.run("collectgarbage() local before = collectgarbage('count') local t = table.move(kept, 1, 1000, 1, table.pack(table.unpack(kept, 1, 250)))
        kept = nil collectgarbage() local size = before - collectgarbage('count') assert(size < 18, size)", 0);
}

#[test]
fn null_travels_and_other_light_userdata_does_not() {
    let (sender, receiver) = (State::new(), State::new());
    // SAFETY: pushes onto a valid state.
    unsafe { lua_pushlightuserdata(sender.0, std::ptr::null_mut()) };
    let bytes = sender.encode(1, &EncodeOptions::default()).unwrap();
    receiver.decode(&bytes, &DecodeOptions::PLAIN).unwrap();
    // SAFETY: reads from a valid state.
    unsafe {
        assert!(lua_type(receiver.0, -1) == LUA_TLIGHTUSERDATA && lua_touserdata(receiver.0, -1).is_null())
    };
}

#[test]
fn the_collector_keeps_its_state() {
    if cfg!(any(feature = "lua51", feature = "luajit")) {
        // Scripts cannot ask.
        return;
    }
    let (sender, receiver) = (State::new(), State::new());
    trip_between(&sender, &receiver, "return {}", "assert(collectgarbage('isrunning'))");
    sender.run("collectgarbage('stop')", 0);
    receiver.run("collectgarbage('stop')", 0);
    trip_between(&sender, &receiver, "return {}", "assert(not collectgarbage('isrunning'))");
    sender.run("assert(not collectgarbage('isrunning'))", 0);
}

#[test]
fn a_text_written_without_lua_is_received_as_that_string_or_as_its_beginning() {
    let receiver = State::new();
    let mut place = [0; 8000];
    for len in [0, 1, 8, 127, 128, 7000, 9000] {
        let text = "x".repeat(len);
        let written = write_text(text.as_bytes(), &mut place);
        assert_eq!(receiver.decode(&place[..written], &DecodeOptions::PLAIN), Ok(1));
        receiver.run(&format!("local s = ... assert(s == ('x'):rep(math.min({len}, 7987)), #s)"), 1);
    }
    assert_eq!(write_text(b"text", &mut [0; 5]), 0);
}
