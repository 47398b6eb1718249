//! Source text that a job is: compiled here, where it can harm nobody and its limits hold.

use std::ffi::{CString, c_int};

use llib_lua::call::bytes;
use llib_lua::convert::note_code;
use llib_lua::ffi::*;

/// Replaces source text at the absolute `index` by its function, which is called `name`, or as Lua calls text where that is
/// empty; a function stays. Returns `LUA_OK`, or another status with an error on top of the stack.
///
/// # Safety
/// `lua` is a valid state with free slots and a value at `index`.
pub(super) unsafe fn compile_at(lua: *mut lua_State, index: c_int, name: &str) -> c_int {
    // SAFETY: as demanded. The string stays where it is while it is read; the label ends with a zero byte.
    unsafe {
        let Some(text) = bytes(lua, index) else { return LUA_OK };
        note_code(text);
        let label = CString::new(format!("={}", name.replace('\0', ""))).unwrap_or_default();
        let label = if name.is_empty() { text.as_ptr().cast() } else { label.as_ptr() };
        let status = luaL_loadbufferx(lua, text.as_ptr().cast(), text.len(), label, c"t".as_ptr());
        if status == LUA_OK {
            lua_replace(lua, index);
        }
        status
    }
}
