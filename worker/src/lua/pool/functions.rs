//! Functions that jobs bring along again and again.
//!
//! A function without upvalues but the globals comes as a message of its own, whose bytes are the same each time. What
//! they decode to has no state, so it is kept and serves the next job too.

use std::ffi::c_int;

use llib_core::shm::SharedBytes;
use llib_lua::convert::{DecodeError, DecodeOptions, NoHandles, Source, decode_keeping};
use llib_lua::ffi::*;
use llib_lua::version::prototypes::Prototypes;
use llib_lua::version::{jit, upvalue};

/// Functions that are kept.
const MOST: usize = 64;

struct Known {
    hash: u64,
    bytes: Vec<u8>,
    /// Its place in the registry.
    reference: c_int,
    /// Identity of the upvalue that is the globals, if it has one.
    globals: Option<usize>,
}

/// All that this worker knows.
#[derive(Default)]
pub(super) struct Functions {
    known: Vec<Known>,
    /// Private copy of the message at hand.
    message: Vec<u8>,
}

impl Functions {
    /// Pushes the function of a message; whether it can reach any global.
    ///
    /// # Safety
    /// `lua` is the job's state with some free slots.
    pub(super) unsafe fn push(
        &mut self,
        lua: *mut lua_State,
        bytes: SharedBytes<'_>,
        prototypes: &mut Prototypes,
    ) -> Result<bool, DecodeError> {
        // SAFETY: as demanded; the references are this struct's own.
        unsafe {
            self.message = bytes.copy();
            let hash = hash(&self.message);
            let found = self.known.iter().position(|known| known.hash == hash && known.bytes == self.message);
            if let Some(place) = found {
                let known = &self.known[place];
                lua_rawgeti(lua, LUA_REGISTRYINDEX, known.reference.into());
                if globals(lua) == Some(known.globals) {
                    jit::compile_again(lua);
                    return Ok(known.globals.is_some());
                }
                // A job got at it with the debug library.
                lua_pop(lua, 1);
                luaL_unref(lua, LUA_REGISTRYINDEX, known.reference);
                self.known.swap_remove(place);
            }
            let source = Source::new(self.message.as_ptr(), self.message.len());
            let options = DecodeOptions::TRUSTED;
            if decode_keeping(lua, source, &options, &mut NoHandles, prototypes)? != 1 {
                return Err(DecodeError::Refused("a message without a function"));
            }
            let Some(globals) = globals(lua) else { return Ok(true) };
            if self.known.len() >= MOST {
                let oldest = self.known.remove(0);
                luaL_unref(lua, LUA_REGISTRYINDEX, oldest.reference);
            }
            lua_pushvalue(lua, -1);
            let reference = luaL_ref(lua, LUA_REGISTRYINDEX);
            self.known.push(Known { hash, bytes: std::mem::take(&mut self.message), reference, globals });
            Ok(globals.is_some())
        }
    }

    /// Drops all of them.
    ///
    /// # Safety
    /// As for [`Functions::push`].
    pub(super) unsafe fn forget(&mut self, lua: *mut lua_State) {
        for known in self.known.drain(..) {
            // SAFETY: as demanded; the reference is this struct's own.
            unsafe { luaL_unref(lua, LUA_REGISTRYINDEX, known.reference) };
        }
    }
}

/// The identity of the one upvalue of the function on top, if it is the globals table; `None` inside where there is no
/// upvalue, and `None` where there is any other.
unsafe fn globals(lua: *mut lua_State) -> Option<Option<usize>> {
    // SAFETY: the caller has a value on top and free slots; an index out of range gives NULL and pushes nothing.
    unsafe {
        if lua_type(lua, -1) != LUA_TFUNCTION || lua_iscfunction(lua, -1) != 0 {
            return None;
        }
        if upvalue::get(lua, -1, upvalue::FIRST).is_null() {
            return Some(None);
        }
        lua_pushglobaltable(lua);
        let same = lua_rawequal(lua, -1, -2) != 0;
        lua_pop(lua, 2);
        let more = upvalue::exists(lua, -1, upvalue::FIRST + 1);
        let identity = upvalue::identity(lua, -1, upvalue::FIRST);
        (same && !more).then_some(Some(identity.unwrap_or_default()))
    }
}

/// Not for anything but finding equal bytes, which are compared afterwards.
fn hash(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mix = |hash: u64, word: u64| (hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    let hash = words.iter().fold(bytes.len() as u64, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    rest.iter().fold(hash, |hash, byte| mix(hash, u64::from(*byte)))
}
