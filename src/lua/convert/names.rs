//! The names of things that both sides have: C functions, loaded modules, userdata such as `io.stdout`.
//!
//! The registry keeps a table from object to name, `module` or `module NUL field`, weak in its keys. It is
//! built from `package.loaded` (each module and its fields; for llib one level more) when llib is loaded, and
//! completed when `package.loaded` changed. Beside it lies a small bit set over the addresses of the module tables: nearly
//! every table that is encoded is no module, and the set says so without a table access. It may say "maybe"
//! for another table (also for one that got the address of a dead module), never "no" for a module.

use std::ffi::c_int;
use std::os::unix::ffi::OsStrExt;

use crate::ffi::*;

use super::error::EncodeError;
use super::protect::{FIRST, Protected, protected, string};

/// Modules that every Lua of the same version has. Their globals have the same names.
pub(super) const STANDARD: &[&str] = &[
    "string",
    "table",
    "math",
    "io",
    "os",
    "debug",
    "coroutine",
    "utf8",
    "package",
    "bit32",
    "bit",
    "jit",
    "ffi",
];

/// Functions of `_G` that every Lua has; other C functions there were put there by the host program.
const BASE: &[&str] = &[
    "assert",
    "collectgarbage",
    "dofile",
    "error",
    "gcinfo",
    "getfenv",
    "getmetatable",
    "ipairs",
    "load",
    "loadfile",
    "loadstring",
    "module",
    "newproxy",
    "next",
    "pairs",
    "pcall",
    "print",
    "rawequal",
    "rawget",
    "rawlen",
    "rawset",
    "require",
    "select",
    "setfenv",
    "setmetatable",
    "tonumber",
    "tostring",
    "type",
    "unpack",
    "warn",
    "xpcall",
];

// Registry keys are addresses of statics.
static TABLE_KEY: u8 = 1;
static FILTER_KEY: u8 = 2;
static DECISIONS_KEY: u8 = 3;

/// Plain memory of a userdata in the registry.
#[repr(C)]
struct Filter {
    /// Of the content of `package.loaded` when the table was built.
    fingerprint: u64,
    modules: [u64; 16],
}

/// Access to the names for the length of one encoding.
#[derive(Clone, Copy)]
pub(super) struct Names {
    lua: *mut lua_State,
    /// Slot of the table from object to name.
    slot: c_int,
    filter: *mut Filter,
    rebuilt: bool,
}

impl Names {
    /// Brings the names up to date and puts their table into `slot`.
    ///
    /// # Safety
    /// Below `lua_pcall`, some twenty free slots, `slot` a slot of the running function.
    pub(super) unsafe fn open(lua: *mut lua_State, slot: c_int) -> Self {
        // SAFETY: the keys are addresses used by this file alone, so the userdata has our layout; the
        // registry keeps it alive. Fresh memory is initialised before it is read.
        unsafe {
            lua_rawgetp(lua, LUA_REGISTRYINDEX, (&raw const FILTER_KEY).cast());
            let mut filter = lua_touserdata(lua, -1).cast::<Filter>();
            let fresh = filter.is_null();
            if fresh {
                filter = lua_newuserdatauv(lua, size_of::<Filter>(), 0).cast();
                filter.write(Filter { fingerprint: 0, modules: [0; 16] });
                lua_rawsetp(lua, LUA_REGISTRYINDEX, (&raw const FILTER_KEY).cast());
            }
            lua_settop(lua, -2);
            let mut names = Self { lua, slot, filter, rebuilt: false };
            let fingerprint = names.fingerprint();
            if fresh || (*filter).fingerprint != fingerprint {
                names.rebuild();
                (*filter).fingerprint = fingerprint;
            } else {
                lua_rawgetp(lua, LUA_REGISTRYINDEX, (&raw const TABLE_KEY).cast());
                lua_replace(lua, slot);
            }
            names
        }
    }

