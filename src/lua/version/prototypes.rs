//! Code that a state is sent again and again, and keeps together with what LuaJIT has compiled of it.
//!
//! What LuaJIT compiles belongs to a prototype, and each load of the same bytes makes another. So code is kept as a
//! *factory* (file `factory`), which makes each copy of the function that arrives a closure of one prototype. Other versions
//! compile nothing, and load it anew.
//!
//! Compiled code takes it for certain that two variables are not the same one where LuaJIT gave them different marks, by
//! where they were made. Closures of one prototype share variables in one message and not in the next. So all their
//! variables are made in one place.

use std::ffi::c_int;

use super::factory::{SOURCE, Template};
use super::ffi::*;
use super::{IS_JIT, chunk, jit, upvalue};

/// Functions that are kept at most, and bytes of code.
const MOST: usize = 256;
const MOST_BYTES: usize = 1 << 20;
/// Code that is longer is not kept.
const LONGEST: usize = MOST_BYTES / 16;

/// Once LuaJIT has seen so many closures of one prototype, it compiles for all of them, not for the one at hand.
/// (lj_obj.h, `PROTO_CLC_POLY`)
const MANY: usize = 3;

/// Place of what makes variables, in the table of factories.
const VARIABLE: lua_Integer = 1;

#[derive(Debug)]
struct Known {
    sum: u64,
    code: Box<[u8]>,
    /// Place of the factory in the table.
    place: lua_Integer,
    /// How many the function has.
    upvalues: c_int,
}

/// What every factory needs.
#[derive(Debug)]
struct Ready {
    template: Template,
    /// Reference of the table of factories. The first of them makes functions whose one upvalue is a new variable.
    table: c_int,
}

/// The code that a state keeps.
#[derive(Debug, Default)]
pub struct Prototypes {
    /// The one that was used last is the last one.
    known: Vec<Known>,
    /// Bytes of code in it.
    bytes: usize,
    /// Places in the table that are free again.
    free: Vec<lua_Integer>,
    ready: Option<Ready>,
    /// Whether this LuaJIT writes its chunks in another form, so that nothing is kept.
    foreign: bool,
    scratch: Vec<u8>,
}

impl Prototypes {
    /// Loads precompiled code and pushes the function, or what was wrong; returns what `lua_load` does. `sum` is the same
    /// for equal code. The function's upvalues are its own, and nil. May raise for want of memory.
    ///
    /// # Safety
    /// `lua` is a valid state below a protected call, always the same one, with eight free stack slots. Lua checks no
    /// code: it comes from somebody trusted.
    pub unsafe fn load(&mut self, lua: *mut lua_State, code: *const [u8], sum: u64) -> c_int {
        // SAFETY: as demanded. What raises leaves no value with a destructor behind: all are this struct's.
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
            // A job got at it with the debug library.
            lua_settop(lua, table - 1);
            self.forget(lua);
            chunk::load(lua, code)
        }
    }

    /// Keeps nothing of what it has kept.
    ///
    /// # Safety
    /// `lua` is the state that it was loaded in.
    pub unsafe fn forget(&mut self, lua: *mut lua_State) {
        self.known.clear();
        self.free.clear();
        self.bytes = 0;
        if let Some(ready) = self.ready.take() {
            // SAFETY: as demanded; the reference is this struct's own.
            unsafe { luaL_unref(lua, LUA_REGISTRYINDEX, ready.table) };
        }
    }

    /// Makes ready what every factory needs; whether there can be one.
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

    /// Pushes the table of factories; whether it is one. The registry is open to the debug library.
    unsafe fn push_table(&self, lua: *mut lua_State) -> bool {
        let table = self.ready.as_ref().map_or(LUA_NOREF, |ready| ready.table);
        // SAFETY: the caller's state with a free slot.
        unsafe {
            lua_rawgeti(lua, LUA_REGISTRYINDEX, table.into());
            lua_type(lua, -1) == LUA_TTABLE
        }
    }

    /// Makes the code the last one that is known, if it is.
    fn find(&mut self, code: &[u8], sum: u64) -> bool {
        let found = self.known.iter().position(|known| known.sum == sum && *known.code == *code);
        if let Some(place) = found {
            self.known[place..].rotate_left(1);
        }
        found.is_some()
    }

    /// Makes the code the last one that is known; false if it has no factory.
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
            for _ in 0..MANY {
                lua_pushvalue(lua, -1);
                lua_call(lua, 0, 0);
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
            // What may raise is over.
            self.free.pop();
            self.bytes += code.len();
            self.known.push(Known { sum, code: code.into(), place, upvalues: upvalues.into() });
        }
        true
    }
}

/// Calls the factory at `place`; whether it gave a Lua function with so many upvalues.
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

/// Makes the upvalues of the function on top, which has so many, variables of its own; whether that could be.
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
