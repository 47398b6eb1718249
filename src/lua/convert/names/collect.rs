//! Collecting names: of the standard library, then of what else is loaded, of several names the best.

use std::cmp::Ordering;
use std::ffi::c_int;

use super::library::{self, functions, has_module};
use super::modules::{can_be_required, is_file_of, made_by, module_of};
use super::shape::{is_class, is_metatable};
use super::{Names, TABLE_KEY, WORDS, push, push_loaded, standard, stream};
use crate::convert::classes;
use crate::convert::protect::string;
use crate::ffi::*;
use crate::version::function::{Identity, identity};

impl Names {
    #[cold]
    pub(super) unsafe fn rebuild(&mut self) {
        self.rebuilt = true;
        let lua = self.lua;
        // SAFETY: below `lua_pcall` with free slots; every index below was pushed just before. The
        // tables are raw: nothing but a memory error is raised.
        unsafe {
            (*self.filter).tables = [0; WORDS];
            // Names once given stay: a script may replace `print` and call the old one in its own.
            let first = lua_rawgetp(lua, LUA_REGISTRYINDEX, (&raw const TABLE_KEY).cast()) != LUA_TTABLE;
            if first {
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
                self.library(loaded);
                if !first {
                    self.mark_libraries(loaded);
                }
                lua_pushnil(lua);
                while lua_next(lua, loaded) != 0 {
                    if lua_type(lua, -2) == LUA_TSTRING && !has_module(string(lua, -2)) {
                        let deep = string(lua, -2) == b"llib";
                        self.module(c_int::from(deep));
                    }
                    lua_settop(lua, -2);
                }
            }
            lua_settop(lua, loaded - 1);
            if classes::push_all(lua) {
                lua_pushnil(lua);
                while lua_next(lua, loaded) != 0 {
                    lua_settop(lua, -2);
                    if lua_type(lua, -1) == LUA_TTABLE {
                        self.mark();
                    }
                }
                lua_settop(lua, loaded - 1);
            }
            lua_pushvalue(lua, self.slot);
            lua_rawsetp(lua, LUA_REGISTRYINDEX, (&raw const TABLE_KEY).cast());
        }
    }

    /// Names the standard library, as far as it is in its place. Each module has one look, when it is met there first: LuaJIT
    /// loads some of them only when they are asked for, and what a script puts there later is the script's own.
    unsafe fn library(&self, loaded: c_int) {
        let lua = self.lua;
        // SAFETY: as in `rebuild`.
        unsafe {
            let before = (*self.filter).met;
            for (bit, module) in library::modules().enumerate() {
                push(lua, module);
                if lua_rawget(lua, loaded) != LUA_TNIL {
                    (*self.filter).met |= 1 << bit;
                }
                lua_settop(lua, loaded);
            }
            let fresh = (*self.filter).met & !before;
            let is_fresh = |module: &str| {
                let bit = library::modules().position(|other| other == module);
                bit.is_some_and(|bit| fresh >> bit & 1 != 0)
            };
            if fresh == 0 {
                return;
            }
            for (index, (module, field)) in functions().enumerate() {
                if !is_fresh(module) {
                    continue;
                }
                push(lua, module);
                lua_rawget(lua, loaded);
                let table = lua_type(lua, -1) == LUA_TTABLE;
                if table && !field.is_empty() {
                    push(lua, field);
                    lua_rawget(lua, -2);
                }
                let own = lua_iscfunction(lua, -1) != 0
                    && (standard::belongs(identity(lua), index, (module, field))
                        || (module, field) == ("_G", "type") && is_type_of_ffi(lua, loaded));
                if own {
                    self.push_name(module, field);
                    lua_rotate(lua, -2, 1);
                    self.enter();
                    lua_settop(lua, loaded + 1);
                    // The globals table is known by its address.
                    if table && module != "_G" {
                        self.library_table(module);
                    }
                }
                lua_settop(lua, loaded);
            }
            push(lua, "package");
            if is_fresh("package") && lua_rawget(lua, loaded) == LUA_TTABLE {
                // A sandbox leaves no function in it.
                push(lua, "loaded");
                lua_rawget(lua, -2);
                if lua_rawequal(lua, -1, loaded) != 0 {
                    lua_settop(lua, loaded + 1);
                    self.library_table("package");
                }
            }
            lua_settop(lua, loaded);
        }
    }

