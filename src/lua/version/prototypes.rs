//! Keeps code that a state receives again and again, so that LuaJIT's compiled code for it is kept too.
//!
//! LuaJIT attaches its traces to a prototype, and each load of the same bytes makes a new prototype. So the code is loaded once,
//! as a *factory* (see `factory`) that returns another closure of the same prototype each time it is called. Other Lua
//! versions compile nothing, and there the code is simply loaded again.
//!
//! Aliasing: traces rely on a mark in each upvalue, derived from the place where it was created. Two upvalues with different
//! marks are taken for different variables. But closures of the same prototype may share a variable in one message and
//! not in the next. So every upvalue of a received function is created in one place, and all have the same mark.

use std::ffi::c_int;

use super::factory::{SOURCE, Template};
use super::ffi::*;
use super::{IS_JIT, chunk, jit, upvalue};

/// Limits: the number of functions, and the bytes of their code.
const MOST: usize = 256;
const MOST_BYTES: usize = 1 << 20;
/// Longer code is not kept.
const LONGEST: usize = MOST_BYTES / 16;

/// Index of the factory whose functions provide new upvalues, in the table of factories.
const VARIABLE: lua_Integer = 1;

#[derive(Debug)]
struct Known {
    sum: u64,
    code: Box<[u8]>,
    /// Index of the factory in the table.
    place: lua_Integer,
    /// Number of upvalues of the function.
    upvalues: c_int,
}

/// The parts that all factories need.
#[derive(Debug)]
struct Ready {
    template: Template,
    /// Reference of the table of factories in the registry.
    table: c_int,
}

/// The code that a state keeps.
#[derive(Debug, Default)]
pub struct Prototypes {
    /// In the order of their last use; the most recent is at the end.
    known: Vec<Known>,
    /// Sum of the lengths of their code.
    bytes: usize,
    /// Indices of the table that are free again.
    free: Vec<lua_Integer>,
    ready: Option<Ready>,
    /// Whether this LuaJIT's chunks have an unknown format, so that nothing is kept.
    foreign: bool,
    scratch: Vec<u8>,
}

impl Prototypes {
    /// Loads precompiled code and pushes the function or an error message; returns the status of `lua_load`. Equal code has
    /// an equal `sum`. The function has new upvalues, all nil. May raise a memory error.
    ///
    /// # Safety
    /// `lua` is a valid state in a protected call, always the same one, with eight free stack slots. The code comes from a
    /// trusted sender, because Lua does not verify it.
    pub unsafe fn load(&mut self, lua: *mut lua_State, code: *const [u8], sum: u64) -> c_int {
        // SAFETY: as demanded. A raised error skips no destructor: all Rust values are owned by this struct.
        unsafe {
            if !self.prepare(lua) {
                return chunk::load(lua, code);
            }
            let table = lua_gettop(lua) + 1;
            if self.push_table(lua) {
                if self.find(&*code, sum) || self.keep(lua, table, &*code, sum) {
                    if let Some(known) = self.known.last()
                        && make(lua, table, known.place, known.upvalues)
                        && separate(lua, table, known.upvalues)
                    {
                        lua_replace(lua, table);
                        jit::compile_again(lua);
                        return LUA_OK;
                    }
                } else {
                    lua_settop(lua, table);
                    let status = chunk::load(lua, code);
                    if status != LUA_OK || separate(lua, table, upvalue::count(lua)) {
                        lua_replace(lua, table);
                        return status;
                    }
                }
            }
            // A job has changed the table with the debug library.
            lua_settop(lua, table - 1);
            self.forget(lua);
            chunk::load(lua, code)
        }
    }

    /// Drops all code.
    ///
    /// # Safety
    /// `lua` is the state the code was loaded in.
    pub unsafe fn forget(&mut self, lua: *mut lua_State) {
        self.known.clear();
        self.free.clear();
        self.bytes = 0;
        if let Some(ready) = self.ready.take() {
            // SAFETY: as demanded; the reference is this struct's own.
            unsafe { luaL_unref(lua, LUA_REGISTRYINDEX, ready.table) };
        }
    }

