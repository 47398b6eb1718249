//! What cannot travel, in words.

use super::*;

const COROUTINE: &str = "a coroutine cannot leave its Lua state";

#[test]
fn paths_name_every_way_to_a_value() {
    for (code, roots, path) in [
        ("return coroutine.create(function() end)", Roots::Values, "the value"),
        ("return 1, coroutine.create(function() end)", Roots::Values, "value 2"),
        ("return 1, coroutine.create(function() end)", Roots::Arguments, "argument 2"),
        ("return 1, coroutine.create(function() end)", Roots::Results, "result 2"),
        ("return print, coroutine.create(function() end)", Roots::Job, "argument 1"),
        (
            "local c = coroutine.create(function() end) return function() return c end",
            Roots::Job,
            "upvalue 'c'",
        ),
        ("return {1, {x = coroutine.create(function() end)}}", Roots::Values, "index 2 → field 'x'"),
        ("return {[1.5] = coroutine.create(function() end)}", Roots::Values, "index 1.5"),
        ("return {[true] = coroutine.create(function() end)}", Roots::Values, "index true"),
        ("return {[{}] = coroutine.create(function() end)}", Roots::Values, "value of a table key"),
        ("return {x = {[coroutine.create(function() end)] = 1}}", Roots::Values, "field 'x' → key"),
        (
            "return {x = setmetatable({}, {y = coroutine.create(function() end)})}",
            Roots::Values,
            "field 'x' → metatable → field 'y'",
        ),
        ("return {1, nil, 3, nil, coroutine.create(function() end)}", Roots::Values, "index 5"),
        (
            "local pg = {sock = coroutine.create(function() end)} return function() return pg end",
            Roots::Job,
            "upvalue 'pg' → field 'sock'",
        ),
        (
            "local t = {} for i = 1, 3000 do t[i] = {i} end t[2900][1] = coroutine.create(function() end) return t",
            Roots::Results,
            "result 1 → index 2900 → index 1",
        ),
    ] {
        assert_eq!(refused(code, roots), format!("cannot send {path}: {COROUTINE}"), "{code}");
    }
}

#[test]
fn reasons_are_sentences() {
    let sender = State::new();
    // SAFETY: pushes onto a valid state.
    unsafe { lua_pushlightuserdata(sender.0, sender.0.cast()) };
    let error = sender.encode(1, &EncodeOptions::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot send the value: a light userdata is an address, which means nothing elsewhere"
    );
    assert_eq!(
        refused("return {f = (string.gmatch('a', 'b'))}", Roots::Values),
        "cannot send field 'f': a C function that no loaded module has as a field"
    );
    assert_eq!(
        refused("return {f = io.tmpfile()}", Roots::Arguments),
        "cannot send argument 1 → field 'f': userdata 'FILE*' has no __clone"
    );
}

#[test]
fn a_limit_on_length_holds() {
    let sender = State::new();
    let options = EncodeOptions { max_len: 1000, ..EncodeOptions::default() };
    for code in [
        "return string.rep('x', 2000)",
        "return string.rep('x', 2 ^ 20)",
        "local t = {} for i = 1, 2000 do t[i] = i end return t",
    ] {
        let count = sender.run(code, 0);
        let error = sender.encode(count, &options).unwrap_err();
        assert_eq!(error.to_string(), "cannot send more than 1000 bytes");
    }
    let bytes = encoded("return string.rep('x', 2000)");
    let options = DecodeOptions { max_len: 1000, ..DecodeOptions::TRUSTED };
    let error = State::new().decode(&bytes, &options).unwrap_err().to_string();
    assert_eq!(error, format!("the message has {} bytes, more than the 1000 accepted here", bytes.len()));
}

#[test]
fn an_encoder_is_usable_after_an_error() {
    let sender = State::new();
    for _ in 0..3 {
        let count = sender.run("return {{{coroutine.create(function() end)}}}", 0);
        assert!(sender.encode(count, &EncodeOptions::default()).is_err());
        let count = sender.run("return {1}", 0);
        assert!(sender.encode(count, &EncodeOptions::default()).is_ok());
    }
}

/// An allocator that stops giving after a number of bytes.
struct Allowance(usize);

