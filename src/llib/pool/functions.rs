//! Functions that are submitted again and again: their bytes are kept.
//!
//! A function without upvalues, or with the globals as its only one, is the same message each time, as long as no global
//! that it names has to go along. It is encoded when it is seen for the second time; a closure that is made for one job
//! is not worth it.

use std::ffi::{CStr, c_int};
use std::rc::Rc;

use llib_lua::ffi::*;

use crate::source::source_of;
use llib_core::shm::Payload;
use llib_lua::call::push_bytes;
use llib_lua::convert::mentions::mentions;
use llib_lua::convert::{
    EncodeOptions, GlobalMode, NoHandles, Roots, encode, library_functions, loaders_state, push_library,
};
use llib_lua::lua_function;
use llib_lua::userdata::{self, Userdata};
use llib_lua::version::upvalue;

/// What is kept of a function.
pub(super) struct Known {
    /// Its message; none if it has to be encoded with each job.
    pub(super) bytes: Option<Vec<u8>>,
    pub(super) name: Rc<str>,
    /// How many names it mentions; they and their values stand in the user value, one after the other.
    names: lua_Integer,
    reaches_globals: bool,
    /// What `require` would find when it was encoded, if it may require something.
    loaders: Option<u64>,
    /// How many functions of libraries it may use; after the names there are their tables, names and values.
    functions: lua_Integer,
}

impl Userdata for Known {
    const NAME: &CStr = c"llib.pool.function";
}

/// Registers the metatable.
///
/// # Safety
/// As for [`userdata::register`].
pub(super) unsafe fn register(lua: *mut lua_State) {
    // SAFETY: as demanded.
    unsafe { userdata::register::<Known>(lua, &[(c"__gc", collect)], &[]) }
}

lua_function!(collect => userdata::collect::<Known>);

/// Pushes a table for what is known, from function to userdata.
///
/// # Safety
/// `lua` is a valid state with four free stack slots, in a protected call.
pub(super) unsafe fn push_table(lua: *mut lua_State) {
    // SAFETY: as demanded.
    unsafe {
        lua_createtable(lua, 0, 0);
        lua_createtable(lua, 0, 1);
        lua_pushstring(lua, c"k".as_ptr());
        lua_setfield(lua, -2, c"__mode".as_ptr());
        lua_setmetatable(lua, -2);
    }
}

/// What is known of the function at `function` for jobs with these options, if it is one and no source text; the table of all is at `table`. Valid as
/// long as the function is.
///
/// # Safety
/// `lua` is a valid state with fifteen free stack slots, in a protected call; the indices are absolute.
pub(super) unsafe fn find<'a>(
    lua: *mut lua_State,
    table: c_int,
    function: c_int,
    options: &EncodeOptions<'_>,
) -> Option<&'a Known> {
    // SAFETY: as demanded.
    if unsafe { lua_type(lua, function) } != LUA_TFUNCTION {
        return None;
    }
    // SAFETY: as demanded; only this file puts userdata into the table. Balanced.
    unsafe {
        let top = lua_gettop(lua);
        lua_pushvalue(lua, function);
        let found = lua_rawget(lua, table);
        if found == LUA_TUSERDATA {
            let known = lua_touserdata(lua, -1).cast::<Known>();
            let current = is_current(lua, &*known, function);
            lua_settop(lua, top);
            if current {
                return Some(&*known);
            }
        }
        lua_settop(lua, top);
        lua_pushvalue(lua, function);
        if found == LUA_TNIL {
            // Seen once.
            lua_pushboolean(lua, 0);
            lua_rawset(lua, table);
            return None;
        }
        let place = userdata::reserve(lua, 1);
        let known = Known {
            bytes: None,
            name: Rc::from(""),
            names: 0,
            reaches_globals: false,
            loaders: None,
            functions: 0,
        };
        userdata::complete(lua, place, known);
        learn(lua, place, function, options);
        lua_rawset(lua, table);
        Some(&*place)
    }
}

