//! Operators on buffers: as on copies of their values.

use std::ffi::{CStr, c_int};

use crate::ffi::*;

use super::{located, store};
use crate::call::{Outcome, Raise, set_functions, type_name};
use crate::lua_function;
use crate::types::handle;
use crate::version::operator::{self, Operator};
use llib_core::shared::Kind;

/// Arithmetic of two operands, and of one, which Lua passes twice.
macro_rules! arithmetic {
    ($($name:ident = $operator:ident),*) => {$(
        lua_function!($name => $name::body);
        mod $name {
            use super::*;
            pub(super) unsafe fn body(lua: *mut lua_State) -> Outcome {
                // SAFETY: called by Lua as a metamethod, with two operands.
                unsafe { binary(lua, Operator::$operator) }
            }
        }
    )*};
}

arithmetic! {
    add_entry = Add, sub = Sub, mul = Mul, div = Div, modulo = Mod, pow = Pow,
    unm = Unm, idiv = Idiv, band = Band, bor = Bor, bxor = Bxor, shl = Shl,
    shr = Shr, bnot = Bnot
}

lua_function!(apply => apply_body);
lua_function!(call => call_body);
lua_function!(concat => concat_body);
lua_function!(concat_raw => concat_raw_body);
lua_function!(eq => eq_body);
lua_function!(le => le_body);
lua_function!(len => len_body);
lua_function!(len_raw => len_raw_body);
lua_function!(lt => lt_body);
lua_function!(to_string => to_string_body);

/// Sets the metamethods of the table on top.
pub(super) unsafe fn add(lua: *mut lua_State) {
    let metamethods: [(&CStr, lua_CFunction); 21] = [
        (c"__add", add_entry),
        (c"__band", band),
        (c"__bnot", bnot),
        (c"__bor", bor),
        (c"__bxor", bxor),
        (c"__call", call),
        (c"__concat", concat),
        (c"__div", div),
        (c"__eq", eq),
        (c"__idiv", idiv),
        (c"__le", le),
        (c"__len", len),
        (c"__lt", lt),
        (c"__mod", modulo),
        (c"__mul", mul),
        (c"__pow", pow),
        (c"__shl", shl),
        (c"__shr", shr),
        (c"__sub", sub),
        (c"__tostring", to_string),
        (c"__unm", unm),
    ];
    // SAFETY: called with the metatable on top.
    unsafe { set_functions(lua, &metamethods) }
}

// Every function below is called with Lua's state, in a body or as one: that is the SAFETY argument of each.

/// Does `operation` to all that is on the stack. Lua gives an error of its own no position when the operands are a C
/// function's; the script's line is put in front.
unsafe fn operate(lua: *mut lua_State, operation: lua_CFunction) -> Outcome {
    // SAFETY: see above.
    unsafe {
        lua_pushcfunction(lua, operation);
        lua_insert(lua, 1);
        if lua_pcall(lua, lua_gettop(lua) - 1, 1, 0) == LUA_OK { Ok(1) } else { Err(located(lua)) }
    }
}

/// Puts a copy of its value in place of the buffer at `index`, if there is one.
unsafe fn resolve(lua: *mut lua_State, index: c_int) -> Result<(), Raise> {
    // SAFETY: see above.
    unsafe {
        if !handle::test(lua, index, Kind::Buffer).is_null() {
            let object = handle::object(lua, index, Kind::Buffer)?;
            store::push_copy(lua, &object)?;
            lua_replace(lua, index);
        }
    }
    Ok(())
}

unsafe fn resolve_two(lua: *mut lua_State) -> Result<(), Raise> {
    // SAFETY: see above.
    unsafe {
        lua_settop(lua, 2);
        resolve(lua, 1)?;
        resolve(lua, 2)
    }
}

unsafe fn binary(lua: *mut lua_State, operator: Operator) -> Outcome {
    // SAFETY: see above.
    unsafe {
        resolve_two(lua)?;
        lua_pushinteger(lua, operator as lua_Integer);
        operate(lua, apply)
    }
}

unsafe fn apply_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above; the number was put there by `binary`.
    unsafe {
        let operator = lua_tointeger(lua, 3) as usize;
        lua_settop(lua, 2);
        operator::apply(lua, operator);
    }
    Ok(1)
}

unsafe fn eq_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        // Two handles of one buffer are equal whatever is in it; two copies of a table would not be.
        if lua_gettop(lua) == 2
            && !handle::test(lua, 1, Kind::Buffer).is_null()
            && !handle::test(lua, 2, Kind::Buffer).is_null()
            && handle::object(lua, 1, Kind::Buffer)?.id() == handle::object(lua, 2, Kind::Buffer)?.id()
        {
            lua_pushboolean(lua, 1);
            return Ok(1);
        }
        binary(lua, Operator::Eq)
    }
}

unsafe fn lt_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe { binary(lua, Operator::Lt) }
}

unsafe fn le_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe { binary(lua, Operator::Le) }
}

unsafe fn concat_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        resolve_two(lua)?;
        operate(lua, concat_raw)
    }
}

unsafe fn concat_raw_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe { lua_concat(lua, 2) };
    Ok(1)
}

unsafe fn len_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        lua_settop(lua, 1);
        resolve(lua, 1)?;
        operate(lua, len_raw)
    }
}

unsafe fn len_raw_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe { lua_len(lua, 1) };
    Ok(1)
}

unsafe fn call_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        resolve(lua, 1)?;
        let callable =
            lua_type(lua, 1) == LUA_TFUNCTION || luaL_getmetafield(lua, 1, c"__call".as_ptr()) != LUA_TNIL;
        if !callable {
            let kind = type_name(lua, 1);
            return Err(Raise::Message(format!("attempt to call a buffer of a {kind} value")));
        }
        if lua_type(lua, 1) != LUA_TFUNCTION {
            lua_pop(lua, 1);
        }
        lua_call(lua, lua_gettop(lua) - 1, LUA_MULTRET);
        Ok(lua_gettop(lua))
    }
}

unsafe fn to_string_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        lua_settop(lua, 1);
        resolve(lua, 1)?;
        luaL_tolstring(lua, 1, std::ptr::null_mut());
    }
    Ok(1)
}
