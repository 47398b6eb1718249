//! Whether a module can be had elsewhere, and what of it came with it.

use std::ffi::{CStr, OsStr, c_int};
use std::io::{Cursor, Write};
use std::os::unix::ffi::OsStrExt;

use super::library::has_module;
use super::shape::is_metatable;
use super::{push, push_loaded};
use crate::convert::protect::string;
use crate::ffi::*;

// A registry key is the address of a static.
static DECISIONS_KEY: u8 = 3;

/// Room for the name of a module's file.
const LONGEST: usize = 1024;

/// The module that a name begins with.
pub(super) fn module_of(name: &[u8]) -> &[u8] {
    name.split(|&b| b == 0).next().unwrap_or(name)
}

/// Whether workers can require a module: it is part of Lua or llib, or a file on the paths, which they get too.
///
/// Asking the file system takes a while, so the answer is kept.
///
/// # Safety
/// Below `lua_pcall` with some twenty free slots; `module` stays where it is.
pub(in crate::convert) unsafe fn can_be_required(lua: *mut lua_State, module: &[u8]) -> bool {
    if module == b"llib" || has_module(module) {
        return true;
    }
    // SAFETY: as demanded; balanced.
    unsafe {
        let top = lua_gettop(lua);
        let found = push_file(lua, module);
        lua_settop(lua, top);
        found
    }
}

/// Whether a module's own file is this one.
///
/// # Safety
/// As for [`can_be_required`].
pub(super) unsafe fn is_file_of(lua: *mut lua_State, module: &[u8], file: &[u8]) -> bool {
    // SAFETY: as demanded; balanced.
    unsafe {
        let top = lua_gettop(lua);
        let same = push_file(lua, module) && string(lua, -1) == file;
        lua_settop(lua, top);
        same
    }
}

/// Pushes the file in which `require` finds a module and returns true, or pushes something else.
unsafe fn push_file(lua: *mut lua_State, module: &[u8]) -> bool {
    // SAFETY: as the callers demand; every index was pushed just before.
    unsafe {
        if lua_rawgetp(lua, LUA_REGISTRYINDEX, (&raw const DECISIONS_KEY).cast()) != LUA_TTABLE {
            lua_settop(lua, -2);
            lua_createtable(lua, 0, 4);
            lua_pushvalue(lua, -1);
            lua_rawsetp(lua, LUA_REGISTRYINDEX, (&raw const DECISIONS_KEY).cast());
        }
        let decisions = lua_gettop(lua);
        lua_pushlstring(lua, module.as_ptr().cast(), module.len());
        lua_pushvalue(lua, -1);
        match lua_rawget(lua, decisions) {
            LUA_TSTRING => return true,
            LUA_TBOOLEAN => return false,
            _ => lua_settop(lua, decisions + 1),
        }
        if !find_file(lua, decisions + 1) {
            lua_pushboolean(lua, 0);
        }
        lua_pushvalue(lua, decisions + 1);
        lua_pushvalue(lua, -2);
        lua_rawset(lua, decisions);
        lua_type(lua, -1) == LUA_TSTRING
    }
}

/// Pushes the file in which `require` would find the module named at `name`, or pushes nothing and returns false.
unsafe fn find_file(lua: *mut lua_State, name: c_int) -> bool {
    // SAFETY: below `lua_pcall` with free slots; every index was pushed just before. Functions of `package` may have been
    // replaced by the script and may do anything: they run in a protected call of their own.
    unsafe {
        let top = lua_gettop(lua);
        push_loaded(lua);
        push(lua, "package");
        if lua_type(lua, top + 1) != LUA_TTABLE || lua_rawget(lua, top + 1) != LUA_TTABLE {
            lua_settop(lua, top);
            return false;
        }
        let package = lua_gettop(lua);
        push(lua, "preload");
        if lua_rawget(lua, package) == LUA_TTABLE {
            lua_pushvalue(lua, name);
            if lua_rawget(lua, -2) != LUA_TNIL {
                lua_settop(lua, top);
                return false;
            }
        }
        for (path, root) in [("path", false), ("cpath", false), ("cpath", true)] {
            lua_settop(lua, package);
            push(lua, "searchpath");
            let searches = lua_rawget(lua, package) == LUA_TFUNCTION;
            let whole = string(lua, name);
            let part = if root { module_of_root(whole) } else { whole };
            let found = if searches {
                lua_pushlstring(lua, part.as_ptr().cast(), part.len());
                push(lua, path);
                lua_rawget(lua, package) == LUA_TSTRING
                    && lua_pcall(lua, 2, 1, 0) == LUA_OK
                    && lua_type(lua, -1) == LUA_TSTRING
            } else {
                // Lua 5.1, or a script took it away.
                push(lua, path);
                let mut file = [0; LONGEST];
                let len = if lua_rawget(lua, package) == LUA_TSTRING {
                    search(part, string(lua, -1), &mut file)
                } else {
                    None
                };
                if let Some(len) = len {
                    lua_pushlstring(lua, file.as_ptr().cast(), len);
                }
                len.is_some()
            };
            if found {
                lua_replace(lua, top + 1);
                lua_settop(lua, top + 1);
                return true;
            }
        }
        lua_settop(lua, top);
        false
    }
}

