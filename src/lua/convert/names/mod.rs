//! The names of things that both sides have: C functions, loaded modules, classes, userdata such as `io.stdout`.
//!
//! The registry keeps a table from object to name, `module` or `module NUL field`, weak in its keys. Standard functions are in it
//! by what they are, see [`standard`], all else by where it is found in `package.loaded`: each module and its fields, and one
//! level more for llib and for classes. Of several names the best one counts, see [`Names::add`], so that no order of tables
//! matters. The table is built when llib is loaded, and completed when `package.loaded` changed.
//!
//! Beside it lies a small bit set over the addresses of the tables that have names: nearly every table that is encoded has none, and
//! the set says so without a table access. It may say "maybe" for another table (also for one that got the address of a
//! dead one), never "no" for one of these.

mod library;
mod modules;
mod standard;

use std::cmp::Ordering;
use std::ffi::{CStr, c_int};
use std::sync::atomic::{AtomicBool, Ordering as AtomicOrdering};

use crate::ffi::*;
use crate::version::function::{Identity, identity};

use super::classes;
use super::error::EncodeError;
use super::protect::{FIRST, Protected, protected, string};
use library::functions;
pub(super) use library::has_module;
pub(super) use modules::can_be_required;
use modules::{is_file_of, made_by, module_of};
pub use standard::{Known, know_functions};

// Registry keys are addresses of statics.
static TABLE_KEY: u8 = 1;
static FILTER_KEY: u8 = 2;
static ORIGINALS_KEY: u8 = 4;

/// Registry key of what `thread.self()` returns in a worker, and of `rej` beside it.
const OWN: [&CStr; 2] = [c"llib.self", c"llib.rej"];

/// Words of the bit set.
const WORDS: usize = 64;

/// Plain memory of a userdata in the registry.
#[repr(C)]
struct Filter {
    /// Of the content of `package.loaded` when the table was built.
    fingerprint: u64,
    tables: [u64; WORDS],
    /// Modules of the standard library that have been met in `package.loaded`, by their places in [`library::modules`].
    met: u64,
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

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// A module, and workers can require it.
    Module,
    /// A part of one that workers can require.
    Part,
    /// A module that is in `package.loaded` alone.
    OwnModule,
    /// A part of one of those, or a part that was added to a module.
    OwnPart,
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
                filter.write(Filter { fingerprint: 0, tables: [0; WORDS], met: 0 });
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

    /// Whether the table at this address may have a name.
    #[inline]
    pub(super) fn may_have_name(&self, address: usize) -> bool {
        let (word, bit) = Self::place(address);
        // SAFETY: the registry keeps the userdata alive, and nobody else writes to it meanwhile.
        unsafe { (*self.filter).tables[word] & bit != 0 }
    }

