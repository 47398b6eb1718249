//! Which Lua this is: the header of every chunk that it precompiles.

use std::ffi::{c_int, c_void};

use crate::lua::ffi::*;
use crate::lua::version::chunk::HEADER;

/// The header. Two interpreters with the same one can run each other's functions.
///
/// # Safety
/// `lua` is a valid state with two free stack slots.
pub unsafe fn bytecode(lua: *mut lua_State) -> Vec<u8> {
    let mut header: Vec<u8> = Vec::with_capacity(HEADER);
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
    if len == 0 {
        // Lua 5.5 ends a chunk with a piece that is none.
        return 0;
    }
    // SAFETY: Lua passes the vector of `bytecode` and a piece of `len` bytes.
    unsafe {
        let header = &mut *header.cast::<Vec<u8>>();
        let missing = len.min(HEADER - header.len());
        header.extend_from_slice(std::slice::from_raw_parts(piece.cast(), missing));
    }
    0
}
