//! Values in shared objects: encoding one on its way in, decoding one on its way out.

use std::ffi::c_int;

use crate::ffi::*;

use super::handle::Objects;
use super::outgoing::Outgoing;
use crate::call::Raise;
use crate::convert::{DecodeError, DecodeOptions, EncodeOptions, GlobalMode, Source, decode};

/// Why a value is refused that a sandboxed job may have written.
pub(super) const DISTRUSTED: &str = "a sandboxed job can write here, and the value is more than plain data \
     (functions, metatables, userdata and modules are not made from what such a job writes)";

/// Encodes the value at `index`. As [`encode`](crate::convert::encode()) this pushes one.
///
/// # Safety
/// `lua` is a valid state, in a protected call, with a value at the absolute `index` that stays as it is until the value is
/// stored or kept.
pub(super) unsafe fn encode_one(lua: *mut lua_State, index: c_int) -> Result<Outgoing, Raise> {
    // Globals that functions name stay behind: whoever gets the value would have them set anew each time.
    let options = EncodeOptions { globals: GlobalMode::None, ..EncodeOptions::default() };
    // SAFETY: as demanded.
    let value = unsafe { Outgoing::new(lua, index, 1, &options) };
    value.map_err(|error| Raise::Message(error.to_string()))
}

/// Decodes plain data and pushes it: nothing in it can run code.
///
/// # Safety
/// `lua` is a valid state, in a protected call; `len` bytes from `start` on are mapped and exist.
pub(super) unsafe fn decode_plain(
    lua: *mut lua_State,
    start: *const u8,
    len: usize,
) -> Result<(), DecodeError> {
    // SAFETY: as demanded.
    unsafe { decode_one(lua, start, len, &DecodeOptions::PLAIN) }
}

/// Decodes anything and pushes it.
///
/// # Safety
/// As [`decode_plain`], and the writer is trusted.
pub(super) unsafe fn decode_trusted(lua: *mut lua_State, bytes: &[u8]) -> Result<(), Raise> {
    let options = DecodeOptions { globals: false, ..DecodeOptions::TRUSTED };
    // SAFETY: as demanded.
    let decoded = unsafe { decode_one(lua, bytes.as_ptr(), bytes.len(), &options) };
    decoded.map_err(|error| Raise::Message(error.to_string()))
}

unsafe fn decode_one(
    lua: *mut lua_State,
    start: *const u8,
    len: usize,
    options: &DecodeOptions,
) -> Result<(), DecodeError> {
    // SAFETY: as demanded of the callers.
    unsafe {
        let top = lua_gettop(lua);
        decode(lua, Source::new(start, len), options, &mut Objects::default())?;
        // A message of a process gone mad may hold none, or more.
        lua_settop(lua, top + 1);
    }
    Ok(())
}