    fn place(address: usize) -> (usize, u64) {
        let hash = (address as u64 >> 3).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52;
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

    /// As [`find`](Names::find), but looks again at all modules, once: fields may have been added. A C function is known by
    /// what it is, too.
    ///
    /// # Safety
    /// As for [`open`](Names::open).
    pub(super) unsafe fn find_anew(&mut self) -> bool {
        let lua = self.lua;
        // SAFETY: as demanded.
        unsafe {
            if self.find() {
                return true;
            }
            let function = lua_iscfunction(lua, -1) != 0;
            if function && self.is_nameless() {
                return false;
            }
            if function && let Some((module, field)) = identity(lua).and_then(standard::name_of) {
                self.push_name(module, field);
                lua_pushvalue(lua, -2);
                self.enter();
                lua_settop(lua, -2);
                return true;
            }
            if let Some(name) = stream(lua) {
                self.push_name("io", name);
                lua_pushvalue(lua, -2);
                self.enter();
                lua_settop(lua, -2);
                return true;
            }
            if !self.rebuilt {
                self.rebuild();
                if self.find() {
                    return true;
                }
            }
            if function {
                // Not to be looked for each time.
                lua_pushboolean(lua, 0);
                lua_pushvalue(lua, -2);
                self.enter();
                lua_settop(lua, -3);
            }
            false
        }
    }

    /// Whether the C function on top was looked for in vain.
    unsafe fn is_nameless(&self) -> bool {
        // SAFETY: as for `find`; balanced.
        unsafe {
            lua_pushvalue(self.lua, -1);
            let nameless = lua_rawget(self.lua, self.slot) == LUA_TBOOLEAN;
            lua_settop(self.lua, -2);
            nameless
        }
    }

    /// A number that changes with the content of `package.loaded`, whatever its order.
    unsafe fn fingerprint(&self) -> u64 {
        // SAFETY: below `lua_pcall` with free slots; balanced.
        unsafe {
            push_loaded(self.lua);
            let table = lua_type(self.lua, -1) == LUA_TTABLE;
            let sum = if table { 1 + content(self.lua) } else { 1 };
            lua_settop(self.lua, -2);
            sum
        }
    }

    #[cold]
    unsafe fn rebuild(&mut self) {
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

    /// Notes the table on top in the bit set.
    unsafe fn mark(&self) {
        // SAFETY: a table is on top; the registry keeps the set.
        unsafe {
            let (word, bit) = Self::place(lua_topointer(self.lua, -1) as usize);
            (*self.filter).tables[word] |= bit;
        }
    }

    /// Pushes `module NUL field`, or the module where there is no field.
    unsafe fn push_name(&self, module: &str, field: &str) {
        // SAFETY: as in `rebuild`.
        unsafe {
            push(self.lua, module);
            if !field.is_empty() {
                push(self.lua, "\0");
                push(self.lua, field);
                lua_concat(self.lua, 3);
            }
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
    /// function, those in the module of its own library; those of modules that the host has as globals of the same name; the
    /// shorter; the first in the alphabet.
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
            let by_file = || {
                lua_pushvalue(self.lua, -2);
                let function = lua_iscfunction(self.lua, -1) != 0;
                let what = if function { identity(self.lua).and_then(Identity::address) } else { None };
                lua_settop(self.lua, -2);
                let file = what.and_then(llib_core::sys::module::file_of);
                let home =
                    |module| last(file.is_some_and(|file| is_file_of(self.lua, module, file.to_bytes())));
                home(module).cmp(&home(other))
            };
            let global = |module| last(self.is_global(module));
            (found(module).cmp(&found(other)))
                .then_with(by_file)
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

    /// Enters the value on top with the name below it. Leaves both.
    unsafe fn enter(&self) {
        // SAFETY: as in `rebuild`.
        unsafe {
            lua_pushvalue(self.lua, -1);
            lua_pushvalue(self.lua, -3);
            lua_rawset(self.lua, self.slot);
        }
    }

    /// What the name on top stands for: the value below it.
    ///
    /// # Safety
    /// As for [`open`](Names::open); a string is on top, and its value below it.
    pub(super) unsafe fn kind(&self) -> Named {
        let lua = self.lua;
        // SAFETY: as in `rebuild`; the string stays on the stack.
        unsafe {
            let name = string(lua, -1);
            let module = module_of(name);
            let required = can_be_required(lua, module);
            if module.len() == name.len() {
                let granted = is_confined() && lua_type(lua, -2) != LUA_TTABLE;
                return if required || granted { Named::Module } else { Named::OwnModule };
            }
            if !required {
                let granted = is_confined() && lua_type(lua, -2) != LUA_TTABLE;
                return if granted { Named::Part } else { Named::OwnPart };
            }
            if lua_type(lua, -2) == LUA_TTABLE && module != b"llib" {
                lua_pushvalue(lua, -2);
                let made = made_by(lua, module);
                lua_settop(lua, -2);
                if !made {
                    return Named::OwnPart;
                }
            }
            Named::Part
        }
    }

    /// Whether the C function on top is the standard library's own of this place, whatever else it is called.
    ///
    /// # Safety
    /// As for [`open`](Names::open); a C function is on top.
    pub(super) unsafe fn is_in_place(&self, module: &[u8], field: &[u8]) -> bool {
        let place = functions()
            .enumerate()
            .find(|(_, place)| place.0.as_bytes() == module && place.1.as_bytes() == field);
        // SAFETY: as demanded.
        place.is_some_and(|(index, place)| unsafe { standard::belongs(identity(self.lua), index, place) })
    }

    /// Why the C function on top has no name, in words.
    ///
    /// # Safety
    /// As for [`open`](Names::open); a C function is on top.
    pub(super) unsafe fn no_name(&self) -> Option<&'static [u8]> {
        // SAFETY: as demanded.
        unsafe { identity(self.lua).and_then(standard::foreign) }
    }
}

/// The name of the standard stream that the value on top is, if it is one: what stands in `io` may be any file.
///
/// # Safety
/// Below `lua_pcall`, a value on top and two free slots.
unsafe fn stream(lua: *mut lua_State) -> Option<&'static str> {
    // SAFETY: as demanded. In every version a file begins with the address of the C library's.
    let file = unsafe {
        let file = luaL_testudata(lua, -1, c"FILE*".as_ptr()).cast::<usize>();
        if file.is_null() {
            return None;
        }
        file.read()
    };
    llib_core::sys::streams::standard()
        .into_iter()
        .find(|(_, address)| *address == file)
        .map(|(name, _)| name)
}

/// Notes the table on top, a class that arrived, in the bit set.
///
/// # Safety
/// Below `lua_pcall`, a table on top and two free slots.
pub(super) unsafe fn note_class(lua: *mut lua_State) {
    // SAFETY: as demanded; balanced. The userdata has our layout, see `Names::open`; without one there is nothing to note.
    unsafe {
        lua_rawgetp(lua, LUA_REGISTRYINDEX, (&raw const FILTER_KEY).cast());
        let filter = lua_touserdata(lua, -1).cast::<Filter>();
        lua_settop(lua, -2);
        if !filter.is_null() {
            Names { lua, slot: 0, filter, rebuilt: true }.mark();
        }
    }
}

/// Whether a value of [`OWN`] was ever set in this process.
static OWNED: AtomicBool = AtomicBool::new(false);

/// Sets what `thread.self()` returns, the second value from the top, and the job's `rej`, which is on top. Pops both.
///
/// # Safety
/// `lua` is a valid state with these values on top, in a protected call.
pub unsafe fn set_own(lua: *mut lua_State) {
    OWNED.store(true, AtomicOrdering::Relaxed);
    // SAFETY: as demanded.
    unsafe {
        lua_setfield(lua, LUA_REGISTRYINDEX, OWN[1].as_ptr());
        lua_setfield(lua, LUA_REGISTRYINDEX, OWN[0].as_ptr());
    }
}

/// Pushes one of these, or nil.
///
/// # Safety
/// `lua` is a valid state with a free slot.
pub unsafe fn push_own(lua: *mut lua_State, which: usize) {
    // SAFETY: as demanded.
    unsafe {
        if OWNED.load(AtomicOrdering::Relaxed) {
            lua_getfield(lua, LUA_REGISTRYINDEX, OWN[which].as_ptr());
        } else {
            lua_pushnil(lua);
        }
    }
}

/// The address of the job's `res`; 0 in a program.
///
/// # Safety
/// Below `lua_pcall`, with a free slot.
pub(super) unsafe fn own_address(lua: *mut lua_State) -> usize {
    if !OWNED.load(AtomicOrdering::Relaxed) {
        return 0;
    }
    // SAFETY: as demanded; balanced.
    unsafe {
        push_own(lua, 0);
        let address = lua_topointer(lua, -1) as usize;
        lua_settop(lua, -2);
        address
    }
}

/// A number that changes with the content of the table on top, whatever its order.
///
/// # Safety
/// Below `lua_pcall`, a table on top and two free slots.
pub(super) unsafe fn content(lua: *mut lua_State) -> u64 {
    let mut sum = 0u64;
    // SAFETY: raw traversal of a table that is not changed meanwhile; balanced.
    unsafe {
        lua_pushnil(lua);
        while lua_next(lua, -2) != 0 {
            let key = match lua_type(lua, -2) {
                LUA_TSTRING => string(lua, -2).as_ptr() as u64,
                LUA_TNUMBER => lua_tonumber(lua, -2).to_bits(),
                _ => lua_topointer(lua, -2) as u64,
            };
            let pair = key.rotate_left(32) ^ lua_topointer(lua, -1) as u64;
            sum = sum.wrapping_add(pair.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 7);
            lua_settop(lua, -2);
        }
    }
    sum
}

/// Whether the table on top can serve as a metatable: it has a field that only those have.
unsafe fn is_metatable(lua: *mut lua_State) -> bool {
    const FIELDS: [&str; 6] = ["__index", "__call", "__tostring", "__name", "__eq", "__newindex"];
    // SAFETY: as in `rebuild`; balanced.
    unsafe { FIELDS.iter().any(|field| has_field(lua, field)) }
}

/// Whether the table on top is a metatable, or a class as the usual libraries make them: it can be called, and the metatable of its
/// instances is one of its fields.
///
/// # Safety
/// Below `lua_pcall`, a table on top and six free slots.
pub(super) unsafe fn is_class(lua: *mut lua_State) -> bool {
    /// Fields looked at: a class is not a long list.
    const MOST: usize = 100;
    // SAFETY: as demanded; balanced.
    unsafe {
        if is_metatable(lua) {
            return true;
        }
        if lua_getmetatable(lua, -1) == 0 {
            return false;
        }
        let callable = has_field(lua, "__call");
        lua_settop(lua, -2);
        let table = lua_gettop(lua);
        let (mut class, mut seen) = (false, 0);
        lua_pushnil(lua);
        while callable && !class && seen < MOST && lua_next(lua, table) != 0 {
            seen += 1;
            class = lua_type(lua, -1) == LUA_TTABLE && has_field(lua, "__index");
            lua_settop(lua, -2);
        }
        lua_settop(lua, table);
        class
    }
}

/// Whether the table on top is a class by itself, not just the metatable of something.
///
/// # Safety
/// As for [`is_class`].
pub(super) unsafe fn makes_instances(lua: *mut lua_State) -> bool {
    // SAFETY: as demanded.
    unsafe { has_field(lua, "__index") || (!is_metatable(lua) && is_class(lua)) }
}

unsafe fn has_field(lua: *mut lua_State, field: &str) -> bool {
    // SAFETY: a table is on top, and a slot is free; balanced.
    unsafe {
        push(lua, field);
        let found = lua_rawget(lua, -2) != LUA_TNIL;
        lua_settop(lua, -2);
        found
    }
}

/// Gives the things that are loaded now their names, before a script replaces some of them, and keeps the functions of the
/// standard library for those that ask for them by name.
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
                keep_originals(lua);
            }
            0
        }
    }
    // SAFETY: as demanded.
    unsafe { protected(lua, &mut Remember, || 0, 0) }.map_err(EncodeError::from)
}

