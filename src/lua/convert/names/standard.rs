//! Functions of the standard library, known by what they are.
//!
//! Where a function is found says little: scripts give `unpack` a second name, and hosts put something else where `print` was.
//! So a state that nobody has changed is opened once, and says which code is which function.

use std::cmp::Ordering;
use std::ffi::c_int;
use std::sync::OnceLock;

use rustc_hash::FxHashMap;

use super::library::{functions, has_module};
use super::{push, push_loaded};
use crate::convert::protect::{FIRST, Protected, protected, string};
use crate::ffi::*;
use crate::version::function::{Identity, end_pristine, identity, is_plain, pristine};

/// What is known of the functions of this process's Lua.
#[derive(Default)]
pub(super) struct Standard {
    /// For each of [`functions`], in this order: what it is, and whether it can be made anew.
    places: Vec<Option<(Identity, bool)>>,
    /// The first name of each, as [`place`] takes it.
    names: FxHashMap<Identity, usize>,
    /// Functions that this Lua has and those of workers have not.
    foreign: FxHashMap<Identity, Vec<u8>>,
}

/// Functions that the program itself puts among a library's, in a process of its own: module and field.
pub type Known = (lua_CFunction, &'static str, &'static str);

static KNOWN: OnceLock<&'static [Known]> = OnceLock::new();

/// Tells functions that every worker finds under these names. Once in a process.
pub fn know_functions(known: &'static [Known]) {
    // Every caller has the same ones.
    let _ = KNOWN.set(known);
}

/// What is known; none where there is no state to ask.
pub(super) fn standard() -> Option<&'static Standard> {
    static STANDARD: OnceLock<Option<Standard>> = OnceLock::new();
    STANDARD.get_or_init(gather).as_ref()
}

/// The name of a function: module and field.
pub(super) fn name_of(what: Identity) -> Option<(&'static str, &'static str)> {
    let own =
        || KNOWN.get()?.iter().find(|known| Identity::of(known.0) == what).map(|known| (known.1, known.2));
    let standard = || functions().nth(*standard()?.names.get(&what)?);
    own().or_else(standard)
}

/// Whether the function is the one that belongs to the place: the `index`-th of [`functions`].
pub(super) fn belongs(what: Option<Identity>, index: usize, (module, field): (&str, &str)) -> bool {
    let Some(standard) = standard() else { return true };
    let Some(what) = what else { return false };
    standard.places.get(index).is_some_and(|place| place.is_some_and(|(known, _)| known == what))
        || KNOWN.get().is_some_and(|known| {
            known.iter().any(|k| Identity::of(k.0) == what && (k.1, k.2) == (module, field))
        })
}

/// The function of this place, if it can be made from its code.
pub(super) fn to_make(index: usize) -> Option<lua_CFunction> {
    let (what, plain) = (*standard()?.places.get(index)?)?;
    let address = what.address().filter(|_| plain)?;
    // SAFETY: the address is that of a C function of Lua's libraries, which are there as long as this code.
    Some(unsafe {
        std::mem::transmute::<*const (), lua_CFunction>(std::ptr::with_exposed_provenance(address))
    })
}

/// The name of a function that this Lua has and workers' have not.
pub(super) fn foreign(what: Identity) -> Option<&'static [u8]> {
    standard()?.foreign.get(&what).map(Vec::as_slice)
}

fn gather() -> Option<Standard> {
    struct Gather(Standard);
    impl Protected for Gather {
        unsafe fn run(&mut self, lua: *mut lua_State) -> c_int {
            // SAFETY: below `lua_pcall`; more slots are asked for.
            unsafe {
                luaL_checkstack(lua, 40, std::ptr::null());
                lua_settop(lua, FIRST);
                self.0.gather(lua);
            }
            0
        }
    }
    let lua = pristine()?;
    let mut gather = Gather(Standard::default());
    // SAFETY: a state of its own, closed here.
    let gathered = unsafe {
        let gathered = protected(lua, &mut gather, || 0, 0);
        end_pristine(lua);
        gathered
    };
    gathered.ok().map(|()| gather.0)
}

impl Standard {
    /// # Safety
    /// Below `lua_pcall`, in a state with the libraries and nothing else. What may raise leaves only this struct's memory
    /// behind, which is not on a frame of the call.
    unsafe fn gather(&mut self, lua: *mut lua_State) {
        // SAFETY: as demanded; indices are absolute.
        unsafe {
            let base = lua_gettop(lua);
            for (index, (module, field)) in functions().enumerate() {
                lua_settop(lua, base);
                lua_getglobal(lua, c"require".as_ptr());
                push(lua, module);
                let mut found = None;
                if lua_pcall(lua, 1, 1, 0) == LUA_OK {
                    if !field.is_empty() && lua_type(lua, -1) == LUA_TTABLE {
                        push(lua, field);
                        lua_rawget(lua, -2);
                    }
                    if lua_iscfunction(lua, -1) != 0 {
                        let plain = is_plain(lua);
                        found = identity(lua).map(|what| (what, plain));
                    }
                }
                self.places.push(found);
                if let Some((what, _)) = found {
                    let better = self.names.get(&what).is_none_or(|&known| better((module, field), known));
                    if better {
                        self.names.insert(what, index);
                    }
                }
            }
            lua_settop(lua, base);
            push_loaded(lua);
            lua_pushnil(lua);
            while lua_next(lua, base + 1) != 0 {
                if lua_type(lua, -2) == LUA_TSTRING && lua_type(lua, -1) == LUA_TTABLE {
                    lua_pushnil(lua);
                    while lua_next(lua, base + 3) != 0 {
                        self.note_foreign(lua, base + 2);
                        lua_settop(lua, -2);
                    }
                }
                lua_settop(lua, base + 2);
            }
            lua_settop(lua, base);
        }
    }

    /// Notes the function on top, with its key below it, if it is none that workers have.
    unsafe fn note_foreign(&mut self, lua: *mut lua_State, module: c_int) {
        // SAFETY: the caller's state; the strings stay where they are meanwhile.
        unsafe {
            if lua_iscfunction(lua, -1) == 0 || lua_type(lua, -2) != LUA_TSTRING {
                return;
            }
            if let Some(what) = identity(lua).filter(|what| !self.names.contains_key(what)) {
                let name = match string(lua, module) {
                    b"_G" => string(lua, -2).to_vec(),
                    module => [module, b".", string(lua, -2)].concat(),
                };
                self.foreign.insert(what, name);
            }
        }
    }
}

fn better((module, field): (&str, &str), known: usize) -> bool {
    let Some((other, other_field)) = functions().nth(known) else { return true };
    let length =
        |module: &str, field: &str| if module == "_G" { field.len() } else { module.len() + 1 + field.len() };
    let (one, two) = (length(module, field), length(other, other_field));
    debug_assert!(has_module(module.as_bytes()));
    one.cmp(&two).then_with(|| (module, field).cmp(&(other, other_field))) == Ordering::Less
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::function::open_libraries_with;

    /// The Lua that tests run in is the one that workers have.
    #[test]
    fn the_library_is_what_the_lua_of_workers_has() {
        // SAFETY: called with new states.
        open_libraries_with(|lua| unsafe { luaL_openlibs(lua) });
        let standard = gather().unwrap();
        let missing: Vec<_> = functions()
            .zip(&standard.places)
            .filter(|(_, place)| place.is_none())
            .map(|(name, _)| name)
            .collect();
        assert!(missing.is_empty(), "no such functions: {missing:?}");
        let unknown: Vec<_> =
            standard.foreign.values().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        assert!(unknown.is_empty(), "not in the list: {unknown:?}");
    }
}
