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

mod collect;
mod library;
mod modules;
mod originals;
mod own;
mod shape;
mod standard;

use std::ffi::c_int;

use crate::ffi::*;
use crate::version::function::identity;

use super::protect::string;
use library::functions;
pub(super) use library::has_module;
pub(super) use modules::can_be_required;
use modules::{made_by, made_by_modules, module_of};
#[cfg(test)]
pub(super) use originals::forget_originals;
pub use originals::{confine_names, push_standard, remember_names};
pub(super) use originals::{is_confined, push_original};
pub(super) use own::own_address;
pub use own::{push_own, set_own};
pub(super) use shape::{is_class, makes_instances};
pub use standard::{Known, know_functions};

// Registry keys are addresses of statics.
static TABLE_KEY: u8 = 1;
static FILTER_KEY: u8 = 2;

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
    /// A part of one that workers can require, which has it itself, or to which a script has added it: there is no telling.
    MaybePart,
    /// A part of one of those, or a part that a script has added to a module.
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
                let kind = if made_by(lua, module) {
                    Named::Part
                } else if made_by_modules(lua) {
                    Named::MaybePart
                } else {
                    Named::OwnPart
                };
                lua_settop(lua, -2);
                return kind;
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