/// Keeps the functions of the standard library by their names, also those that a script has replaced already.
unsafe fn keep_originals(lua: *mut lua_State) {
    // SAFETY: below `lua_pcall` with free slots; every index was pushed just before.
    unsafe {
        let top = lua_gettop(lua);
        lua_createtable(lua, 0, 160);
        push_loaded(lua);
        for (index, (module, field)) in functions().enumerate() {
            let names = Names { lua, slot: 0, filter: std::ptr::null_mut(), rebuilt: true };
            names.push_name(module, field);
            push(lua, module);
            if lua_type(lua, top + 2) == LUA_TTABLE
                && lua_rawget(lua, top + 2) == LUA_TTABLE
                && !field.is_empty()
            {
                push(lua, field);
                lua_rawget(lua, -2);
            }
            let here =
                lua_iscfunction(lua, -1) != 0 && standard::belongs(identity(lua), index, (module, field));
            if !here && let Some(function) = standard::to_make(index) {
                lua_pushcfunction(lua, function);
            }
            if lua_iscfunction(lua, -1) != 0 && standard::belongs(identity(lua), index, (module, field)) {
                lua_replace(lua, top + 4);
                lua_settop(lua, top + 4);
                lua_rawset(lua, top + 1);
            }
            lua_settop(lua, top + 2);
        }
        lua_settop(lua, top + 1);
        lua_rawsetp(lua, LUA_REGISTRYINDEX, (&raw const ORIGINALS_KEY).cast());
    }
}

