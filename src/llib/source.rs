//! What a job runs, as it is given: a function, or source text, which its worker compiles.

use std::ffi::{CString, c_int};

use llib_lua::ffi::*;

use llib_lua::call::{Raise, bytes, wrong_type};

/// Makes sure that there is a Lua function at `index`, or source text.
///
/// # Safety
/// `lua` is a valid state with free slots and a value at the absolute `index`.
pub(super) unsafe fn check_function(lua: *mut lua_State, index: c_int) -> Result<(), Raise> {
    /// First byte of every precompiled chunk.
    const ESCAPE: u8 = 0x1b;
    // SAFETY: as demanded.
    unsafe {
        if let Some(text) = bytes(lua, index) {
            if text.first() == Some(&ESCAPE) {
                return Err(Raise::Argument(index, "source text expected, got precompiled code".to_owned()));
            }
            return Ok(());
        }
        if lua_type(lua, index) != LUA_TFUNCTION {
            return Err(wrong_type(lua, index, "function or string"));
        }
        if lua_iscfunction(lua, index) != 0 {
            return Err(Raise::Argument(index, "Lua function expected, got a C function".to_owned()));
        }
        Ok(())
    }
}

/// `script.lua:12`, where the function at `index` was written; `[string "..."]` for source text, as Lua itself calls it.
///
/// # Safety
/// `lua` is a valid state with free slots and a function or a string at the absolute `index`, in a protected call.
pub(super) unsafe fn source_of(lua: *mut lua_State, index: c_int) -> Result<String, Raise> {
    // SAFETY: with `>` the call takes the function that is pushed for it, and fills in what is read here:
    // `short_src` is a string with its end inside the array.
    unsafe {
        let mut about: lua_Debug = std::mem::zeroed();
        match bytes(lua, index) {
            Some(text) => push_empty(lua, text)?,
            None => lua_pushvalue(lua, index),
        }
        lua_getinfo(lua, c">S".as_ptr(), &mut about);
        let source = std::ffi::CStr::from_ptr(about.short_src.as_ptr()).to_string_lossy();
        Ok(if about.linedefined > 0 {
            format!("{source}:{}", about.linedefined)
        } else {
            source.into_owned()
        })
    }
}

/// Pushes a function without code whose chunk has the name that one of this text would have.
unsafe fn push_empty(lua: *mut lua_State, text: &[u8]) -> Result<(), Raise> {
    /// More than Lua shows of it.
    const SHOWN: usize = 200;
    let start = text.iter().take(SHOWN).take_while(|byte| **byte != 0).copied().collect::<Vec<u8>>();
    let label = CString::new(start).unwrap_or_default();
    // SAFETY: the caller's state with a free slot. Where there is no memory for it, the error is pushed in its place.
    let status = unsafe { luaL_loadbufferx(lua, c"".as_ptr(), 0, label.as_ptr(), c"t".as_ptr()) };
    if status == LUA_OK { Ok(()) } else { Err(Raise::Object) }
}
