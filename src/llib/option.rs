//! Reading one option of a table of options, and saying what is wrong with it.

use std::ffi::c_int;
use std::time::Duration;

use llib_lua::ffi::*;

use llib_core::wire::size::parse_size;
use llib_lua::call::{Raise, bytes, duration, type_name};

/// Calls `take` with each key of the options table at `index`, and its value on top of the stack.
///
/// # Safety
/// `lua` is a valid state with three free stack slots and a table at the absolute `index`. `take` leaves the stack as it
/// is, and the table's keys too.
pub(super) unsafe fn each(
    lua: *mut lua_State,
    index: c_int,
    mut take: impl FnMut(&str) -> Result<(), String>,
) -> Result<(), Raise> {
    // SAFETY: as demanded. A number as key is not turned into a string, since only strings are read.
    unsafe {
        lua_pushnil(lua);
        while lua_next(lua, index) != 0 {
            let Some(key) = bytes(lua, -2) else {
                let got = type_name(lua, -2);
                return Err(Raise::Argument(index, format!("option names are strings, got a {got}")));
            };
            let key = String::from_utf8_lossy(key).into_owned();
            take(&key).map_err(|problem| Raise::Argument(index, problem))?;
            lua_pop(lua, 1);
        }
    }
    Ok(())
}

/// The message for an option that nobody knows.
pub(super) fn unknown(key: &str, known: &[&str]) -> String {
    format!("unknown option '{key}' (known: {})", known.join(", "))
}

/// The message for an option of a wrong kind, which is on top of the stack.
///
/// # Safety
/// `lua` is a valid state with a value on top and free slots.
pub(super) unsafe fn expected(lua: *mut lua_State, key: &str, what: &str) -> String {
    // SAFETY: the caller has the value on top of the stack and free slots.
    unsafe {
        let got = match lua_type(lua, -1) {
            LUA_TNUMBER => lua_tonumber(lua, -1).to_string(),
            LUA_TSTRING => format!("'{}'", String::from_utf8_lossy(bytes(lua, -1).unwrap_or_default())),
            _ => type_name(lua, -1),
        };
        format!("option '{key}' expects {what}, got {got}")
    }
}

/// The integer on top of the stack.
///
/// # Safety
/// As for [`expected`].
pub(super) unsafe fn integer(lua: *mut lua_State) -> Option<i64> {
    let mut exact = 0;
    // SAFETY: the caller has the value on top of the stack; a string is not asked, so none is converted.
    unsafe {
        let value = if lua_type(lua, -1) == LUA_TNUMBER { lua_tointegerx(lua, -1, &mut exact) } else { 0 };
        (exact != 0).then_some(value)
    }
}

/// The boolean on top of the stack.
///
/// # Safety
/// As for [`expected`].
pub(super) unsafe fn boolean(lua: *mut lua_State, key: &str) -> Result<bool, String> {
    // SAFETY: the caller has the value on top of the stack and free slots.
    unsafe {
        if lua_type(lua, -1) != LUA_TBOOLEAN {
            return Err(expected(lua, key, "a boolean"));
        }
        Ok(lua_toboolean(lua, -1) != 0)
    }
}

/// The string on top of the stack.
///
/// # Safety
/// As for [`expected`].
pub(super) unsafe fn text(lua: *mut lua_State, key: &str) -> Result<String, String> {
    // SAFETY: the caller has the value on top of the stack.
    unsafe {
        let bytes = bytes(lua, -1).ok_or_else(|| expected(lua, key, "a string"))?;
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }
}

/// Milliseconds, more than none.
///
/// # Safety
/// As for [`expected`].
pub(super) unsafe fn time(lua: *mut lua_State, key: &str) -> Result<Duration, String> {
    // SAFETY: the caller has the value on top of the stack; the type is checked before the number is read.
    unsafe {
        let given = (lua_type(lua, -1) == LUA_TNUMBER).then(|| lua_tonumber(lua, -1));
        let limit = given.and_then(duration).filter(|limit| !limit.is_zero());
        limit.ok_or_else(|| expected(lua, key, "milliseconds above zero"))
    }
}

/// A number of bytes.
///
/// # Safety
/// As for [`expected`].
pub(super) unsafe fn size_up_to(
    lua: *mut lua_State,
    key: &str,
    most: u64,
    words: &str,
) -> Result<u64, String> {
    // SAFETY: the caller has the value on top of the stack.
    unsafe {
        let given = match bytes(lua, -1) {
            Some(text) => parse_size(&String::from_utf8_lossy(text)),
            None => integer(lua).and_then(|size| u64::try_from(size).ok()),
        };
        let range = format!("a size such as 65536 or \"64K\", at most {words}");
        given.filter(|size| *size <= most).ok_or_else(|| expected(lua, key, &range))
    }
}
