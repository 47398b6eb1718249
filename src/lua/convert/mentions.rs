//! The names that a function's code mentions.

use std::ffi::{c_int, c_void};

use crate::lua::ffi::*;

use crate::lua::version::chunk;

/// Every identifier among the strings of the code of the Lua function on top: names of globals, fields and variables,
/// of functions inside it too. `None` if its code cannot be had.
///
/// # Safety
/// `lua` is a valid state with a Lua function on top.
pub unsafe fn mentions(lua: *mut lua_State) -> Option<Vec<Vec<u8>>> {
    let mut chunk: Vec<u8> = Vec::new();
    // SAFETY: as demanded; the writer gets the vector and nothing else.
    if unsafe { lua_dump(lua, append, (&raw mut chunk).cast(), 0) } != 0 {
        return None;
    }
    let mut names: Vec<Vec<u8>> = Vec::new();
    chunk::identifiers(&chunk, |name| {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_vec());
        }
    });
    Some(names)
}

unsafe extern "C-unwind" fn append(
    _: *mut lua_State,
    bytes: *const c_void,
    len: usize,
    target: *mut c_void,
) -> c_int {
    // Lua 5.5 ends with no bytes, at address 0.
    if len == 0 {
        return 0;
    }
    // SAFETY: `lua_dump` above passes the vector's address and valid bytes.
    unsafe { (*target.cast::<Vec<u8>>()).extend_from_slice(std::slice::from_raw_parts(bytes.cast(), len)) };
    0
}
