//! Rust functions that Lua calls: entering, leaving, arguments.
//!
//! A Lua error is a `longjmp`, a Rust panic an unwinding; neither may cross the other's frames. So a body
//! *returns* its error, and [`enter`] raises it once every Rust value of the body is dropped; a panic is
//! caught there and raised as an error too. Inside a body the only Lua error left is "not enough memory" from
//! a push; it leaks what the body holds at that moment, and nothing else.

use std::ffi::{CStr, c_int};

use crate::ffi::*;
use crate::version::state::push_type_name;
use crate::version::unwind::catch_panic;

/// Why a function raises.
#[derive(Debug)]
pub enum Raise {
    /// The error object on top of the stack.
    Object,
    /// A message; Lua's position goes in front.
    Message(String),
    /// `bad argument #N to 'function' (message)`.
    Argument(c_int, String),
}

/// What a body returns: the number of results on top of the stack, or an error.
pub type Outcome = Result<c_int, Raise>;

/// A Rust function as Lua calls it.
pub type Body = unsafe fn(*mut lua_State) -> Outcome;

/// Runs a body for Lua.
///
/// # Safety
/// Called by Lua, with the state that it passes, in a frame without destructors.
pub unsafe fn enter(lua: *mut lua_State, name: &str, body: Body) -> c_int {
    // SAFETY: the body gets the state that Lua passed. Errors are raised after the match has dropped
    // everything that the body made.
    unsafe {
        let argument = match catch_panic(|| body(lua)) {
            Ok(Ok(results)) => return results,
            Ok(Err(Raise::Object)) => None,
            Ok(Err(Raise::Message(message))) => {
                luaL_where(lua, 1);
                push_text(lua, &message);
                lua_concat(lua, 2);
                None
            }
            Ok(Err(Raise::Argument(position, message))) => {
                push_text(lua, &message);
                Some(position)
            }
            Err(_) => {
                push_text(lua, "internal error in llib (a panic, reported on standard error)");
                None
            }
        };
        match argument {
            Some(position) => raise_argument(lua, name, position),
            None => lua_error(lua),
        }
    }
}

/// Raises the message on top of the stack as that of an argument. Where Lua does not know how the function was
/// called, for instance by `pcall`, it would say `?`: then it gets its own name.
unsafe fn raise_argument(lua: *mut lua_State, name: &str, position: c_int) -> c_int {
    // SAFETY: the caller's state with free slots; the record is filled in by the calls before it is read.
    unsafe {
        let mut about: lua_Debug = std::mem::zeroed();
        let known = lua_getstack(lua, 0, &mut about) != 0
            && lua_getinfo(lua, c"n".as_ptr(), &mut about) != 0
            && !about.name.is_null();
        if known {
            return luaL_argerror(lua, position, lua_tostring(lua, -1));
        }
        luaL_where(lua, 1);
        lua_pushstring(lua, c"bad argument #".as_ptr());
        lua_pushinteger(lua, lua_Integer::from(position));
        lua_pushstring(lua, c" to '".as_ptr());
        push_text(lua, name.trim_end_matches("_entry"));
        lua_pushstring(lua, c"' (".as_ptr());
        lua_pushvalue(lua, -7);
        lua_pushstring(lua, c")".as_ptr());
        lua_concat(lua, 8);
        lua_error(lua)
    }
}