    /// Notes the tables of the standard library again that have names.
    unsafe fn mark_libraries(&self, loaded: c_int) {
        let lua = self.lua;
        // SAFETY: as in `rebuild`.
        unsafe {
            for module in library::modules() {
                push(lua, module);
                if lua_rawget(lua, loaded) == LUA_TTABLE && self.find() {
                    lua_settop(lua, -2);
                    self.mark();
                }
                lua_settop(lua, loaded);
            }
        }
    }

    /// Names the table on top, one of the standard library's. Leaves it.
    unsafe fn library_table(&self, module: &str) {
        let lua = self.lua;
        // SAFETY: as in `rebuild`.
        unsafe {
            push(lua, module);
            lua_pushvalue(lua, -2);
            self.enter();
            lua_settop(lua, -3);
            self.mark();
        }
    }

    /// Names the value on top and its fields; its own name lies below it. `depth` levels of tables among
    /// the fields are named too, and classes in any case. Leaves the stack as it is.
    unsafe fn module(&self, depth: c_int) {
        let lua = self.lua;
        // SAFETY: as in `rebuild`; recursion is as deep as `depth`, at most one, and one for a class.
        unsafe {
            match lua_type(lua, -1) {
                LUA_TTABLE => {}
                LUA_TUSERDATA => return self.add_userdata(),
                LUA_TFUNCTION if lua_iscfunction(lua, -1) != 0 => return self.add_function(),
                _ => return,
            }
            lua_pushglobaltable(lua);
            let globals = lua_rawequal(lua, -1, -2) != 0;
            lua_settop(lua, -2);
            if globals
                || (string(lua, -2).contains(&0) && depth == 0 && !string(lua, -2).starts_with(b"llib\0"))
            {
                return;
            }
            self.add();
            self.mark();
            let module = lua_gettop(lua);
            lua_pushnil(lua);
            while lua_next(lua, module) != 0 {
                let kind = lua_type(lua, -1);
                let wanted = match kind {
                    LUA_TUSERDATA => true,
                    LUA_TFUNCTION => lua_iscfunction(lua, -1) != 0,
                    LUA_TTABLE => lua_rawequal(lua, -1, module) == 0 && (depth > 0 || is_class(lua)),
                    _ => false,
                };
                if wanted && lua_type(lua, -2) == LUA_TSTRING && !string(lua, -2).contains(&0) {
                    lua_pushvalue(lua, module - 1);
                    lua_pushlstring(lua, c"".as_ptr(), 1);
                    lua_pushvalue(lua, -4);
                    lua_concat(lua, 3);
                    lua_pushvalue(lua, -2);
                    match kind {
                        LUA_TTABLE if depth > 0 => self.module(depth - 1),
                        LUA_TTABLE => self.class(),
                        LUA_TFUNCTION => self.add_function(),
                        _ => self.add_userdata(),
                    }
                    lua_settop(lua, module + 2);
                }
                lua_settop(lua, -2);
            }
        }
    }

    /// Names the class on top and the metatables among its fields, with its name below it. Leaves both.
    unsafe fn class(&self) {
        let lua = self.lua;
        // SAFETY: as in `rebuild`.
        unsafe {
            self.add();
            self.mark();
            let class = lua_gettop(lua);
            lua_pushnil(lua);
            while lua_next(lua, class) != 0 {
                if lua_type(lua, -1) == LUA_TTABLE
                    && lua_type(lua, -2) == LUA_TSTRING
                    && !string(lua, -2).contains(&0)
                    && lua_rawequal(lua, -1, class) == 0
                    && is_metatable(lua)
                {
                    lua_pushvalue(lua, class - 1);
                    lua_pushlstring(lua, c"".as_ptr(), 1);
                    lua_pushvalue(lua, -4);
                    lua_concat(lua, 3);
                    lua_pushvalue(lua, -2);
                    self.add();
                    self.mark();
                    lua_settop(lua, class + 2);
                }
                lua_settop(lua, -2);
            }
        }
    }

