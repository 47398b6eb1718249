//! Loading source text, and never precompiled code: Lua 5.1 has no mode by which its loaders could be told so.

use std::ffi::{CStr, c_char, c_int};

use super::ffi::*;

/// Loads a file of source text, or the standard input if `file` is null: pushes the function, or a message.
///
/// # Safety
/// `lua` is a valid state with three free stack slots, in a frame without destructors; `file` is null or a C string.
pub unsafe fn load_file(lua: *mut lua_State, file: *const c_char) -> c_int {
    // `mlua` declares it for the versions from 5.2 on alone.
    #[cfg(feature = "luajit")]
    unsafe extern "C-unwind" {
        fn luaL_loadfilex(lua: *mut lua_State, file: *const c_char, mode: *const c_char) -> c_int;
    }
    #[cfg(not(feature = "lua51"))]
    // SAFETY: as demanded.
    unsafe {
        luaL_loadfilex(lua, file, c"t".as_ptr())
    }
    #[cfg(feature = "lua51")]
    // SAFETY: as demanded.
    unsafe {
        oldest::load_file(lua, file)
    }
}

/// Loads source text that is in memory, as if it were a file's: pushes the function, or a message.
///
/// # Safety
/// As for [`load_file`], but there may be destructors: nothing is raised.
pub unsafe fn load_source(lua: *mut lua_State, text: &[u8], name: &CStr) -> c_int {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut rest = text;
    if rest.first() == Some(&b'#') {
        // A line for the shell. The end of it stays, for the sake of the numbers of lines.
        rest = &rest[rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len())..];
    }
    // What stands behind such a line may be precompiled too.
    let code = rest.strip_prefix(b"\n").unwrap_or(rest);
    // SAFETY: as demanded; the block is as long as is said. Loading from memory raises nothing, and a message is short.
    unsafe {
        if [rest, code].iter().any(|bytes| bytes.first() == LUA_SIGNATURE.first()) {
            lua_pushstring(lua, c"attempt to load a binary chunk (mode is 't')".as_ptr());
            return LUA_ERRSYNTAX;
        }
        luaL_loadbuffer(lua, rest.as_ptr().cast(), rest.len(), name.as_ptr())
    }
}

#[cfg(feature = "lua51")]
mod oldest {
    use super::*;

    unsafe extern "C" {
        /// stdio.h
        static stdin: *mut libc::FILE;
    }

    /// See above. The same stream as that of the library `io`, which may have read some of it already.
    pub(super) unsafe fn load_file(lua: *mut lua_State, file: *const c_char) -> c_int {
        // SAFETY: the caller's state and string. No call that raises is made while the text is held.
        unsafe {
            let stream = if file.is_null() {
                lua_pushstring(lua, c"=stdin".as_ptr());
                stdin
            } else {
                lua_pushfstring(lua, c"@%s".as_ptr(), file);
                libc::fopen(file, c"r".as_ptr())
            };
            let name = lua_gettop(lua);
            if stream.is_null() {
                let error = std::io::Error::last_os_error().raw_os_error().unwrap_or_default();
                lua_pushfstring(lua, c"cannot open %s: %s".as_ptr(), file, libc::strerror(error));
                lua_remove(lua, name);
                return LUA_ERRFILE;
            }
            let status = load(lua, stream, CStr::from_ptr(lua_tostring(lua, name)));
            if !file.is_null() {
                libc::fclose(stream);
            }
            lua_remove(lua, name);
            status
        }
    }

    /// Loads what is left of a stream.
    unsafe fn load(lua: *mut lua_State, stream: *mut libc::FILE, name: &CStr) -> c_int {
        let mut text = Vec::new();
        // SAFETY: an open stream; the block is as long as is said.
        unsafe {
            loop {
                let mut block = [0u8; 4096];
                let len = libc::fread(block.as_mut_ptr().cast(), 1, block.len(), stream);
                if len == 0 {
                    break;
                }
                text.extend_from_slice(&block[..len]);
            }
            load_source(lua, &text, name)
        }
    }
}
