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

/// Once LuaJIT has seen so many closures of one prototype, it compiles for all of them, not for the one at hand.
/// (lj_obj.h, `PROTO_CLC_POLY`)
const MANY: usize = 3;

#[derive(Debug)]
struct Known {
    sum: u64,
    code: Box<[u8]>,
    /// Reference of the factory.
    factory: c_int,
    /// How many it has.
    upvalues: c_int,
}

/// The code that a state keeps.
#[derive(Debug, Default)]
pub struct Prototypes {
    /// The one that was used last is the last one.
    known: Vec<Known>,
    /// Bytes of code in it.
    bytes: usize,
    ready: Option<Ready>,
    /// Whether this LuaJIT writes its chunks in another form, so that nothing is kept.
    foreign: bool,
    scratch: Vec<u8>,
}

#[derive(Debug)]
struct Ready {
    template: Template,
    /// Reference of the factory of functions whose one upvalue is a new variable.
    variable: c_int,
}

impl Prototypes {
    /// Loads precompiled code and pushes the function, or what was wrong; returns what `lua_load` does. `sum` is the same for
    /// equal code. The function's upvalues are its own, and nil. May raise for want of memory.
    ///
    /// # Safety
    /// `lua` is a valid state below a protected call, always the same one, with six free stack slots. Lua checks no code: it comes from
    /// somebody trusted.
    pub unsafe fn load(&mut self, lua: *mut lua_State, code: *const [u8], sum: u64) -> c_int {
        // SAFETY: as demanded. What raises leaves no value with a destructor behind: all are this struct's.
        unsafe {
            if !self.prepare(lua) {
                return chunk::load(lua, code);
            }
            let top = lua_gettop(lua);
            let made = match self.find(&*code, sum) {
                Some(known) => make(lua, known),
                None => self.keep(lua, &*code, sum),
            };
            let upvalues = match made {
                Some(upvalues) => upvalues,
                None => {
                    lua_settop(lua, top);
                    let status = chunk::load(lua, code);
                    if status != LUA_OK {
                        return status;
                    }
                    upvalue::count(lua)
                }
            };
            if !self.separate(lua, upvalues) {
                // A job got at it with the debug library.
                lua_settop(lua, top);
                self.forget(lua);
                return chunk::load(lua, code);
            }
            jit::compile_again(lua);
            LUA_OK
        }
    }

    /// Keeps nothing of what it has kept.
    ///
    /// # Safety
    /// `lua` is the state that it was loaded in.
    pub unsafe fn forget(&mut self, lua: *mut lua_State) {
        // SAFETY: as demanded; the references are this struct's own.
        unsafe {
            while !self.known.is_empty() {
                self.drop_oldest(lua);
            }
            if let Some(ready) = self.ready.take() {
                luaL_unref(lua, LUA_REGISTRYINDEX, ready.variable);
            }
        }
    }

    unsafe fn drop_oldest(&mut self, lua: *mut lua_State) {
        let known = self.known.remove(0);
        self.bytes -= known.code.len();
        // SAFETY: the caller's state; the reference is this struct's own.
        unsafe { luaL_unref(lua, LUA_REGISTRYINDEX, known.factory) };
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
            self.foreign = true;
            if luaL_loadstring(lua, SOURCE.as_ptr()) == LUA_OK
                && chunk::dump(lua, &mut self.scratch) == 0
                && let Some(template) = Template::of(&self.scratch)
            {
                let ready = self.ready.insert(Ready { template, variable: LUA_NOREF });
                ready.variable = luaL_ref(lua, LUA_REGISTRYINDEX);
                self.foreign = false;
            }
            lua_settop(lua, top);
        }
        !self.foreign
    }

    fn find(&mut self, code: &[u8], sum: u64) -> Option<&Known> {
        let place = self.known.iter().position(|known| known.sum == sum && *known.code == *code)?;
        self.known[place..].rotate_left(1);
        self.known.last()
    }

    /// Keeps the code, and pushes its first closure; returns its number of upvalues, or none, where it cannot be kept.
    unsafe fn keep(&mut self, lua: *mut lua_State, code: &[u8], sum: u64) -> Option<c_int> {
        if code.len() > MOST_BYTES / 16 {
            return None;
        }
        let upvalues = self.ready.as_ref()?.template.surround(code, &mut self.scratch)?;
        // SAFETY: the caller's state with free slots.
        unsafe {
            if chunk::load(lua, &raw const *self.scratch) != LUA_OK {
                return None;
            }
            for _ in 0..MANY {
                lua_pushvalue(lua, -1);
                lua_call(lua, 0, 0);
            }
            while self.known.len() >= MOST || self.bytes + code.len() > MOST_BYTES {
                self.drop_oldest(lua);
            }
            let factory = luaL_ref(lua, LUA_REGISTRYINDEX);
            self.known.push(Known { sum, code: code.into(), factory, upvalues: upvalues.into() });
            self.bytes += code.len();
            make(lua, self.known.last()?)
        }
    }

    /// Makes the first `upvalues` upvalues of the function on top variables of their own; false if that cannot be.
    unsafe fn separate(&self, lua: *mut lua_State, upvalues: c_int) -> bool {
        let Some(ready) = &self.ready else { return false };
        // SAFETY: the caller's state with free slots and a Lua function on top that has these upvalues.
        unsafe {
            for number in 1..=upvalues {
                lua_rawgeti(lua, LUA_REGISTRYINDEX, ready.variable.into());
                if !call(lua, 1) {
                    return false;
                }
                upvalue::join(lua, -2, number, -1, 1);
                lua_pop(lua, 1);
            }
        }
        true
    }
}

/// Pushes a closure, all of whose upvalues are one variable, and returns their number; none if that is no longer what it was.
unsafe fn make(lua: *mut lua_State, known: &Known) -> Option<c_int> {
    // SAFETY: the caller's state with free slots.
    unsafe {
        lua_rawgeti(lua, LUA_REGISTRYINDEX, known.factory.into());
        call(lua, known.upvalues).then_some(known.upvalues)
    }
}

/// Calls the factory on top; whether it gave a Lua function with so many upvalues. The registry is open to the debug library.
unsafe fn call(lua: *mut lua_State, upvalues: c_int) -> bool {
    // SAFETY: the caller's state with free slots, below a protected call.
    unsafe {
        if lua_type(lua, -1) != LUA_TFUNCTION {
            return false;
        }
        lua_call(lua, 0, 1);
        lua_type(lua, -1) == LUA_TFUNCTION && lua_iscfunction(lua, -1) == 0 && upvalue::count(lua) == upvalues
    }
}