    /// Whether the table at this address may be a module.
    #[inline]
    pub(super) fn may_be_module(&self, address: usize) -> bool {
        let (word, bit) = Self::place(address);
        // SAFETY: the registry keeps the userdata alive, and nobody else writes to it meanwhile.
        unsafe { (*self.filter).modules[word] & bit != 0 }
    }

    fn place(address: usize) -> (usize, u64) {
        let hash = (address as u64 >> 3).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54;
        ((hash >> 6) as usize, 1 << (hash & 63))
    }

    /// Pushes the name of the value on top, or pushes nothing and returns false.
    ///
    /// # Safety
    /// As for [`open`](Names::open).
    pub(super) unsafe fn find(&self) -> bool {
        // SAFETY: `slot` holds the names' table.
        unsafe {
            lua_pushvalue(self.lua, -1);
            lua_rawget(self.lua, self.slot);
            let found = lua_type(self.lua, -1) == LUA_TSTRING;
            if !found {
                lua_settop(self.lua, -2);
            }
            found
        }
    }

    /// As [`find`](Names::find), but looks again at all modules, once: fields may have been added.
    ///
    /// # Safety
    /// As for [`open`](Names::open).
    pub(super) unsafe fn find_anew(&mut self) -> bool {
        // SAFETY: as demanded.
        unsafe {
            if self.find() {
                return true;
            }
            if self.rebuilt {
                return false;
            }
            self.rebuild();
            self.find()
        }
    }

    /// A number that changes with the content of `package.loaded`, whatever its order.
    unsafe fn fingerprint(&self) -> u64 {
        let lua = self.lua;
        let mut sum = 1u64;
        // SAFETY: raw traversal of a table that is not changed meanwhile.
        unsafe {
            push_loaded(lua);
            if lua_type(lua, -1) == LUA_TTABLE {
                lua_pushnil(lua);
                while lua_next(lua, -2) != 0 {
                    let key = if lua_type(lua, -2) == LUA_TSTRING {
                        string(lua, -2).as_ptr() as u64
                    } else {
                        lua_topointer(lua, -2) as u64
                    };
                    let pair = key.rotate_left(32) ^ lua_topointer(lua, -1) as u64;
                    sum = sum.wrapping_add(pair.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 7);
                    lua_settop(lua, -2);
                }
            }
            lua_settop(lua, -2);
        }
        sum
    }

    #[cold]
    unsafe fn rebuild(&mut self) {
        self.rebuilt = true;
        let lua = self.lua;
        // SAFETY: below `lua_pcall` with free slots; every index below was pushed just before. The
        // tables are raw: nothing but a memory error is raised.
        unsafe {
            (*self.filter).modules = [0; 16];
            // Names once given stay: a script may replace `print` and call the old one in its own.
            if lua_rawgetp(lua, LUA_REGISTRYINDEX, (&raw const TABLE_KEY).cast()) != LUA_TTABLE {
                lua_settop(lua, -2);
                lua_createtable(lua, 0, 256);
                lua_createtable(lua, 0, 1);
                push(lua, "__mode");
                push(lua, "k");
                lua_rawset(lua, -3);
                lua_setmetatable(lua, -2);
            }
            lua_replace(lua, self.slot);
            push_loaded(lua);
            let loaded = lua_gettop(lua);
            if lua_type(lua, loaded) == LUA_TTABLE {
                for name in STANDARD {
                    push(lua, name);
                    lua_pushvalue(lua, -1);
                    lua_rawget(lua, loaded);
                    self.module(0);
                    lua_settop(lua, loaded);
                }
                push(lua, "_G");
                lua_rawget(lua, loaded);
                if lua_type(lua, -1) == LUA_TTABLE {
                    for name in BASE {
                        lua_pushlstring(lua, c"_G".as_ptr(), 3);
                        push(lua, name);
                        lua_concat(lua, 2);
                        push(lua, name);
                        lua_rawget(lua, loaded + 1);
                        if lua_iscfunction(lua, -1) != 0 {
                            self.add();
                        }
                        lua_settop(lua, loaded + 1);
                    }
                }
                lua_settop(lua, loaded);
                lua_pushnil(lua);
                while lua_next(lua, loaded) != 0 {
                    if lua_type(lua, -2) == LUA_TSTRING && string(lua, -2) != b"_G" {
                        let deep = string(lua, -2) == b"llib";
                        self.module(c_int::from(deep));
                    }
                    lua_settop(lua, -2);
                }
            }
            lua_settop(lua, loaded - 1);
            lua_pushvalue(lua, self.slot);
            lua_rawsetp(lua, LUA_REGISTRYINDEX, (&raw const TABLE_KEY).cast());
        }
    }