    /// As [`add`](Names::add), for the C function on top; one of the standard library has its name there.
    unsafe fn add_function(&self) {
        // SAFETY: as in `rebuild`.
        unsafe {
            if identity(self.lua).is_none_or(|what| standard::name_of(what).is_none()) {
                self.add();
            }
        }
    }

    /// As [`add`](Names::add), for the userdata on top; a standard stream has its name anyway.
    unsafe fn add_userdata(&self) {
        // SAFETY: as in `rebuild`.
        unsafe {
            if stream(self.lua).is_none() {
                self.add();
            }
        }
    }

    /// Enters the value on top with the name below it, unless it has a better one: first those that `require` finds; of a C
    /// function, those in the module of its own library; of a class, those in the module that made it, or that it is; those of
    /// modules that the host has as globals of the same name; the shorter; the first in the alphabet.
    unsafe fn add(&self) {
        let lua = self.lua;
        // SAFETY: as in `rebuild`; the strings stay on the stack while they are compared.
        unsafe {
            if self.find() {
                let (new, old) = (string(lua, -3), string(lua, -1));
                let better = new != old && self.compare(new, old) == Ordering::Less;
                lua_settop(lua, -2);
                if !better {
                    return;
                }
            }
            self.enter();
        }
    }

    unsafe fn compare(&self, new: &[u8], old: &[u8]) -> Ordering {
        let (module, other) = (module_of(new), module_of(old));
        // SAFETY: as in `add`: `name value other name` are on top.
        unsafe {
            let last = |yes: bool| !yes;
            let found = |module| last(can_be_required(self.lua, module));
            let by_maker = || {
                lua_pushvalue(self.lua, -2);
                let function = lua_iscfunction(self.lua, -1) != 0;
                let table = lua_type(self.lua, -1) == LUA_TTABLE;
                let what = if function { identity(self.lua).and_then(Identity::address) } else { None };
                let file = what.and_then(llib_core::sys::module::file_of);
                let home = |name: &[u8]| {
                    let module = module_of(name);
                    last(if table {
                        module.len() == name.len() || made_by(self.lua, module)
                    } else {
                        file.is_some_and(|file| is_file_of(self.lua, module, file.to_bytes()))
                    })
                };
                let order = home(new).cmp(&home(old));
                lua_settop(self.lua, -2);
                order
            };
            let global = |module| last(self.is_global(module));
            (found(module).cmp(&found(other)))
                .then_with(by_maker)
                .then_with(|| global(module).cmp(&global(other)))
                .then_with(|| new.len().cmp(&old.len()))
                .then_with(|| new.cmp(old))
        }
    }

    /// Whether the host has the module as a global of the same name.
    unsafe fn is_global(&self, module: &[u8]) -> bool {
        let lua = self.lua;
        // SAFETY: as in `rebuild`; balanced.
        unsafe {
            let top = lua_gettop(lua);
            push_loaded(lua);
            lua_pushlstring(lua, module.as_ptr().cast(), module.len());
            lua_rawget(lua, top + 1);
            lua_pushglobaltable(lua);
            lua_pushlstring(lua, module.as_ptr().cast(), module.len());
            lua_rawget(lua, top + 3);
            let same = lua_type(lua, -1) != LUA_TNIL && lua_rawequal(lua, -1, top + 2) != 0;
            lua_settop(lua, top);
            same
        }
    }
}

/// Whether the C function on top is what luaffi, LuaTeX's `ffi`, puts in the place of `type`. Of all values but its own, which cannot
/// travel, it says the same.
unsafe fn is_type_of_ffi(lua: *mut lua_State, loaded: c_int) -> bool {
    // SAFETY: as in `rebuild`; balanced.
    unsafe {
        let top = lua_gettop(lua);
        push(lua, "ffi");
        let same = lua_rawget(lua, loaded) == LUA_TTABLE && {
            push(lua, "type");
            lua_rawget(lua, -2) == LUA_TFUNCTION && lua_rawequal(lua, -1, top) != 0
        };
        lua_settop(lua, top);
        same
    }
}