    /// Creates the table and the template unless they exist. False if there can be no factories.
    unsafe fn prepare(&mut self, lua: *mut lua_State) -> bool {
        if !IS_JIT || self.foreign || self.ready.is_some() {
            return IS_JIT && !self.foreign;
        }
        // SAFETY: the caller's state with free slots.
        unsafe {
            let top = lua_gettop(lua);
            self.scratch.clear();
            lua_createtable(lua, 0, 0);
            if luaL_loadstring(lua, SOURCE.as_ptr()) == LUA_OK
                && chunk::dump(lua, &mut self.scratch) == 0
                && let Some(template) = Template::of(&self.scratch)
            {
                let ready = self.ready.insert(Ready { template, table: LUA_NOREF });
                lua_rawseti(lua, -2, VARIABLE);
                ready.table = luaL_ref(lua, LUA_REGISTRYINDEX);
            }
            lua_settop(lua, top);
        }
        self.foreign = self.ready.is_none();
        !self.foreign
    }

    /// Pushes the table of factories. False if it is not a table: the debug library can change the registry.
    unsafe fn push_table(&self, lua: *mut lua_State) -> bool {
        let table = self.ready.as_ref().map_or(LUA_NOREF, |ready| ready.table);
        // SAFETY: the caller's state with a free slot.
        unsafe {
            lua_rawgeti(lua, LUA_REGISTRYINDEX, table.into());
            lua_type(lua, -1) == LUA_TTABLE
        }
    }

    /// Moves the code to the end of the list. False if it is not in the list.
    fn find(&mut self, code: &[u8], sum: u64) -> bool {
        let found = self.known.iter().position(|known| known.sum == sum && *known.code == *code);
        if let Some(place) = found {
            self.known[place..].rotate_left(1);
        }
        found.is_some()
    }

    /// Adds the code at the end of the list. False if it cannot have a factory.
    unsafe fn keep(&mut self, lua: *mut lua_State, table: c_int, code: &[u8], sum: u64) -> bool {
        if code.len() > LONGEST {
            return false;
        }
        let Some(ready) = &self.ready else { return false };
        let Some(upvalues) = ready.template.surround(code, &mut self.scratch) else { return false };
        // SAFETY: the caller's state with free slots, and the table in its place.
        unsafe {
            if chunk::load(lua, &raw const *self.scratch) != LUA_OK {
                return false;
            }
            while self.known.len() >= MOST || self.bytes + code.len() > MOST_BYTES {
                let oldest = self.known.remove(0);
                self.bytes -= oldest.code.len();
                self.free.push(oldest.place);
                lua_pushnil(lua);
                lua_rawseti(lua, table, oldest.place);
            }
            let used = self.known.len() + self.free.len();
            let place = self.free.last().copied().unwrap_or(VARIABLE + 1 + used as lua_Integer);
            lua_rawseti(lua, table, place);
            // Nothing raises from here on.
            self.free.pop();
            self.bytes += code.len();
            self.known.push(Known { sum, code: code.into(), place, upvalues: upvalues.into() });
        }
        true
    }
}

/// Calls the factory at `place`. False if the result is not a Lua function with `upvalues` upvalues.
unsafe fn make(lua: *mut lua_State, table: c_int, place: lua_Integer, upvalues: c_int) -> bool {
    // SAFETY: the caller's state with free slots, below a protected call, and a table in its place.
    unsafe {
        lua_rawgeti(lua, table, place);
        if lua_type(lua, -1) != LUA_TFUNCTION {
            return false;
        }
        lua_call(lua, 0, 1);
        lua_type(lua, -1) == LUA_TFUNCTION && lua_iscfunction(lua, -1) == 0 && upvalue::count(lua) == upvalues
    }
}

/// Gives the function on top, which has `upvalues` upvalues, a new variable for each. False if that failed.
unsafe fn separate(lua: *mut lua_State, table: c_int, upvalues: c_int) -> bool {
    // SAFETY: as for `make`.
    unsafe {
        for number in 1..=upvalues {
            if !make(lua, table, VARIABLE, 1) {
                return false;
            }
            upvalue::join(lua, -2, number, -1, 1);
            lua_pop(lua, 1);
        }
    }
    true
}
