//! The function that a job runs, as it is given: a function, or source text.

use std::ffi::c_int;

use llib_lua::ffi::*;

use llib_lua::call::{Raise, bytes, wrong_type};

/// Makes sure that there is a Lua function at `index`, compiling source text, which is called `name`.
///
/// # Safety
/// `lua` is a valid state with free slots and a value at the absolute `index`.
pub(super) unsafe fn function_at(lua: *mut lua_State, index: c_int, name: Option<&str>) -> Result<(), Raise> {
    // SAFETY: as demanded.
    unsafe {
        if bytes(lua, index).is_some() {
            return compile(lua, index, name);
        }
        if lua_type(lua, index) != LUA_TFUNCTION {
            return Err(wrong_type(lua, index, "function or string"));
        }
        if lua_iscfunction(lua, index) != 0 {
            return Err(Raise::Argument(index, "Lua function expected, got a C function".to_owned()));
        }
        Ok(())
    }
}

/// Replaces the source text at `index` by its function. Compiled here, so that a syntax error is raised here.
///
/// # Safety
/// `lua` is a valid state with free slots and a string at the absolute `index`.
unsafe fn compile(lua: *mut lua_State, index: c_int, name: Option<&str>) -> Result<(), Raise> {
    /// First byte of every precompiled chunk.
    const ESCAPE: u8 = 0x1b;
    // SAFETY: the caller's state.
    if unsafe { bytes(lua, index) }.is_some_and(|text| text.first() == Some(&ESCAPE)) {
        return Err(Raise::Argument(index, "source text expected, got precompiled code".to_owned()));
    }
    // SAFETY: the index holds a string, which stays there while it is read; the name ends with a zero byte.
    unsafe {
        let mut len = 0;
        let text = lua_tolstring(lua, index, &mut len);
        let label = match name {
            Some(name) => std::ffi::CString::new(format!("={}", name.replace('\0', ""))).unwrap_or_default(),
            None => Default::default(),
        };
        let label = if name.is_some() { label.as_ptr() } else { text };
        if luaL_loadbufferx(lua, text, len, label, c"t".as_ptr()) != LUA_OK {
            return Err(Raise::Object);
        }
        lua_replace(lua, index);
    }
    Ok(())
}

/// `script.lua:12`, where the function at `index` was written.
///
/// # Safety
/// `lua` is a valid state with a free slot and a function at `index`.
pub(super) unsafe fn source_of(lua: *mut lua_State, index: c_int) -> String {
    // SAFETY: with `>` the call takes the function that is pushed for it, and fills in what is read here:
    // `short_src` is a string with its end inside the array.
    unsafe {
        let mut about: lua_Debug = std::mem::zeroed();
        lua_pushvalue(lua, index);
        lua_getinfo(lua, c">S".as_ptr(), &mut about);
        let source = std::ffi::CStr::from_ptr(about.short_src.as_ptr()).to_string_lossy();
        if about.linedefined > 0 { format!("{source}:{}", about.linedefined) } else { source.into_owned() }
    }
}
