//! Environments: tables of globals of a script's own, as hosts give them to each script.
//!
//! They are treated as the globals are: the fields that functions name travel, and what cannot travel raises when it is used. An
//! environment that leads on to the globals does so where it arrives. One that is a value too, and not only where functions
//! look for their names, is sent with all its fields.

use std::ffi::{CStr, c_char};

use super::super::names::Named;
use super::super::options::GlobalMode;
use super::globals::Place;
use super::*;
use crate::version::upvalue;

/// An environment that was met.
pub(super) struct Environment {
    address: usize,
    /// Where it is among the anchors.
    anchor: c_int,
    /// Whether what it does not have is looked for among the globals.
    reaches: bool,
    /// Where its tag stands, once it was written.
    pub(super) offset: Option<usize>,
    /// The names that were looked up in it.
    asked: FxHashSet<Box<[u8]>>,
    /// Whether all fields are to be sent, and whether they are in the queue.
    all: bool,
    listed: bool,
}

impl Environment {
    /// The encoder goes back to where the stream had this length.
    pub(super) fn forget_from(&mut self, start: usize) {
        if self.offset.is_some_and(|offset| offset >= start) {
            self.offset = None;
            self.listed = false;
        }
    }

    /// What was asked for after a point to which the encoder goes back.
    pub(super) fn forget(&mut self, name: &[u8]) {
        self.asked.remove(name);
    }
}

/// How many tables may stand between an environment and the globals.
const LONGEST: usize = 32;

/// Whether an upvalue's name is that of an environment.
pub(super) fn is_environment(name: *const c_char) -> bool {
    // SAFETY: the callers have the name from Lua, which ends it with a zero byte.
    unsafe { CStr::from_ptr(name) == c"_ENV" }
}