/// Whether what is known still holds.
unsafe fn is_current(lua: *mut lua_State, known: &Known, function: c_int) -> bool {
    if known.bytes.is_none() || !known.reaches_globals {
        return true;
    }
    // SAFETY: the userdata is on top; the caller has free slots and resets the stack.
    unsafe {
        if known.loaders.is_some_and(|then| then != loaders_state(lua)) {
            return false;
        }
        let place = lua_gettop(lua);
        lua_pushglobaltable(lua);
        if upvalue::get(lua, function, upvalue::FIRST).is_null() || lua_rawequal(lua, -1, place + 1) == 0 {
            return false;
        }
        lua_getiuservalue(lua, place, 1);
        let list = place + 3;
        for at in 0..known.names {
            lua_rawgeti(lua, list, at * 2 + 1);
            lua_rawget(lua, place + 1);
            lua_rawgeti(lua, list, at * 2 + 2);
            if lua_rawequal(lua, -1, -2) == 0 {
                return false;
            }
            lua_settop(lua, list);
        }
        for at in 0..known.functions {
            let entry = known.names * 2 + at * 3;
            lua_rawgeti(lua, list, entry + 1);
            lua_rawgeti(lua, list, entry + 2);
            lua_rawget(lua, list + 1);
            lua_rawgeti(lua, list, entry + 3);
            if lua_rawequal(lua, -1, -2) == 0 {
                return false;
            }
            lua_settop(lua, list);
        }
    }
    true
}

/// Fills in the userdata on top.
unsafe fn learn(lua: *mut lua_State, place: *mut Known, function: c_int, options: &EncodeOptions<'_>) {
    // SAFETY: the userdata is on top and alive; the caller has free slots. Balanced.
    unsafe {
        let known = lua_gettop(lua);
        (*place).name = Rc::from(source_of(lua, function).unwrap_or_default());
        let upvalues = upvalues(lua, function);
        let Some(reaches_globals) = upvalues else { return };
        let plain = options.globals == GlobalMode::Named && options.extra_globals.is_empty();
        if reaches_globals && !plain && options.globals != GlobalMode::None {
            return;
        }
        let message = |globals: GlobalMode| {
            let options = EncodeOptions { roots: Roots::Job, globals, ..EncodeOptions::default() };
            let message = encode(lua, function, 1, &options, &mut NoHandles).ok()?.to_vec();
            lua_settop(lua, known);
            Some(message)
        };
        let bytes = message(GlobalMode::None);
        if reaches_globals && plain {
            if message(GlobalMode::Named) != bytes {
                return;
            }
            // What it names now may be another value later, which would have to go along.
            lua_pushvalue(lua, function);
            let names = mentions(lua).unwrap_or_default();
            if names.iter().any(|name| name == b"require") {
                (*place).loaders = Some(loaders_state(lua));
            }
            lua_settop(lua, known);
            lua_createtable(lua, names.len() as c_int * 2, 0);
            lua_pushglobaltable(lua);
            for (at, name) in names.iter().enumerate() {
                push_bytes(lua, name);
                lua_pushvalue(lua, -1);
                lua_rawseti(lua, known + 1, at as lua_Integer * 2 + 1);
                lua_rawget(lua, known + 2);
                lua_rawseti(lua, known + 1, at as lua_Integer * 2 + 2);
            }
            lua_settop(lua, known + 1);
            let functions = library_functions(lua, &names);
            for (at, (library, index)) in functions.iter().enumerate() {
                let entry = (names.len() * 2 + at * 3) as lua_Integer;
                push_library(lua, library);
                lua_pushvalue(lua, -1);
                lua_rawseti(lua, known + 1, entry + 1);
                push_bytes(lua, &names[*index]);
                lua_pushvalue(lua, -1);
                lua_rawseti(lua, known + 1, entry + 2);
                lua_rawget(lua, known + 2);
                lua_rawseti(lua, known + 1, entry + 3);
                lua_settop(lua, known + 1);
            }
            (*place).functions = functions.len() as lua_Integer;
            lua_setiuservalue(lua, known, 1);
            (*place).names = names.len() as lua_Integer;
        }
        (*place).reaches_globals = reaches_globals;
        (*place).bytes = bytes;
    }
}

/// Whether the function's only upvalue is the globals table; `None` where it has others.
unsafe fn upvalues(lua: *mut lua_State, function: c_int) -> Option<bool> {
    // SAFETY: the caller has free slots; an index out of range gives NULL and pushes nothing. Balanced.
    unsafe {
        let top = lua_gettop(lua);
        if upvalue::get(lua, function, upvalue::FIRST).is_null() {
            return Some(false);
        }
        lua_pushglobaltable(lua);
        let same = lua_rawequal(lua, -1, -2) != 0;
        let more = upvalue::exists(lua, function, upvalue::FIRST + 1);
        lua_settop(lua, top);
        (same && !more).then_some(true)
    }
}
