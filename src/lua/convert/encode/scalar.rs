//! A message of one value without parts: it needs no walk, so no protected call and no slots to keep things in.

use crate::ffi::*;

use super::*;

/// Writes the value at `idx` as a whole message. False, and nothing of use was written, if it is of another kind.
///
/// # Safety
/// `lua` is a valid state, `idx` a valid index, whose value stays there as long as the message is used.
pub(super) unsafe fn message(lua: *mut lua_State, idx: c_int, sink: &mut Sink) -> bool {
    sink.start();
    sink.varint(1);
    // SAFETY: as demanded; a long string stays reachable where it is.
    unsafe {
        match lua_type(lua, idx) {
            LUA_TNIL => sink.byte(NIL),
            LUA_TBOOLEAN => sink.boolean(lua_toboolean(lua, idx) != 0),
            LUA_TNUMBER if lua_isinteger(lua, idx) != 0 => sink.integer(lua_tointeger(lua, idx)),
            LUA_TNUMBER => sink.float(lua_tonumber(lua, idx)),
            LUA_TSTRING => sink.string(bytes_at(lua, idx)),
            _ => return false,
        }
    }
    sink.byte(END);
    sink.finish();
    true
}
