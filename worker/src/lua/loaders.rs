//! What becomes of `load`, `require` and their like in a sandbox: they take text alone, from where it was granted.

use std::ffi::{CStr, c_int};

use llib_core::wire::sandbox::SandboxPolicy;
use llib_lua::call::{Outcome, Raise, bytes, push_text};
use llib_lua::ffi::*;
use llib_lua::lua_function;
use llib_lua::version::{self, text};

use llib_sandbox::language::Needs;

/// Makes `load`, `loadstring`, `loadfile` and `dofile` take text alone.
///
/// # Safety
/// `lua` is a state with `package.loaded` at index 1 and free slots, below lua_pcall.
pub(super) unsafe fn replace_loaders(lua: *mut lua_State, policy: &SandboxPolicy) {
    let loaders: [(&CStr, lua_CFunction, Needs); 4] = [
        (c"load", load, Needs::Nothing),
        (c"loadstring", load, Needs::Nothing),
        (c"loadfile", loadfile, Needs::Files),
        (c"dofile", dofile, Needs::Files),
    ];
    // SAFETY: the caller's state with `package.loaded` at index 1.
    unsafe {
        lua_getfield(lua, 1, c"_G".as_ptr());
        for (name, function, needs) in loaders {
            if needs.granted(policy) {
                if lua_getfield(lua, -1, name.as_ptr()) == LUA_TFUNCTION {
                    lua_pushcclosure(lua, function, 1);
                    lua_setfield(lua, -2, name.as_ptr());
                } else {
                    // Not every version has all of them.
                    lua_pop(lua, 1);
                }
            }
        }
        lua_settop(lua, 1);
    }
}

lua_function!(load => load_body);
lua_function!(loadfile => loadfile_body);
lua_function!(dofile => dofile_body);

/// The mode of a loader that takes text alone: text, or nothing where text was not asked for.
unsafe fn restrict_mode(lua: *mut lua_State, index: c_int) {
    // SAFETY: Lua's state.
    unsafe {
        let text = match bytes(lua, index) {
            Some(mode) => mode.contains(&b't'),
            None => true,
        };
        push_text(lua, if text { "t" } else { "none" });
        lua_replace(lua, index);
    }
}

/// Calls the original, which is the upvalue, with what is on the stack.
unsafe fn call_original(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state; what the call raises passes no destructor.
    unsafe {
        lua_pushvalue(lua, lua_upvalueindex(1));
        lua_insert(lua, 1);
        lua_call(lua, lua_gettop(lua) - 1, LUA_MULTRET);
        Ok(lua_gettop(lua))
    }
}

/// `load(chunk, name, mode, env)`, and `loadstring` where it is the same or has the same arguments.
unsafe fn load_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state.
    unsafe {
        if !version::HAS_LOAD_MODE {
            return load_without_mode(lua);
        }
        // An environment counts also if it is nil.
        let count = lua_gettop(lua).max(3);
        luaL_checkany(lua, 1);
        lua_settop(lua, count);
        restrict_mode(lua, 3);
        call_original(lua)
    }
}

/// `load(function, name)` and `loadstring(text, name)`: the first byte tells what it is.
unsafe fn load_without_mode(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state; what the call raises passes no destructor.
    unsafe {
        lua_settop(lua, 2);
        if lua_type(lua, 1) == LUA_TFUNCTION {
            lua_pushvalue(lua, 1);
            if lua_pcall(lua, 0, 1, 0) != LUA_OK {
                lua_pushnil(lua);
                lua_insert(lua, -2);
                return Ok(2);
            }
            if is_binary(lua, 3) {
                return refuse_binary(lua);
            }
            // The original gets the first piece once more.
            lua_pushvalue(lua, 1);
            lua_pushboolean(lua, 0);
            lua_pushcclosure(lua, go_on, 3);
            lua_replace(lua, 1);
        } else if is_binary(lua, 1) {
            return refuse_binary(lua);
        }
        call_original(lua)
    }
}

lua_function!(go_on => go_on_body);

/// Gives the piece that is the first upvalue, then those of the function that is the second. The third: whether it has begun.
unsafe fn go_on_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state; what the call raises passes no destructor.
    unsafe {
        lua_settop(lua, 0);
        if lua_toboolean(lua, lua_upvalueindex(3)) != 0 {
            lua_pushvalue(lua, lua_upvalueindex(2));
            lua_call(lua, 0, 1);
            return Ok(1);
        }
        lua_pushvalue(lua, lua_upvalueindex(1));
        lua_pushboolean(lua, 1);
        lua_replace(lua, lua_upvalueindex(3));
        Ok(1)
    }
}

unsafe fn is_binary(lua: *mut lua_State, index: c_int) -> bool {
    // SAFETY: Lua's state.
    unsafe { bytes(lua, index) }.is_some_and(|text| text.first() == LUA_SIGNATURE.first())
}

