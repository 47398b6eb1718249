//! What the end of a Lua state gives back.

use std::ffi::CString;

use super::luaopen_llib;
use llib_core::sync::holds_any;
use llib_lua::call::bytes;
use llib_lua::ffi::*;

/// A state with the module in the global `llib`.
struct State(*mut lua_State);

impl State {
    fn new() -> State {
        // SAFETY: a new state, used by this thread alone; what opening raises is memory errors.
        unsafe {
            let lua = luaL_newstate();
            luaL_openlibs(lua);
            lua_pushcfunction(lua, luaopen_llib);
            assert_eq!(lua_pcall(lua, 0, 1, 0), LUA_OK);
            lua_setglobal(lua, c"llib".as_ptr());
            State(lua)
        }
    }

    fn run(&self, text: &str) {
        let text = CString::new(text).unwrap();
        // SAFETY: the state is open.
        unsafe {
            let status = luaL_loadstring(self.0, text.as_ptr());
            let status = if status == LUA_OK { lua_pcall(self.0, 0, 0, 0) } else { status };
            assert_eq!(status, LUA_OK, "{:?}", bytes(self.0, -1).map(String::from_utf8_lossy));
        }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        // SAFETY: nothing uses it after this.
        unsafe { lua_close(self.0) }
    }
}

#[test]
fn closing_a_state_gives_back_what_it_has_locked_as_often_as_it_did() {
    let state = State::new();
    state.run("for i = 1, 9 do llib.thread.lock(i % 3) end llib.thread.unlock(1)");
    state.run("m = llib.thread.mutex() m:lock() m:lock() n = llib.thread.mutex() n:trylock()");
    assert!(holds_any());
    drop(state);
    assert!(!holds_any());
}

#[test]
fn closing_a_state_leaves_other_states_theirs() {
    let (first, second) = (State::new(), State::new());
    first.run("llib.thread.lock(11) llib.thread.lock(12)");
    second.run("llib.thread.lock(12) llib.thread.lock(13)");
    drop(first);
    second.run("llib.thread.unlock(13) assert(not pcall(llib.thread.unlock, 11))");
    assert!(holds_any());
    second.run("llib.thread.unlock(12)");
    assert!(!holds_any());
    // One that gave back what another took leaves that one nothing.
    let third = State::new();
    third.run("llib.thread.lock(14)");
    second.run("llib.thread.unlock(14)");
    drop(third);
    assert!(!holds_any());
}

#[test]
fn finalizers_may_use_locks_while_the_state_is_closed() {
    let state = State::new();
    state.run(
        "local f = function() llib.thread.lock(15) llib.thread.lock(16) llib.thread.unlock(16) end \
         object = newproxy and newproxy(true) or setmetatable({}, { __gc = f }) \
         if newproxy then getmetatable(object).__gc = f end",
    );
    drop(state);
    assert!(!holds_any());
}