unsafe extern "C" fn allocate(
    ud: *mut std::ffi::c_void,
    old: *mut std::ffi::c_void,
    had: usize,
    want: usize,
) -> *mut std::ffi::c_void {
    // SAFETY: `ud` is the test's `Allowance`; memory comes from malloc, as Lua asks.
    unsafe {
        let left = &mut (*ud.cast::<Allowance>()).0;
        let had = if old.is_null() { 0 } else { had };
        if want == 0 {
            *left += had;
            libc_free(old);
            return std::ptr::null_mut();
        }
        if want > had && want - had > *left {
            return std::ptr::null_mut();
        }
        *left = *left + had - want;
        libc_realloc(old, want)
    }
}

unsafe extern "C" {
    #[link_name = "free"]
    fn libc_free(block: *mut std::ffi::c_void);
    #[link_name = "realloc"]
    fn libc_realloc(block: *mut std::ffi::c_void, size: usize) -> *mut std::ffi::c_void;
}

/// LuaJIT needs memory for the first address of a region, here that of the C stack. The codec's callers are called by
/// Lua, so the error would be an ordinary one; this test calls the codec from outside.
unsafe fn know_addresses(state: &State) {
    let here = 0u8;
    // SAFETY: pushes onto a valid state.
    unsafe {
        lua_pushlightuserdata(state.0, (&raw const here).cast_mut().cast());
        lua_settop(state.0, 0);
    }
}

#[test]
fn running_out_of_memory_anywhere_is_an_error() {
    let code = "x = {1} return {a = {1, 2, {}}, f = function() return x end, s = string.rep('long ', 20), m = setmetatable({}, {})}";
    let bytes = encoded(code);
    let mut allowance = Box::new(Allowance(usize::MAX / 2));
    // SAFETY: the state is closed before the allowance is dropped; libraries are opened while memory is plenty.
    unsafe {
        let state = State(lua_newstate(allocate, (&raw mut *allowance).cast()));
        luaL_openlibs(state.0);
        know_addresses(&state);
        state.run("collectgarbage()", 0);
        for room in (0..8000).step_by(16) {
            let plenty = allowance.0;
            allowance.0 = room;
            match state.decode(&bytes, &DecodeOptions::TRUSTED) {
                Ok(_) | Err(DecodeError::Memory) => {}
                Err(other) => panic!("{other}"),
            }
            allowance.0 = plenty;
            lua_settop(state.0, 0);
            let _ = state.run("collectgarbage()", 0);
        }
        for room in (0..8000).step_by(16) {
            let fresh = State(lua_newstate(allocate, (&raw mut *allowance).cast()));
            luaL_openlibs(fresh.0);
            know_addresses(&fresh);
            let count = fresh.run(code, 0);
            let plenty = std::mem::replace(&mut allowance.0, room);
            match fresh.encode(count, &EncodeOptions::default()) {
                Ok(_) | Err(EncodeError::Memory) => {}
                Err(other) => panic!("{other}"),
            }
            allowance.0 = plenty;
        }
    }
}

#[test]
fn running_out_of_memory_never_leaves_half_a_hash() {
    let bytes = {
        let sender = State::new();
        // SAFETY: the state is valid and its memory plenty.
        unsafe { crate::types::hash::push(sender.0, llib_crypto::Algorithm::Sha1) };
        sender.encode(1, &EncodeOptions::default()).unwrap()
    };
    let mut allowance = Box::new(Allowance(usize::MAX / 2));
    let mut failures = 0;
    for room in (0..4000).step_by(16) {
        // SAFETY: as above; no hash has been in this state before, so its type has to be registered.
        unsafe {
            let state = State(lua_newstate(allocate, (&raw mut *allowance).cast()));
            luaL_openlibs(state.0);
            know_addresses(&state);
            let plenty = std::mem::replace(&mut allowance.0, room);
            let decoded = state.decode(&bytes, &DecodeOptions::PLAIN);
            allowance.0 = plenty;
            let count = match decoded {
                Ok(count) => count,
                Err(DecodeError::Memory) => {
                    failures += 1;
                    state.decode(&bytes, &DecodeOptions::PLAIN).unwrap()
                }
                Err(other) => panic!("{other}"),
            };
            state.run(
                "local h = ... assert(tostring(h) == 'llib.hash: sha1' and getmetatable(h) == 'llib.hash')
                assert(#(h + 'a'):update('b'):final() == 40)",
                count,
            );
        }
    }
    assert!(failures > 20, "{failures} of the states had too little");
}
