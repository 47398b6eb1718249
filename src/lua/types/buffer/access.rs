//! Fields of the value: reading one, calling one as a method.

use std::ffi::c_int;

use crate::ffi::*;

use super::{located, store};
use crate::call::{Outcome, Raise, push_text, type_name};
use crate::lua_function;
use crate::types::handle;
use llib_core::observe::trace;
use llib_core::shared::Kind;

lua_function!(pub(super) index => index_body);
lua_function!(pub(super) new_index => new_index_body);
lua_function!(pub(super) pairs => pairs_body);
lua_function!(method => method_body);
lua_function!(next => next_body);

/// Stack slots that reading and storing a value take.
const ROOM: c_int = 12;

// Every body below is called by Lua with its state: that is the SAFETY argument of each. Where a body calls
// something of Lua that may raise, it holds nothing with a destructor.

/// `buffer.key`: one of the buffer's methods, else the field of the value.
unsafe fn index_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above; the methods are upvalue 1.
    unsafe {
        lua_settop(lua, 2);
        if lua_type(lua, 2) == LUA_TSTRING {
            lua_pushvalue(lua, 2);
            if lua_rawget(lua, lua_upvalueindex(1)) != LUA_TNIL {
                return Ok(1);
            }
            lua_settop(lua, 2);
        }
        push_field(lua)?;
        if lua_type(lua, -1) == LUA_TFUNCTION {
            // As a method it acts on the shared value: it needs the key to find itself there.
            lua_pushvalue(lua, 2);
            lua_pushcclosure(lua, method, 2);
        }
    }
    Ok(1)
}

/// Pushes the field of the key at index 2 of a copy of the buffer at index 1.
unsafe fn push_field(lua: *mut lua_State) -> Result<(), Raise> {
    // SAFETY: see above.
    unsafe {
        let object = handle::object(lua, 1, Kind::Buffer)?;
        if store::push_field(lua, &object, 2)? {
            return Ok(());
        }
        store::push_copy(lua, &object)?;
        drop(object);
        if lua_type(lua, -1) != LUA_TTABLE && luaL_getmetafield(lua, -1, c"__index".as_ptr()) == LUA_TNIL {
            let kind = type_name(lua, -1);
            return Err(Raise::Message(format!("attempt to index a buffer of a {kind} value")));
        }
        lua_settop(lua, 3);
        lua_pushvalue(lua, 2);
        lua_gettable(lua, 3);
        lua_remove(lua, 3);
    }
    Ok(())
}

unsafe fn new_index_body(_: *mut lua_State) -> Outcome {
    Err(Raise::Message("buffers are read-only; use set or mod".to_owned()))
}

/// A function that was a field: upvalue 1, under the key that is upvalue 2. With a buffer first it acts on the value
/// in there, atomically; else it is what it is.
unsafe fn method_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above. What the method raises ends at the protected call, so that the lock is given back.
    unsafe {
        if handle::test(lua, 1, Kind::Buffer).is_null() {
            lua_pushvalue(lua, lua_upvalueindex(1));
            lua_insert(lua, 1);
            lua_call(lua, lua_gettop(lua) - 1, LUA_MULTRET);
            return Ok(lua_gettop(lua));
        }
        let object = handle::object(lua, 1, Kind::Buffer)?;
        if lua_checkstack(lua, lua_gettop(lua) + ROOM) == 0 {
            return Err(Raise::Message("too many arguments to a method of a buffer".to_owned()));
        }
        let _span = trace::span("buffer", || format!("method {}", object.title()));
        let change = store::lock_to_change(lua, &object)?;
        store::push_copy(lua, &object)?;
        lua_replace(lua, 1);
        // The stack: 1 the value, 2… arguments. What is called is what the value has under the key by now.
        let arguments = lua_gettop(lua);
        lua_pushcfunction(lua, look_up);
        lua_pushvalue(lua, 1);
        lua_pushvalue(lua, lua_upvalueindex(2));
        if lua_pcall(lua, 2, 1, 0) != LUA_OK {
            return Err(located(lua));
        }
        for position in 1..=arguments {
            lua_pushvalue(lua, position);
        }
        if lua_pcall(lua, arguments, LUA_MULTRET, 0) != LUA_OK {
            return Err(Raise::Object);
        }
        // The results have taken up the room there was.
        if lua_checkstack(lua, ROOM) == 0 {
            return Err(Raise::Message("too many results of a method of a buffer".to_owned()));
        }
        store::replace_locked(lua, change.guard(), 1)?;
        Ok(lua_gettop(lua) - arguments)
    }
}

lua_function!(look_up => look_up_body);

unsafe fn look_up_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe { lua_gettable(lua, 1) };
    Ok(1)
}

/// `pairs(buffer)`: those of a copy, made once.
unsafe fn pairs_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let object = handle::object(lua, 1, Kind::Buffer)?;
        store::push_copy(lua, &object)?;
        drop(object);
        let copy = lua_gettop(lua);
        if luaL_getmetafield(lua, copy, c"__pairs".as_ptr()) != LUA_TNIL {
            lua_pushvalue(lua, copy);
            lua_call(lua, 1, 3);
            return Ok(3);
        }
        if lua_type(lua, copy) != LUA_TTABLE {
            // Level 1 is `pairs`, which has no position.
            luaL_where(lua, 2);
            push_text(lua, &format!("attempt to iterate over a buffer of a {} value", type_name(lua, copy)));
            lua_concat(lua, 2);
            return Err(Raise::Object);
        }
        lua_pushcfunction(lua, next);
        lua_pushvalue(lua, copy);
        lua_pushnil(lua);
    }
    Ok(3)
}

unsafe fn next_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        lua_settop(lua, 2);
        if lua_next(lua, 1) != 0 {
            return Ok(2);
        }
        lua_pushnil(lua);
    }
    Ok(1)
}