/// Defines a C function for Lua around a [`Body`].
#[macro_export]
macro_rules! lua_function {
    ($(#[$meta:meta])* $vis:vis $name:ident => $body:path) => {
        $(#[$meta])*
        $vis unsafe extern "C-unwind" fn $name(lua: *mut $crate::ffi::lua_State) -> std::ffi::c_int {
            // SAFETY: Lua calls this with its state; the frame holds nothing.
            unsafe { $crate::call::enter(lua, stringify!($name), $body) }
        }
    };
}

/// Sets functions of the table on top.
///
/// # Safety
/// `lua` is a valid state with a table on top and a free slot, in a protected call.
pub unsafe fn set_functions(lua: *mut lua_State, functions: &[(&CStr, lua_CFunction)]) {
    for (key, function) in functions {
        // SAFETY: as demanded.
        unsafe {
            lua_pushcfunction(lua, *function);
            lua_setfield(lua, -2, key.as_ptr());
        }
    }
}

/// Pushes a string.
///
/// # Safety
/// `lua` is a valid state with a free stack slot.
pub unsafe fn push_text(lua: *mut lua_State, text: &str) {
    // SAFETY: as demanded; Lua copies the bytes.
    unsafe { push_bytes(lua, text.as_bytes()) }
}

/// Pushes a string of any bytes.
///
/// # Safety
/// `lua` is a valid state with a free stack slot.
pub unsafe fn push_bytes(lua: *mut lua_State, bytes: &[u8]) {
    // SAFETY: as demanded; Lua copies the bytes.
    unsafe {
        lua_pushlstring(lua, bytes.as_ptr().cast(), bytes.len());
    }
}

/// The bytes of the string at `index`; `None` for any other value, also a number.
///
/// # Safety
/// `lua` is a valid state. The string has to stay on the stack while the bytes are used.
pub unsafe fn bytes<'a>(lua: *mut lua_State, index: c_int) -> Option<&'a [u8]> {
    // SAFETY: for a string the call returns its bytes and converts nothing.
    unsafe {
        if lua_type(lua, index) != LUA_TSTRING {
            return None;
        }
        let mut len = 0;
        let start = lua_tolstring(lua, index, &mut len);
        Some(std::slice::from_raw_parts(start.cast(), len))
    }
}

/// The name of a value's type as errors give it: `__name` of its metatable, else Lua's.
///
/// # Safety
/// `lua` is a valid state with four free stack slots.
pub unsafe fn type_name(lua: *mut lua_State, index: c_int) -> String {
    // SAFETY: as demanded; the name is copied before it is popped.
    unsafe {
        if lua_type(lua, index) == LUA_TLIGHTUSERDATA {
            return "light userdata".to_owned();
        }
        if push_type_name(lua, index) {
            let name = String::from_utf8_lossy(bytes(lua, -1).unwrap_or_default()).into_owned();
            lua_pop(lua, 1);
            return name;
        }
        let kind = lua_type(lua, index);
        if kind == LUA_TNONE {
            return "no value".to_owned();
        }
        CStr::from_ptr(lua_typename(lua, kind)).to_string_lossy().into_owned()
    }
}

/// Pushes the text of any value as `tostring` gives it; where `__tostring` raises, what kind of value it is.
///
/// # Safety
/// `lua` is a valid state with four free stack slots and a value at `index`.
pub unsafe fn push_description(lua: *mut lua_State, index: c_int) {
    // SAFETY: as demanded; what a metamethod raises ends at the protected call.
    unsafe {
        let index = lua_absindex(lua, index);
        lua_pushcfunction(lua, describe);
        lua_pushvalue(lua, index);
        if lua_pcall(lua, 1, 1, 0) != LUA_OK {
            lua_pop(lua, 1);
            push_text(lua, &format!("(a {} value whose __tostring fails)", type_name(lua, index)));
        }
    }
}

crate::lua_function!(describe => describe_body);

unsafe fn describe_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state; a longjmp out of the call below skips no destructor.
    unsafe { luaL_tolstring(lua, 1, std::ptr::null_mut()) };
    Ok(1)
}

/// The error for an argument of another type.
///
/// # Safety
/// `lua` is a valid state with two free stack slots.
pub unsafe fn wrong_type(lua: *mut lua_State, index: c_int, expected: &str) -> Raise {
    // SAFETY: as demanded.
    let got = unsafe { type_name(lua, index) };
    Raise::Argument(index, format!("{expected} expected, got {got}"))
}

/// Whether there is neither a value nor anything but nil at `index`.
///
/// # Safety
/// `lua` is a valid state.
pub unsafe fn is_absent(lua: *mut lua_State, index: c_int) -> bool {
    // SAFETY: as demanded.
    unsafe { lua_type(lua, index) <= LUA_TNIL }
}

/// A time in milliseconds, zero or more, as argument; `None` where it is absent.
///
/// # Safety
/// `lua` is a valid state with two free stack slots.
pub unsafe fn milliseconds(lua: *mut lua_State, index: c_int) -> Result<Option<std::time::Duration>, Raise> {
    // SAFETY: as demanded; the type is checked before the number is read.
    unsafe {
        if is_absent(lua, index) {
            return Ok(None);
        }
        if lua_type(lua, index) != LUA_TNUMBER {
            return Err(wrong_type(lua, index, "number of milliseconds"));
        }
        duration(lua_tonumber(lua, index))
            .ok_or_else(|| {
                Raise::Argument(index, "milliseconds expected, got a number below zero or NaN".to_owned())
            })
            .map(Some)
    }
}

/// Milliseconds as a duration: none for a negative number or NaN, for ever (nearly) for huge ones.
pub fn duration(milliseconds: f64) -> Option<std::time::Duration> {
    const FOREVER: std::time::Duration = std::time::Duration::from_secs(1 << 40);
    if milliseconds.is_nan() || milliseconds < 0.0 {
        return None;
    }
    Some(std::time::Duration::try_from_secs_f64(milliseconds / 1000.0).unwrap_or(FOREVER).min(FOREVER))
}

#[cfg(test)]
mod tests {
    use super::duration;
    use std::time::Duration;

    #[test]
    fn milliseconds_may_have_a_fraction_and_no_end() {
        assert_eq!(duration(1.5), Some(Duration::from_micros(1500)));
        assert_eq!(duration(0.0), Some(Duration::ZERO));
        assert!(duration(f64::INFINITY) > Some(Duration::from_secs(1 << 30)));
        assert_eq!(duration(-1.0), None);
        assert_eq!(duration(f64::NAN), None);
    }
}