    /// Names the value on top and its fields; its own name lies below it. `depth` levels of tables among
    /// the fields are named too. Leaves the stack as it is.
    unsafe fn module(&self, depth: c_int) {
        let lua = self.lua;
        // SAFETY: as in `rebuild`; recursion is as deep as `depth`, at most one.
        unsafe {
            if string(lua, -2).contains(&0) && depth == 0 && !string(lua, -2).starts_with(b"llib\0") {
                return;
            }
            match lua_type(lua, -1) {
                LUA_TTABLE => {}
                LUA_TUSERDATA => return self.add(),
                LUA_TFUNCTION if lua_iscfunction(lua, -1) != 0 => return self.add(),
                _ => return,
            }
            self.add();
            let (word, bit) = Self::place(lua_topointer(lua, -1) as usize);
            (*self.filter).modules[word] |= bit;
            let module = lua_gettop(lua);
            lua_pushnil(lua);
            while lua_next(lua, module) != 0 {
                let kind = lua_type(lua, -1);
                let wanted = kind == LUA_TUSERDATA
                    || (kind == LUA_TFUNCTION && lua_iscfunction(lua, -1) != 0)
                    || (kind == LUA_TTABLE && depth > 0);
                if wanted && lua_type(lua, -2) == LUA_TSTRING && !string(lua, -2).contains(&0) {
                    lua_pushvalue(lua, module - 1);
                    lua_pushlstring(lua, c"".as_ptr(), 1);
                    lua_pushvalue(lua, -4);
                    lua_concat(lua, 3);
                    lua_pushvalue(lua, -2);
                    if kind == LUA_TTABLE {
                        self.module(depth - 1);
                    } else {
                        self.add();
                    }
                    lua_settop(lua, module + 2);
                }
                lua_settop(lua, -2);
            }
        }
    }

    /// Enters the value on top, with the name below it, unless it has a name.
    unsafe fn add(&self) {
        // SAFETY: as in `rebuild`.
        unsafe {
            if self.find() {
                lua_settop(self.lua, -2);
                return;
            }
            lua_pushvalue(self.lua, -1);
            lua_pushvalue(self.lua, -3);
            lua_rawset(self.lua, self.slot);
        }
    }

    /// Whether the module whose name is on top can be required elsewhere too.
    ///
    /// It cannot if a script put it into `package.loaded` or `package.preload` by hand: its table is copied
    /// then. Asking the file system takes a while, so the answer is kept.
    ///
    /// # Safety
    /// As for [`open`](Names::open); a string is on top.
    pub(super) unsafe fn can_be_required(&self) -> bool {
        let lua = self.lua;
        // SAFETY: as in `rebuild`; indices are absolute. Functions of `package` may have been replaced by
        // the script and may do anything: they run in a protected call of their own.
        unsafe {
            let name = lua_gettop(lua);
            let bytes = string(lua, name);
            let module = bytes.split(|&b| b == 0).next().unwrap_or(bytes);
            if module == b"llib" || STANDARD.iter().any(|s| s.as_bytes() == module) {
                return true;
            }
            if lua_rawgetp(lua, LUA_REGISTRYINDEX, (&raw const DECISIONS_KEY).cast()) != LUA_TTABLE {
                lua_settop(lua, name);
                lua_createtable(lua, 0, 4);
                lua_pushvalue(lua, -1);
                lua_rawsetp(lua, LUA_REGISTRYINDEX, (&raw const DECISIONS_KEY).cast());
            }
            lua_pushvalue(lua, name);
            let answer = if lua_rawget(lua, -2) == LUA_TBOOLEAN {
                lua_toboolean(lua, -1) != 0
            } else {
                lua_settop(lua, name + 1);
                let answer = on_disk(lua, name);
                lua_pushvalue(lua, name);
                lua_pushboolean(lua, answer.into());
                lua_rawset(lua, name + 1);
                answer
            };
            lua_settop(lua, name);
            answer
        }
    }
}