unsafe fn refuse_binary(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state with free slots.
    unsafe {
        lua_pushnil(lua);
        push_text(lua, "attempt to load a binary chunk (mode is 't')");
    }
    Ok(2)
}

/// `loadfile(name, mode, env)`
unsafe fn loadfile_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state.
    unsafe {
        if !version::HAS_LOAD_MODE {
            let file = luaL_optlstring(lua, 1, std::ptr::null(), std::ptr::null_mut());
            lua_settop(lua, 1);
            if text::load_file(lua, file) == LUA_OK {
                return Ok(1);
            }
            lua_pushnil(lua);
            lua_insert(lua, -2);
            return Ok(2);
        }
        let count = lua_gettop(lua).max(2);
        lua_settop(lua, count);
        restrict_mode(lua, 2);
        call_original(lua)
    }
}

/// `dofile(name)`
unsafe fn dofile_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state; the name stays on the stack.
    unsafe {
        let file = luaL_optlstring(lua, 1, std::ptr::null(), std::ptr::null_mut());
        lua_settop(lua, 1);
        if text::load_file(lua, file) != LUA_OK {
            return Err(Raise::Object);
        }
        lua_call(lua, 0, LUA_MULTRET);
        Ok(lua_gettop(lua) - 1)
    }
}

/// Pushes `package.searchpath` of the `package` at this index, or what does the same.
///
/// # Safety
/// As for [`replace_loaders`].
pub(super) unsafe fn push_searchpath(lua: *mut lua_State, package: c_int) {
    // SAFETY: as demanded.
    unsafe {
        if version::HAS_SEARCHPATH {
            lua_getfield(lua, package, c"searchpath".as_ptr());
        } else {
            lua_pushcfunction(lua, search_path);
        }
    }
}

lua_function!(search_path => search_path_body);

/// `package.searchpath(name, path)`
unsafe fn search_path_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state; both texts stay on the stack.
    let (name, path) = unsafe { (bytes(lua, 1), bytes(lua, 2)) };
    let (Some(name), Some(path)) = (name, path) else {
        return Err(Raise::Message("'package.path' must be a string".to_owned()));
    };
    let name = String::from_utf8_lossy(name).replace('.', "/");
    let mut tried = String::new();
    for template in path.split(|byte| *byte == b';').filter(|template| !template.is_empty()) {
        let file = String::from_utf8_lossy(template).replace('?', &name);
        if std::fs::File::open(&file).is_ok() {
            // SAFETY: as above, with free slots.
            unsafe { push_text(lua, &file) };
            return Ok(1);
        }
        tried.push_str(&format!("\n\tno file '{file}'"));
    }
    // SAFETY: as above.
    unsafe {
        lua_pushnil(lua);
        push_text(lua, &tried);
    }
    Ok(2)
}

/// Leaves `require` two places to look in: what was granted by name, and text on granted paths.
///
/// # Safety
/// As for [`replace_loaders`].
pub(super) unsafe fn replace_searchers(lua: *mut lua_State, policy: &SandboxPolicy) {
    // SAFETY: the caller's state with `package.loaded` at index 1.
    unsafe {
        lua_getfield(lua, 1, c"package".as_ptr());
        lua_getfield(lua, 2, version::SEARCHERS.as_ptr());
        for position in (2..=lua_rawlen(lua, 3) as lua_Integer).rev() {
            lua_pushnil(lua);
            lua_rawseti(lua, 3, position);
        }
        if policy.files() {
            push_searchpath(lua, 2);
            lua_pushvalue(lua, 2);
            lua_pushcclosure(lua, search_text, 2);
        } else {
            lua_pushcfunction(lua, search_nowhere);
        }
        lua_rawseti(lua, 3, 2);
        lua_settop(lua, 1);
    }
}

lua_function!(search_text => search_text_body);
lua_function!(search_nowhere => search_nowhere_body);

/// A searcher, see package.searchers: the upvalues are `package.searchpath` and `package`.
unsafe fn search_text_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state; what the call raises passes no destructor. The file's name stays on the stack.
    unsafe {
        lua_settop(lua, 1);
        lua_pushvalue(lua, lua_upvalueindex(1));
        lua_pushvalue(lua, 1);
        lua_getfield(lua, lua_upvalueindex(2), c"path".as_ptr());
        lua_call(lua, 2, 2);
        if lua_type(lua, 2) != LUA_TSTRING {
            return Ok(1);
        }
        let file = lua_tolstring(lua, 2, std::ptr::null_mut());
        if text::load_file(lua, file) != LUA_OK {
            return Err(Raise::Object);
        }
        lua_pushvalue(lua, 2);
        Ok(2)
    }
}

unsafe fn search_nowhere_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state.
    unsafe { push_text(lua, "the sandbox grants no such module (libs = {...}) and no path (read = {...})") };
    Ok(1)
}