fn module_of_root(module: &[u8]) -> &[u8] {
    module.split(|&b| b == b'.').next().unwrap_or(module)
}

/// Does what `package.searchpath` does: writes the file of this module on this path, and returns its length.
fn search(module: &[u8], path: &[u8], file: &mut [u8; LONGEST]) -> Option<usize> {
    path.split(|&byte| byte == b';').filter(|template| !template.is_empty()).find_map(|template| {
        let mut rest = Cursor::new(&mut file[..]);
        for (index, piece) in template.split(|&byte| byte == b'?').enumerate() {
            if index > 0 {
                for &byte in module {
                    rest.write_all(&[if byte == b'.' { b'/' } else { byte }]).ok()?;
                }
            }
            rest.write_all(piece).ok()?;
        }
        let len = rest.position() as usize;
        std::fs::File::open(OsStr::from_bytes(&file[..len])).is_ok().then_some(len)
    })
}

/// Whether the table on top, a class or metatable, was made by a module's own file: one of its functions was written there. A
/// script may have put it into the module's table, and then no other process finds it there.
///
/// # Safety
/// As for [`can_be_required`]; a table is on top.
pub(super) unsafe fn made_by(lua: *mut lua_State, module: &[u8]) -> bool {
    // SAFETY: as demanded; balanced.
    unsafe {
        let top = lua_gettop(lua);
        let mut made = has_function_of(lua, module);
        if !made {
            push(lua, "__index");
            made = match lua_rawget(lua, top) {
                LUA_TTABLE => lua_rawequal(lua, -1, top) == 0 && has_function_of(lua, module),
                LUA_TNIL => has_metatable_of(lua, top, module),
                _ => false,
            };
            lua_settop(lua, top);
            made = made || inherits_all_from(lua, module);
        }
        lua_settop(lua, top);
        made
    }
}

/// The most fields of a table that are looked at: a class has its own functions beside those it inherits.
const MOST: usize = 100;

/// Whether one of the first fields of the table at `class` is a metatable with a function of the module's file: middleclass keeps
/// what instances have in such a field, and nothing in the class itself.
unsafe fn has_metatable_of(lua: *mut lua_State, class: c_int, module: &[u8]) -> bool {
    // SAFETY: as the caller demands; balanced.
    unsafe {
        let top = lua_gettop(lua);
        let (mut found, mut seen) = (false, 0);
        lua_pushnil(lua);
        while !found && seen < MOST && lua_next(lua, class) != 0 {
            seen += 1;
            found = lua_type(lua, -1) == LUA_TTABLE && is_metatable(lua) && has_function_of(lua, module);
            lua_settop(lua, top + 1);
        }
        lua_settop(lua, top);
        found
    }
}

/// Whether the class on top has inherited all of its functions, from classes that are metatables of each other, and one of
/// these has a function of the module's file: a kind of error that adds nothing but its name.
unsafe fn inherits_all_from(lua: *mut lua_State, module: &[u8]) -> bool {
    /// Generations looked at.
    const PARENTS: usize = 8;
    // SAFETY: as the caller demands; balanced.
    unsafe {
        let class = lua_gettop(lua);
        let mut found = false;
        for _ in 0..PARENTS {
            if found || lua_getmetatable(lua, -1) == 0 || has_own_function(lua) {
                break;
            }
            found = has_function_of(lua, module);
            if lua_gettop(lua) > class + 1 {
                lua_replace(lua, class + 1);
            }
        }
        lua_settop(lua, class);
        found
    }
}

/// Whether one of the first fields of the table below the top is a function that the table on top does not have there.
unsafe fn has_own_function(lua: *mut lua_State) -> bool {
    // SAFETY: as the caller demands; balanced.
    unsafe {
        let parent = lua_gettop(lua);
        let (mut own, mut seen) = (false, 0);
        lua_pushnil(lua);
        while !own && seen < MOST && lua_next(lua, parent - 1) != 0 {
            seen += 1;
            if lua_type(lua, -1) == LUA_TFUNCTION {
                lua_pushvalue(lua, -2);
                lua_rawget(lua, parent);
                own = lua_rawequal(lua, -1, -2) == 0;
            }
            lua_settop(lua, parent + 1);
        }
        lua_settop(lua, parent);
        own
    }
}

