//! Values in shared objects: encoding one on its way in, decoding one on its way out.

use std::ffi::c_int;

use crate::ffi::*;

use super::handle::Objects;
use super::outgoing::Outgoing;
use crate::call::Raise;
use crate::convert::{DecodeError, DecodeOptions, EncodeOptions, GlobalMode, Source, decode};
use llib_core::shared::Object;
use llib_core::shm::SharedBytes;
use llib_core::wire::limits::IN_SANDBOX;

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
/// `lua` is a valid state, in a protected call.
pub(super) unsafe fn decode_plain(
    lua: *mut lua_State,
    object: &Object,
    bytes: SharedBytes<'_>,
) -> Result<(), DecodeError> {
    let max_memory = memory_for(bytes.len());
    // SAFETY: as demanded.
    unsafe {
        match decode_one(lua, bytes, &DecodeOptions { max_memory, ..DecodeOptions::PLAIN }) {
            // Looking whom an object is open to takes system calls, so only now.
            Err(DecodeError::TooMuch { .. }) if !object.is_distrusted() => {
                decode_one(lua, bytes, &DecodeOptions::PLAIN)
            }
            decoded => decoded,
        }
    }
}

/// Bytes of memory that a value of `len` bytes may take which a sandboxed job may have written: as many as the result of a sandboxed job with
/// the usual limits, or what any value of some content takes.
pub(super) fn memory_for(len: usize) -> usize {
    /// Bytes in memory for a byte that travels, as in tables of numbers and short strings.
    const FACTOR: usize = 8;
    let usual = IN_SANDBOX.memory.and_then(|memory| usize::try_from(memory).ok()).unwrap_or(0);
    result_memory(usual).max(len.saturating_mul(FACTOR))
}

/// Bytes of memory that the result of a job may take which had a heap of so many bytes: it held all of it, and the decoder counts
/// generously.
pub fn result_memory(heap: usize) -> usize {
    heap.saturating_mul(3).saturating_add(1 << 20)
}

/// Decodes anything and pushes it.
///
/// # Safety
/// As [`decode_plain`], and the writer is trusted.
pub(super) unsafe fn decode_trusted(lua: *mut lua_State, bytes: &[u8]) -> Result<(), Raise> {
    let options = DecodeOptions { globals: false, ..DecodeOptions::TRUSTED };
    // SAFETY: as demanded.
    let decoded = unsafe { decode_one(lua, bytes.into(), &options) };
    decoded.map_err(|error| Raise::Message(error.to_string()))
}

unsafe fn decode_one(
    lua: *mut lua_State,
    bytes: SharedBytes<'_>,
    options: &DecodeOptions,
) -> Result<(), DecodeError> {
    // SAFETY: as demanded of the callers.
    unsafe {
        let top = lua_gettop(lua);
        decode(lua, Source::new(bytes.as_ptr(), bytes.len()), options, &mut Objects::default())?;
        // A message of a process gone mad may hold none, or more.
        lua_settop(lua, top + 1);
    }
    Ok(())
}
