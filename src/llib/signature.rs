//! Which Lua this is: the header of every chunk that it precompiles.

use llib_lua::ffi::*;
use llib_lua::version::chunk::{self, HEADER};

/// The header. Two interpreters with the same one can run each other's functions.
///
/// # Safety
/// `lua` is a valid state with two free stack slots.
pub unsafe fn bytecode(lua: *mut lua_State) -> Vec<u8> {
    let mut header: Vec<u8> = Vec::new();
    // SAFETY: a chunk that cannot be compiled for want of memory leaves an error value instead of a
    // function; both are popped.
    unsafe {
        if luaL_loadstring(lua, c"".as_ptr()) == LUA_OK {
            chunk::dump(lua, &mut header);
        }
        lua_pop(lua, 1);
    }
    header.truncate(HEADER);
    header
}
