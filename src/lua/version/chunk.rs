//! The form of precompiled chunks, as `lua_dump` writes them.
//!
//! | version | a string in a chunk |
//! |---|---|
//! | 5.1, 5.2 | tag 4, length with the final zero byte as `size_t`, bytes, a zero byte |
//! | 5.3 | tag 4 or 0x14, length + 1 as a byte, or 0xff and a `size_t`; bytes |
//! | 5.4 | tag 4 or 0x14, length + 1 in groups of seven bits, the highest first, the last marked by 0x80; bytes |
//! | 5.5 | length + 1 in such groups, all but the last marked; bytes, a zero byte. Written once a chunk, wherever it comes first |
//! | LuaJIT | length + 5 in groups of seven bits, the lowest first, all but the last marked; bytes |

use std::ffi::{c_int, c_void};
use std::slice;

use super::ffi::*;

/// Appends the code of the Lua function on top to `chunk`, with its debug information. Returns what `lua_dump` does: 0
/// where that went well, or in LuaJIT `LUA_ERRMEM`.
///
/// # Safety
/// `lua` is a valid state with a Lua function on top.
pub unsafe fn dump(lua: *mut lua_State, chunk: &mut Vec<u8>) -> c_int {
    unsafe extern "C-unwind" fn append(
        _: *mut lua_State,
        bytes: *const c_void,
        len: usize,
        target: *mut c_void,
    ) -> c_int {
        if len == 0 {
            // Lua 5.5 ends a chunk with a piece that is none, at address 0.
            return 0;
        }
        // SAFETY: the call below passes the vector's address and valid bytes, and nobody else has the vector meanwhile.
        unsafe { (*target.cast::<Vec<u8>>()).extend_from_slice(slice::from_raw_parts(bytes.cast(), len)) };
        0
    }
    // SAFETY: as demanded. The writer raises nothing.
    unsafe { lua_dump(lua, append, std::ptr::from_mut(chunk).cast(), 0) }
}

/// Loads precompiled code and pushes the function or an error message; returns the status of `lua_load`.
///
/// # Safety
/// `lua` is a valid state with two free stack slots. The code comes from a trusted sender, because Lua does not verify it.
pub unsafe fn load(lua: *mut lua_State, code: *const [u8]) -> c_int {
    // SAFETY: as demanded.
    unsafe { luaL_loadbufferx(lua, code.cast(), code.len(), c"=llib".as_ptr(), c"b".as_ptr()) }
}

/// Bytes at the start of every chunk that say which Lua can run it: signature, version, format, and the sizes
/// of what it contains. (ldump.c, `dumpHeader`; lj_bcdump.h for LuaJIT, whose header ends with its flags.)
pub const HEADER: usize = if cfg!(feature = "lua55") {
    6 + 6 + (1 + 4) + (1 + 4) + (1 + 8) + (1 + 8)
} else if cfg!(feature = "lua54") {
    6 + 6 + 3 + 8 + 8
} else if cfg!(feature = "lua53") {
    6 + 6 + 5 + 8 + 8
} else if cfg!(feature = "lua52") {
    6 + 6 + 6
} else if cfg!(feature = "luajit") {
    5
} else {
    6 + 6
};

/// Longest string that Lua hashes (and compares) before it copies it: the bytes are read twice.
pub const HASHED_STRING: usize =
    if cfg!(any(feature = "lua51", feature = "luajit")) { isize::MAX as usize } else { 40 };

/// Longest name looked for.
pub const MAX_NAME: usize = 200;

/// Calls `found` with every identifier among the strings of a precompiled chunk.
///
/// Does not parse the chunk: whatever looks like a string counts. Too many candidates do no harm, since only
/// those that are globals matter.
pub fn identifiers(chunk: &[u8], mut found: impl FnMut(&[u8])) {
    strings(chunk, |name| {
        if is_identifier(name) {
            found(name);
        }
    });
}

/// Calls `found` with every string of a precompiled chunk that is not too long for a name, and with others that only look
/// like one.
pub fn strings(chunk: &[u8], mut found: impl FnMut(&[u8])) {
    for at in candidates(chunk) {
        let name = length(&chunk[at..])
            .filter(|(_, length)| (1..=MAX_NAME).contains(length))
            .and_then(|(start, length)| chunk.get(at + start..at + start + length));
        if let Some(name) = name {
            found(name);
        }
    }
}

/// Places where the length of a string may stand.
#[cfg(not(any(feature = "lua55", feature = "luajit")))]
fn candidates(chunk: &[u8]) -> impl Iterator<Item = usize> {
    memchr::memchr2_iter(0x04, 0x14, chunk).map(|tag| tag + 1)
}

/// Places where the length of a string may stand.
#[cfg(any(feature = "lua55", feature = "luajit"))]
fn candidates(chunk: &[u8]) -> impl Iterator<Item = usize> {
    0..chunk.len()
}

/// The length of the string whose form begins here, and where its bytes begin.
#[cfg(any(feature = "lua51", feature = "lua52"))]
fn length(bytes: &[u8]) -> Option<(usize, usize)> {
    let (size, _) = bytes.split_first_chunk()?;
    Some((size.len(), usize::from_ne_bytes(*size).checked_sub(1)?))
}

/// See above.
#[cfg(feature = "lua53")]
fn length(bytes: &[u8]) -> Option<(usize, usize)> {
    // A name of 254 bytes or more is none that is looked for.
    Some((1, usize::from(*bytes.first()?).checked_sub(1)?))
}

/// See above.
#[cfg(any(feature = "lua54", feature = "lua55"))]
fn length(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut length = 0usize;
    for (at, byte) in bytes.iter().take(3).enumerate() {
        length = length << 7 | usize::from(byte & 0x7f);
        let last = (byte & 0x80 != 0) == cfg!(feature = "lua54");
        if last {
            return Some((at + 1, length.checked_sub(1)?));
        }
    }
    None
}

/// See above.
#[cfg(feature = "luajit")]
fn length(bytes: &[u8]) -> Option<(usize, usize)> {
    let (first, second) = (*bytes.first()?, bytes.get(1).copied().unwrap_or(0));
    let (start, length) = match first {
        0..0x80 => (1, usize::from(first)),
        _ => (2, usize::from(first & 0x7f) | usize::from(second) << 7),
    };
    Some((start, length.checked_sub(5)?))
}

fn is_identifier(name: &[u8]) -> bool {
    !name[0].is_ascii_digit() && name.iter().all(|&b| b.is_ascii_alphanumeric() || b == b'_' || b >= 0x80)
}
