//! Running Rust code below `lua_pcall`.

use std::any::Any;
use std::ffi::{c_int, c_void};
use std::slice;

use crate::ffi::*;
use crate::version::state;
use crate::version::unwind::catch_panic;

/// Why a protected call ended early.
pub(super) enum Failure {
    Memory,
    Lua(String),
    Panic(String),
}

/// Code that may raise Lua errors.
///
/// The frames of `run` and of everything it calls are left by `longjmp` when Lua raises: none of them may
/// hold a value with a destructor at that moment. Such values belong into `self`, which the caller owns.
pub(super) trait Protected {
    /// The first stack slot is taken; arguments start at [`FIRST`]. Returns the number of results on top.
    ///
    /// # Safety
    /// Called by [`protected`] only, below `lua_pcall`.
    unsafe fn run(&mut self, lua: *mut lua_State) -> c_int;
}

/// First slot of the arguments.
pub(super) const FIRST: c_int = 2;

struct Call<P> {
    body: *mut P,
    panic: Option<Box<dyn Any + Send>>,
}

unsafe extern "C-unwind" fn enter<P: Protected>(lua: *mut lua_State) -> c_int {
    // SAFETY: the first argument is the address of the `Call` on the frame of `protected`, which waits for
    // this function. Neither this frame nor `catch_panic` holds anything that a longjmp would have to
    // drop; the latter is only a landing pad and keeps no state while nothing panics.
    unsafe {
        let call = lua_touserdata(lua, 1).cast::<Call<P>>();
        let body = (*call).body;
        match catch_panic(|| (*body).run(lua)) {
            Ok(results) => results,
            Err(panic) => {
                (*call).panic = Some(panic);
                0
            }
        }
    }
}

/// Runs `body` below `lua_pcall`. `arguments` pushes its arguments and returns their number.
///
/// On failure the stack is as it was before.
///
/// # Safety
/// `lua` is a valid state with three free slots beside those that `arguments` needs.
pub(super) unsafe fn protected<P: Protected>(
    lua: *mut lua_State,
    body: &mut P,
    arguments: impl FnOnce() -> c_int,
    results: c_int,
) -> Result<(), Failure> {
    let mut call = Call { body, panic: None };
    // SAFETY: the stack has room as demanded. `call` outlives the call; the pushes do not raise.
    unsafe {
        let top = lua_gettop(lua);
        if state::push_function(lua, enter::<P>) != LUA_OK {
            lua_settop(lua, top);
            return Err(Failure::Memory);
        }
        lua_pushlightuserdata(lua, (&raw mut call).cast::<c_void>());
        let count = arguments();
        let status = lua_pcall(lua, 1 + count, results, 0);
        let failure = match (status, call.panic.take()) {
            (LUA_OK, None) => return Ok(()),
            (_, Some(panic)) => Failure::Panic(panic_text(&*panic)),
            (LUA_ERRMEM, None) => Failure::Memory,
            (_, None) => Failure::Lua(error_text(lua)),
        };
        lua_settop(lua, top);
        Err(failure)
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panic".to_owned())
}

/// The error value on top of the stack as text. Calls no metamethod, raises nothing, leaves the stack.
///
/// # Safety
/// `lua` is a valid state with a value on top and a free slot.
pub(super) unsafe fn error_text(lua: *mut lua_State) -> String {
    // SAFETY: as demanded; the copy keeps a number from being turned into a string in its own slot.
    unsafe {
        match lua_type(lua, -1) {
            LUA_TSTRING => text(lua, -1),
            LUA_TNUMBER if lua_isinteger(lua, -1) != 0 => lua_tointeger(lua, -1).to_string(),
            LUA_TNUMBER => lua_tonumber(lua, -1).to_string(),
            kind => format!("(error object is a {} value)", type_name(lua, kind)),
        }
    }
}

/// The string at `idx`, made printable.
///
/// # Safety
/// `lua` is a valid state and the value at `idx` a string.
pub(super) unsafe fn text(lua: *mut lua_State, idx: c_int) -> String {
    // SAFETY: the value is a string, so nothing is converted and nothing raised.
    unsafe { String::from_utf8_lossy(string(lua, idx)).into_owned() }
}

/// The bytes of the string at `idx`.
///
/// # Safety
/// `lua` is a valid state and the value at `idx` a string, which stays reachable while the slice is used.
pub(super) unsafe fn string<'a>(lua: *mut lua_State, idx: c_int) -> &'a [u8] {
    let mut len = 0;
    // SAFETY: the value is a string: the call returns its immutable bytes and converts nothing.
    unsafe { slice::from_raw_parts(lua_tolstring(lua, idx, &mut len).cast::<u8>(), len) }
}

/// Lua's name of a type.
///
/// # Safety
/// `lua` is a valid state, `kind` a value of `lua_type`.
pub(super) unsafe fn type_name(lua: *mut lua_State, kind: c_int) -> &'static str {
    // SAFETY: `lua_typename` returns static strings for valid types.
    unsafe { std::ffi::CStr::from_ptr(lua_typename(lua, kind)).to_str().unwrap_or("?") }
}
