//! What the fuzz target calls.

use std::ffi::c_int;

use crate::ffi::*;
use llib_core::sys::clock;

use super::super::options::{DecodeOptions, Handles, NoHandles};
use super::super::source::Source;
use super::{Field, HEAD, VERSION, budget, decode, decode_field};

/// Accepts every handle of a few kinds, as a string.
struct Strings;

impl Handles for Strings {
    unsafe fn export(&mut self, _: *mut lua_State, _: c_int) -> Option<Result<(u8, Vec<u8>), String>> {
        None
    }

    unsafe fn import(&mut self, lua: *mut lua_State, kind: u8, bytes: &[u8]) -> Result<(), String> {
        if kind > 3 {
            return Err("unknown kind".to_owned());
        }
        // SAFETY: `decode` calls this below `lua_pcall` with free slots.
        unsafe { lua_pushlstring(lua, bytes.as_ptr().cast(), bytes.len()) };
        Ok(())
    }
}

/// Decodes the bytes in a fresh state as if from a hostile sender, and looks up some keys in them. Every outcome
/// but a crash is right.
#[doc(hidden)]
pub fn fuzz_decode(data: &[u8]) {
    // SAFETY: the state is new and closed here; the source is a slice that lives meanwhile.
    unsafe {
        let lua = luaL_newstate();
        if lua.is_null() {
            return;
        }
        let source = Source::new(data.as_ptr(), data.len());
        let options = DecodeOptions { metatables: true, requires: true, ..DecodeOptions::PLAIN };
        let before = clock::thread();
        let _ = decode(lua, source, &options, &mut Strings);
        let used = clock::thread() - before;
        assert!(used <= most(data.len()), "{} bytes took {used} ns", data.len());
        let _ = decode(lua, source, &DecodeOptions::PLAIN, &mut NoHandles);
        if data.len() >= HEAD {
            // Again with the length put right, since hardly any mutant has a right one.
            let mut framed = data.to_vec();
            let head = (data.len() as u64) << 8 | u64::from(VERSION);
            framed[..HEAD].copy_from_slice(&head.to_le_bytes());
            let source = Source::new(framed.as_ptr(), framed.len());
            let _ = decode(lua, source, &options, &mut Strings);
            look_up(lua, source, &options);
        }
        look_up(lua, source, &options);
        lua_close(lua);
    }
}

/// Nanoseconds that a message of this length may take: its budget, and what one step can take beyond that. Instrumented
/// code is slow.
fn most(len: usize) -> u64 {
    4 * (budget::LEAST + budget::EACH_BYTE * len as u64 + 1_000_000)
}

/// Looks up a key of each kind: all of them occur in the messages that fuzzing starts from.
///
/// # Safety
/// As for [`decode_field`]; the stack is emptied.
unsafe fn look_up(lua: *mut lua_State, source: Source, options: &DecodeOptions) {
    for key in 0..6 {
        // SAFETY: as demanded; memory errors end the program. The key is at index 1.
        unsafe {
            lua_settop(lua, 0);
            match key {
                0 => lua_pushinteger(lua, 2),
                1 => lua_pushinteger(lua, 1 << 40),
                2 => lua_pushnumber(lua, 1.5),
                3 => lua_pushboolean(lua, 1),
                4 => _ = lua_pushlstring(lua, c"x".as_ptr(), 1),
                _ => _ = lua_pushlstring(lua, c"a key of some length".as_ptr(), 20),
            }
            let field = decode_field(lua, source, 1, options, &mut Strings);
            let pushed = field == Ok(Field::Pushed);
            assert_eq!(lua_gettop(lua), 1 + c_int::from(pushed), "the height of the stack");
            assert!(!pushed || lua_type(lua, -1) != LUA_TNIL, "a field is not nil");
        }
    }
}