/// Whether this process runs a sandboxed job.
static CONFINED: AtomicBool = AtomicBool::new(false);

/// Whether this process runs a sandboxed job: what `require` finds here was granted, and whether other jobs find it is the
/// grants' affair.
pub(super) fn is_confined() -> bool {
    CONFINED.load(AtomicOrdering::Relaxed)
}

/// Forgets the functions that [`remember_names`] kept: from now on names lead to what is in the libraries' tables, and no
/// further. For the state of a sandboxed job, once functions were taken away.
///
/// # Safety
/// `lua` is a valid state with two free stack slots, in a protected call.
pub unsafe fn confine_names(lua: *mut lua_State) {
    CONFINED.store(true, AtomicOrdering::Relaxed);
    // SAFETY: as demanded.
    unsafe { forget_originals(lua) }
}

/// See above.
pub(super) unsafe fn forget_originals(lua: *mut lua_State) {
    // SAFETY: as demanded of the caller.
    unsafe {
        lua_pushnil(lua);
        lua_rawsetp(lua, LUA_REGISTRYINDEX, (&raw const ORIGINALS_KEY).cast());
    }
}

/// Pushes the function of the standard library that has the name on top, or pushes nothing and returns false.
///
/// # Safety
/// Below `lua_pcall`, three free slots, a string on top.
pub(super) unsafe fn push_original(lua: *mut lua_State) -> bool {
    // SAFETY: as demanded.
    unsafe {
        let name = lua_gettop(lua);
        if lua_rawgetp(lua, LUA_REGISTRYINDEX, (&raw const ORIGINALS_KEY).cast()) == LUA_TTABLE {
            lua_pushvalue(lua, name);
            if lua_rawget(lua, -2) == LUA_TFUNCTION {
                lua_replace(lua, name + 1);
                return true;
            }
        }
        lua_settop(lua, name);
        false
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