/// Whether one of the first fields of the table on top is a function of the module's file.
unsafe fn has_function_of(lua: *mut lua_State, module: &[u8]) -> bool {
    // SAFETY: as the caller demands; balanced. With `>` the call takes the function that is pushed for it; `source` is a
    // string that the function keeps.
    unsafe {
        let table = lua_gettop(lua);
        let mut last = std::ptr::null();
        let mut seen = 0;
        lua_pushnil(lua);
        while seen < MOST && lua_next(lua, table) != 0 {
            seen += 1;
            if lua_type(lua, -1) != LUA_TFUNCTION {
                lua_settop(lua, -2);
                continue;
            }
            if lua_iscfunction(lua, -1) != 0 {
                // Of a C library: scripts make no classes of these.
                let what = crate::version::function::identity(lua).and_then(|what| what.address());
                let file = what.and_then(llib_core::sys::module::file_of);
                if file.is_some_and(|file| is_file_of(lua, module, file.to_bytes())) {
                    lua_settop(lua, table);
                    return true;
                }
                lua_settop(lua, -2);
                continue;
            }
            let mut about: lua_Debug = std::mem::zeroed();
            lua_getinfo(lua, c">S".as_ptr(), &mut about);
            if about.source.is_null() || about.source == last {
                continue;
            }
            last = about.source;
            if let Some((b'@', file)) = CStr::from_ptr(about.source).to_bytes().split_first()
                && is_file_of(lua, module, file)
            {
                lua_settop(lua, table);
                return true;
            }
        }
        lua_settop(lua, table);
        false
    }
}

/// Whether nothing in the table on top, a class or metatable, is a script's: the Lua functions in it, and in tables in it, were
/// written in files of modules that are loaded, if there are any. A class without methods is so, and one that a library of classes
/// has put together.
///
/// # Safety
/// As for [`can_be_required`]; a table is on top.
pub(super) unsafe fn made_by_modules(lua: *mut lua_State) -> bool {
    // SAFETY: as demanded; balanced.
    unsafe {
        let table = lua_gettop(lua);
        let mut all = functions_are_of_modules(lua);
        let mut seen = 0;
        lua_pushnil(lua);
        while all && seen < MOST && lua_next(lua, table) != 0 {
            seen += 1;
            if lua_type(lua, -1) == LUA_TTABLE && lua_rawequal(lua, -1, table) == 0 {
                all = functions_are_of_modules(lua);
            }
            lua_settop(lua, -2);
        }
        lua_settop(lua, table);
        all
    }
}

/// Whether the first Lua functions among the fields of the table on top were written in files of modules that are loaded.
unsafe fn functions_are_of_modules(lua: *mut lua_State) -> bool {
    // SAFETY: as the caller demands; balanced, as for `has_function_of`.
    unsafe {
        let table = lua_gettop(lua);
        let mut last = std::ptr::null();
        let (mut all, mut seen) = (true, 0);
        lua_pushnil(lua);
        while all && seen < MOST && lua_next(lua, table) != 0 {
            seen += 1;
            if lua_type(lua, -1) != LUA_TFUNCTION || lua_iscfunction(lua, -1) != 0 {
                lua_settop(lua, -2);
                continue;
            }
            let mut about: lua_Debug = std::mem::zeroed();
            lua_pushvalue(lua, -1);
            lua_getinfo(lua, c">S".as_ptr(), &mut about);
            if !about.source.is_null() && about.source != last {
                last = about.source;
                let file = CStr::from_ptr(about.source).to_bytes().strip_prefix(b"@");
                all = file.is_some_and(|file| is_file_of_any(lua, file));
            }
            lua_settop(lua, -2);
        }
        lua_settop(lua, table);
        all
    }
}

/// Whether `require` finds any of the modules that are loaded in this file.
unsafe fn is_file_of_any(lua: *mut lua_State, file: &[u8]) -> bool {
    // SAFETY: as the caller demands; balanced. `push_file` leaves `package.loaded` as it is.
    unsafe {
        let top = lua_gettop(lua);
        push_loaded(lua);
        let mut any = false;
        lua_pushnil(lua);
        while lua_type(lua, top + 1) == LUA_TTABLE && !any && lua_next(lua, top + 1) != 0 {
            lua_settop(lua, -2);
            if lua_type(lua, -1) == LUA_TSTRING {
                let module = string(lua, -1);
                any = !has_module(module) && is_file_of(lua, module, file);
            }
        }
        lua_settop(lua, top);
        any
    }
}