/// Gives the things that are loaded now their names, before a script replaces some of them.
///
/// # Safety
/// `lua` is a valid state with a few free slots.
pub unsafe fn remember_names(lua: *mut lua_State) -> Result<(), EncodeError> {
    struct Remember;
    impl Protected for Remember {
        unsafe fn run(&mut self, lua: *mut lua_State) -> c_int {
            // SAFETY: below `lua_pcall`; a C function has twenty free slots, and more are asked for.
            unsafe {
                luaL_checkstack(lua, 40, std::ptr::null());
                lua_settop(lua, FIRST);
                Names::open(lua, FIRST);
            }
            0
        }
    }
    // SAFETY: as demanded.
    unsafe { protected(lua, &mut Remember, || 0, 0) }.map_err(EncodeError::from)
}

/// Whether `require` would find the module named at `name` in a file.
unsafe fn on_disk(lua: *mut lua_State, name: c_int) -> bool {
    // SAFETY: below `lua_pcall` with free slots; every index was pushed just before.
    unsafe {
        let top = lua_gettop(lua);
        push_loaded(lua);
        push(lua, "package");
        if lua_type(lua, top + 1) != LUA_TTABLE || lua_rawget(lua, top + 1) != LUA_TTABLE {
            lua_settop(lua, top);
            return true;
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
        let mut found = false;
        for (path, root) in [("path", false), ("cpath", false), ("cpath", true)] {
            lua_settop(lua, package);
            push(lua, "searchpath");
            let searches = lua_rawget(lua, package) == LUA_TFUNCTION;
            let whole = string(lua, name);
            let part = if root { whole.split(|&b| b == b'.').next().unwrap_or(whole) } else { whole };
            if !searches {
                // Lua 5.1, or a script took it away.
                push(lua, path);
                if lua_rawget(lua, package) == LUA_TSTRING && search(part, string(lua, -1)) {
                    found = true;
                    break;
                }
                continue;
            }
            lua_pushlstring(lua, part.as_ptr().cast(), part.len());
            push(lua, path);
            if lua_rawget(lua, package) == LUA_TSTRING
                && lua_pcall(lua, 2, 1, 0) == LUA_OK
                && lua_type(lua, -1) == LUA_TSTRING
            {
                found = true;
                break;
            }
        }
        lua_settop(lua, top);
        found
    }
}

/// Does what `package.searchpath` does: whether a module of this name is a file on this path.
fn search(module: &[u8], path: &[u8]) -> bool {
    let file: Vec<u8> = module.iter().map(|&byte| if byte == b'.' { b'/' } else { byte }).collect();
    path.split(|&byte| byte == b';').any(|template| {
        let name = template.split(|&byte| byte == b'?').collect::<Vec<_>>().join(&file[..]);
        std::fs::File::open(std::ffi::OsStr::from_bytes(&name)).is_ok()
    })
}

/// Pushes `package.loaded` as the registry knows it.
///
/// # Safety
/// Below `lua_pcall`, two free slots.
pub(super) unsafe fn push_loaded(lua: *mut lua_State) {
    // SAFETY: as demanded.
    unsafe {
        push(lua, "_LOADED");
        lua_rawget(lua, LUA_REGISTRYINDEX);
    }
}

/// Pushes a string.
///
/// # Safety
/// Below `lua_pcall`, a free slot.
pub(super) unsafe fn push(lua: *mut lua_State, text: &str) {
    // SAFETY: Lua copies the bytes.
    unsafe { lua_pushlstring(lua, text.as_ptr().cast(), text.len()) };
}
