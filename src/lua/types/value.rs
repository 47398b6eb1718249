//! Values in shared objects: encoding one on its way in, decoding one on its way out.

use std::ffi::c_int;

use crate::ffi::*;

use super::handle::{Objects, Sent};
use crate::call::Raise;
use crate::convert::{DecodeError, DecodeOptions, EncodeOptions, GlobalMode, Source, decode, encode};
use llib_core::shared::{Object, Parcel};
use llib_core::shm::Payload;

/// Why a value is refused that a sandboxed job may have written.
pub(super) const DISTRUSTED: &str = "a sandboxed job can write here, and the value is more than plain data \
     (functions, metatables, userdata and modules are not made from what such a job writes)";

/// A parcel and what it keeps alive, on its way into an object.
pub(super) struct Load<'a> {
    content: &'a dyn Payload,
    ids: &'a [u64],
    sent: &'a Sent,
}

impl Load<'_> {
    pub(super) fn parcel(&self) -> Parcel<'_> {
        Parcel { content: self.content, ids: self.ids }
    }

    /// Calls `store` with the objects whose handles are in it.
    pub(super) fn with_objects<R>(&self, store: impl FnOnce(&[&Object]) -> R) -> R {
        let objects = if self.ids.is_empty() { Vec::new() } else { self.sent.objects() };
        let objects: Vec<&Object> = objects.iter().map(|object| &**object).collect();
        store(&objects)
    }
}

/// The same, taken out of the encoder: for a store that could not be done at once.
pub(super) struct Kept {
    bytes: Vec<u8>,
    ids: Vec<u64>,
    sent: Sent,
}

impl Kept {
    pub(super) fn with_load<R>(&self, store: impl FnOnce(&Load<'_>) -> R) -> R {
        store(&Load { content: &&*self.bytes, ids: &self.ids, sent: &self.sent })
    }
}

/// Encodes the value at `index` and hands it to `store`. Where that gives nothing, since it would have to wait,
/// what is to be stored is returned.
///
/// # Safety
/// `lua` is a valid state, in a protected call, with a value at the absolute `index`. `store` raises no Lua error.
pub(super) unsafe fn encode_for<R>(
    lua: *mut lua_State,
    index: c_int,
    store: impl FnOnce(&Load<'_>) -> Option<R>,
) -> Result<Result<R, Kept>, Raise> {
    // Globals that functions name stay behind: whoever gets the value would have them set anew each time.
    let options = EncodeOptions { globals: GlobalMode::None, ..EncodeOptions::default() };
    let sent = Sent::default();
    // SAFETY: as demanded.
    let stored = unsafe {
        encode(lua, index, 1, &options, &mut Objects(&sent), |message| {
            let ids = sent.ids();
            let load = Load { content: message, ids: &ids, sent: &sent };
            store(&load).ok_or_else(|| {
                let bytes = message.to_vec();
                (bytes, ids.clone())
            })
        })
    };
    match stored {
        Ok(Ok(result)) => Ok(Ok(result)),
        Ok(Err((bytes, ids))) => Ok(Err(Kept { bytes, ids, sent })),
        Err(error) => Err(Raise::Message(error.to_string())),
    }
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
        decode(lua, Source::new(start, len), options, &mut Objects(&Sent::default()))?;
        // A message of a process gone mad may hold none, or more.
        lua_settop(lua, top + 1);
    }
    Ok(())
}
