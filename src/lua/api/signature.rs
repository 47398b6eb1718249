//! Which Lua this is: the header of every chunk that it precompiles.

use std::ffi::{c_int, c_void};

use mlua::ffi::*;

/// Bytes of the header of Lua 5.4: signature, version, format, check data, sizes of instruction, integer and
/// float, a check integer and a check float (ldump.c, `dumpHeader`).
const LEN: usize = 4 + 1 + 1 + 6 + 3 + 8 + 8;

/// The header. Two interpreters with the same one can run each other's functions.
///
/// # Safety
/// `lua` is a valid state with two free stack slots.
pub unsafe fn bytecode(lua: *mut lua_State) -> Vec<u8> {
    let mut header: Vec<u8> = Vec::with_capacity(LEN);
    // SAFETY: a chunk that cannot be compiled for want of memory leaves an error value instead of a
    // function; both are popped. The writer gets the vector and nothing else.
    unsafe {
        if luaL_loadstring(lua, c"".as_ptr()) == LUA_OK {
            lua_dump(lua, write, (&raw mut header).cast::<c_void>(), 1);
        }
        lua_pop(lua, 1);
    }
    header
}

unsafe extern "C-unwind" fn write(
    _: *mut lua_State,
    piece: *const c_void,
    len: usize,
    header: *mut c_void,
) -> c_int {
    // SAFETY: Lua passes the vector of `bytecode` and a piece of `len` bytes.
    unsafe {
        let header = &mut *header.cast::<Vec<u8>>();
        let missing = len.min(LEN - header.len());
        header.extend_from_slice(std::slice::from_raw_parts(piece.cast(), missing));
    }
    0
}
