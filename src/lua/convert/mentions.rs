//! The names that a function's code mentions.

use crate::ffi::*;

use crate::version::chunk;

/// Every identifier among the strings of the code of the Lua function on top: names of globals, fields and variables,
/// of functions inside it too. `None` if its code cannot be had.
///
/// # Safety
/// `lua` is a valid state with a Lua function on top.
pub unsafe fn mentions(lua: *mut lua_State) -> Option<Vec<Vec<u8>>> {
    let mut chunk: Vec<u8> = Vec::new();
    // SAFETY: as demanded.
    if unsafe { chunk::dump(lua, &mut chunk) } != 0 {
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
