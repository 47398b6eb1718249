//! The modules that a policy grants by name: found and loaded before the kernel's walls rise, run behind them.
//!
//! What is put into `package.preload` is the module's text, compiled and not run, or the entry of a C library. For a
//! job that a sandboxed job starts nothing is searched: its starter may have put a library of its own into the way. It
//! gets the very files that its starter got, if nobody has changed them since.
//!
//! Whatever raises here passes no destructor: what was found belongs to the caller of the protected call at once.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use llib_core::wire::charter::{Module, ModuleKind};
use llib_lua::call::{Raise, bytes, push_bytes};
use llib_lua::ffi::*;
use llib_lua::version::{self, text};
use rustix::fs::{Mode, OFlags};

use super::loaders::push_searchpath;
use llib_sandbox::grants::{about, identity};

fn problem(module: &[u8], what: &dyn std::fmt::Display) -> Raise {
    Raise::Message(format!("the module '{}', which 'libs' grants, {what}", String::from_utf8_lossy(module)))
}

/// Finds a granted module as `require` would, notes in `modules` what it is, and loads it.
///
/// # Safety
/// `lua` is a state with `package.loaded` at index 1, as Lua made it, and free slots, below lua_pcall; what is above index 1
/// is dropped. `modules` belongs to a frame outside of that call.
pub(super) unsafe fn find(lua: *mut lua_State, name: &[u8], modules: &mut Vec<Module>) -> Result<(), Raise> {
    let root = name.split(|byte| *byte == b'.').next().unwrap_or(name);
    let places = [
        (ModuleKind::Text, c"path", name),
        (ModuleKind::Library, c"cpath", name),
        (ModuleKind::Bundle, c"cpath", root),
    ];
    for (kind, path, wanted) in places {
        // SAFETY: as demanded; `package` is the library.
        unsafe {
            lua_settop(lua, 1);
            lua_getfield(lua, 1, c"package".as_ptr());
            push_searchpath(lua, 2);
            push_bytes(lua, wanted);
            lua_getfield(lua, 2, path.as_ptr());
            lua_call(lua, 2, 2);
            let Some(file) = bytes(lua, 3) else { continue };
            let (module, opened) = look(name, file, kind).map_err(|error| problem(name, &error))?;
            modules.push(module);
            let Some(module) = modules.last() else { continue };
            if load(lua, module, opened)? {
                return Ok(());
            }
        }
        modules.pop();
    }
    Err(problem(name, &"is not found"))
}

/// Loads a module that another process found, from the same file. With `written` somebody may have had the means to change
/// files who is not trusted.
///
/// # Safety
/// As for [`find`]; the module is not in a frame of the protected call either.
pub(super) unsafe fn load_again(lua: *mut lua_State, module: &Module, written: bool) -> Result<(), Raise> {
    if written && module.kind != ModuleKind::Text {
        // Its code runs before the walls rise, and so does that of what it needs in turn, which nobody has noted.
        let reason = "is a C library: jobs of a sandboxed job that may write files have none";
        return Err(problem(&module.name, &reason));
    }
    let looked = look(&module.name, &module.file, module.kind);
    let Some((_, opened)) = looked.ok().filter(|(now, _)| now == module) else {
        return Err(problem(&module.name, &"has been changed since the job began that grants it on"));
    };
    // SAFETY: as demanded.
    if unsafe { load(lua, module, opened)? } { Ok(()) } else { Err(problem(&module.name, &"is not found")) }
}

/// What a file is now. It is not opened for anything before that is known: it could be a pipe that somebody waits at.
fn look(name: &[u8], file: &[u8], kind: ModuleKind) -> std::io::Result<(Module, OwnedFd)> {
    let opened = rustix::fs::open(OsStr::from_bytes(file), OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let about = about(&opened)?;
    let module = Module {
        name: name.to_vec(),
        file: file.to_vec(),
        kind,
        identity: identity(&opened, &about),
        changed: (about.stx_ctime.tv_sec, about.stx_ctime.tv_nsec),
        size: about.stx_size,
    };
    Ok((module, opened))
}

/// Puts a module's loader into `package.preload`; false if the file has no such module.
unsafe fn load(lua: *mut lua_State, module: &Module, file: OwnedFd) -> Result<bool, Raise> {
    // SAFETY: the caller's state, see `find`.
    unsafe {
        lua_settop(lua, 1);
        if module.kind == ModuleKind::Text {
            compile(lua, module, file)?;
        } else {
            drop(file);
            push_entry(lua, module)?;
        }
        // The stack: 1 the loaded modules, 2 the loader, or why there is none.
        let found = lua_type(lua, 2) == LUA_TFUNCTION;
        if found {
            lua_getfield(lua, 1, c"package".as_ptr());
            lua_getfield(lua, 3, c"preload".as_ptr());
            push_bytes(lua, &module.name);
            lua_pushvalue(lua, 2);
            lua_rawset(lua, 4);
        }
        lua_settop(lua, 1);
        Ok(found)
    }
}

/// Pushes the module's text, compiled.
unsafe fn compile(lua: *mut lua_State, module: &Module, file: OwnedFd) -> Result<(), Raise> {
    let mut source = Vec::new();
    // The very file that was looked at. One that grows meanwhile is not read to its end.
    let read = File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))
        .and_then(|file| file.take(module.size).read_to_end(&mut source));
    read.map_err(|error| problem(&module.name, &error))?;
    drop(file);
    let label = CString::new([b"@", &module.file[..]].concat()).unwrap_or_default();
    // SAFETY: the caller's state with free slots; the call raises nothing.
    let status = unsafe { text::load_source(lua, &source, &label) };
    // The message of a failure is on top.
    if status == LUA_OK { Ok(()) } else { Err(Raise::Object) }
}

/// Pushes what the searcher of the module's kind finds if it looks for libraries at the module's file alone.
unsafe fn push_entry(lua: *mut lua_State, module: &Module) -> Result<(), Raise> {
    // SAFETY: the caller's state with `package.loaded` at index 1 alone. The path is put back whatever comes of the call.
    unsafe {
        lua_getfield(lua, 1, c"package".as_ptr());
        lua_getfield(lua, 2, c"cpath".as_ptr());
        push_bytes(lua, &module.file);
        lua_setfield(lua, 2, c"cpath".as_ptr());
        lua_getfield(lua, 2, version::SEARCHERS.as_ptr());
        lua_rawgeti(lua, 4, if module.kind == ModuleKind::Library { 3 } else { 4 });
        push_bytes(lua, &module.name);
        let status = lua_pcall(lua, 1, 1, 0);
        lua_pushvalue(lua, 3);
        lua_setfield(lua, 2, c"cpath".as_ptr());
        if status != LUA_OK {
            return Err(Raise::Object);
        }
        lua_replace(lua, 2);
        lua_settop(lua, 2);
    }
    Ok(())
}