impl Encoder<'_> {
    /// The environment of the function on top, if it is none of the globals and no module's table.
    pub(super) unsafe fn environment_of(&mut self) -> Option<usize> {
        let lua = self.lua;
        // SAFETY: a Lua function is on top; balanced. An index past its last upvalue gives null.
        unsafe {
            let mut number = upvalue::FIRST;
            loop {
                let name = upvalue::get(lua, -1, number);
                if name.is_null() {
                    return None;
                }
                if is_environment(name) {
                    let address = lua_topointer(lua, -1) as usize;
                    let own = lua_type(lua, -1) == LUA_TTABLE && address != self.globals;
                    let found = if own { self.environment(address) } else { None };
                    lua_settop(lua, -2);
                    return found;
                }
                lua_settop(lua, -2);
                number += 1;
            }
        }
    }

    /// The environment on top, noted. Leaves it.
    #[cold]
    unsafe fn environment(&mut self, address: usize) -> Option<usize> {
        if let Some(place) = self.buffers.environments.iter().position(|e| e.address == address) {
            return Some(place);
        }
        if self.buffers.seen.get(address).is_some() {
            // As the value that it is, whole.
            return None;
        }
        // SAFETY: a table is on top, free slots are there.
        unsafe {
            let names = self.names();
            if names.may_have_name(address) && names.find() {
                let kind = names.kind();
                lua_settop(self.lua, -2);
                if matches!(kind, Named::Module | Named::Part) {
                    return None;
                }
            }
            let reaches = self.reaches_globals();
            self.anchor();
            let all = self.options.globals == GlobalMode::All;
            self.buffers.environments.push(Environment {
                address,
                anchor: self.anchors,
                reaches,
                offset: None,
                asked: FxHashSet::default(),
                all,
                listed: false,
            });
        }
        Some(self.buffers.environments.len() - 1)
    }

    /// Whether the environment on top leads on to the globals.
    unsafe fn reaches_globals(&mut self) -> bool {
        let lua = self.lua;
        // SAFETY: a table is on top; balanced; raw access but for a call that is protected.
        unsafe {
            let top = lua_gettop(lua);
            lua_pushvalue(lua, top);
            for _ in 0..LONGEST {
                if lua_getmetatable(lua, top + 1) == 0 {
                    break;
                }
                lua_pushlstring(lua, c"__index".as_ptr(), 7);
                match lua_rawget(lua, top + 2) {
                    LUA_TTABLE if lua_topointer(lua, -1) as usize == self.globals => {
                        lua_settop(lua, top);
                        return true;
                    }
                    LUA_TTABLE => {
                        lua_replace(lua, top + 1);
                        lua_settop(lua, top + 1);
                    }
                    LUA_TFUNCTION => {
                        lua_pushvalue(lua, top);
                        self.push_field(b"_G");
                        let reaches = lua_topointer(lua, -1) as usize == self.globals;
                        lua_settop(lua, top);
                        return reaches;
                    }
                    _ => break,
                }
            }
            lua_settop(lua, top);
            false
        }
    }

    /// Pushes a field of the environment on top, as a script gets it; nil where that raises.
    unsafe fn push_field(&mut self, name: &[u8]) {
        unsafe extern "C-unwind" fn get(lua: *mut lua_State) -> c_int {
            // SAFETY: called with a table and a key.
            unsafe { lua_gettable(lua, 1) };
            1
        }
        let lua = self.lua;
        // SAFETY: a table is on top; the call is protected.
        unsafe {
            lua_pushlstring(lua, name.as_ptr().cast(), name.len());
            if lua_rawget(lua, -2) != LUA_TNIL || lua_getmetatable(lua, -2) == 0 {
                return;
            }
            lua_settop(lua, -3);
            lua_pushcfunction(lua, get);
            lua_pushvalue(lua, -2);
            lua_pushlstring(lua, name.as_ptr().cast(), name.len());
            if lua_pcall(lua, 2, 1, 0) != LUA_OK {
                lua_settop(lua, -2);
                lua_pushnil(lua);
            }
        }
    }

    /// A function with this environment names this: it goes along, from the environment or from the globals.
    pub(super) unsafe fn name_in(&mut self, place: usize, name: &[u8]) {
        let lua = self.lua;
        let environment = &mut self.buffers.environments[place];
        if environment.asked.contains(name) {
            return;
        }
        environment.asked.insert(name.into());
        let (anchor, reaches) = (environment.anchor, environment.reaches);
        // SAFETY: below `lua_pcall`; nothing with a destructor lives on the frames up to here. Balanced.
        unsafe {
            let top = lua_gettop(lua);
            lua_rawgeti(lua, ANCHORS, anchor.into());
            self.push_field(name);
            lua_pushlstring(lua, name.as_ptr().cast(), name.len());
            lua_rawget(lua, GLOBAL_TABLE);
            let absent = lua_type(lua, top + 2) == LUA_TNIL;
            let global = reaches && lua_rawequal(lua, top + 2, top + 3) != 0;
            lua_settop(lua, top);
            if global {
                self.found_name(name);
            } else if !absent {
                self.want(Place::Field(place), name);
            }
        }
    }

    /// Writes the environment on top, an upvalue, if it was noted as one, and pops it.
    pub(super) unsafe fn environment_again(&mut self) -> bool {
        let lua = self.lua;
        // SAFETY: a value is on top.
        unsafe {
            let address = lua_topointer(lua, -1) as usize;
            let Some(place) = self.buffers.environments.iter().position(|e| e.address == address) else {
                return false;
            };
            let Buffers { sink, seen, environments, .. } = &mut *self.buffers;
            let environment = &mut environments[place];
            if let Some(offset) = seen.get(address) {
                self.reference(offset);
            } else {
                let offset = sink.at();
                seen.insert(address, offset);
                environment.offset = Some(offset);
                sink.byte(ENV);
                sink.byte(environment.reaches.into());
                self.uses_globals |= environment.reaches;
            }
            lua_settop(lua, -2);
            true
        }
    }

    /// The table at this address is a value of its own.
    #[cold]
    pub(super) fn environment_as_value(&mut self, address: usize) {
        if let Some(environment) = self.buffers.environments.iter_mut().find(|e| e.address == address) {
            environment.all = true;
        }
    }

    /// Puts all fields of environments that are sent whole into the queue.
    pub(super) unsafe fn list_environments(&mut self) {
        let lua = self.lua;
        for place in 0..self.buffers.environments.len() {
            let environment = &mut self.buffers.environments[place];
            if !environment.all || environment.listed || environment.offset.is_none() {
                continue;
            }
            environment.listed = true;
            // SAFETY: below `lua_pcall` with free slots; the environment is not changed during the loop.
            unsafe {
                let top = lua_gettop(lua);
                lua_rawgeti(lua, ANCHORS, environment.anchor.into());
                lua_pushnil(lua);
                while lua_next(lua, top + 1) != 0 {
                    lua_settop(lua, -2);
                    if lua_type(lua, -1) == LUA_TSTRING {
                        let name = bytes_at(lua, -1);
                        self.want(Place::Field(place), name);
                    } else if lua_isinteger(lua, -1) != 0 {
                        let number = lua_tointeger(lua, -1).to_le_bytes();
                        self.want(Place::Item(place), &number);
                    }
                }
                lua_settop(lua, top);
            }
        }
    }

    /// Pushes the field or item that the queue names, and returns true; or pushes nothing.
    pub(super) unsafe fn push_of_environment(&mut self, place: usize, item: bool, name: &[u8]) -> bool {
        let lua = self.lua;
        // SAFETY: as above.
        unsafe {
            lua_rawgeti(lua, ANCHORS, self.buffers.environments[place].anchor.into());
            match name.first_chunk().filter(|_| item) {
                Some(number) => _ = lua_rawgeti(lua, -1, lua_Integer::from_le_bytes(*number)),
                None => self.push_field(name),
            }
            lua_rotate(lua, -2, 1);
            lua_settop(lua, -2);
            let found = lua_type(lua, -1) != LUA_TNIL;
            if !found {
                lua_settop(lua, -2);
            }
            found
        }
    }
}
