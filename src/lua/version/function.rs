//! What a C function is, whatever name it goes by: the code behind it.

use std::ffi::{CStr, c_int, c_void};
use std::sync::OnceLock;

use super::ffi::*;
use llib_core::sys::module::symbol;

/// The code of a C function. Two with the same identity do the same, apart from what their upvalues hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    address: usize,
    /// LuaJIT writes many of its functions in assembler. Those share addresses and have a number each.
    number: u32,
}

impl Identity {
    /// Of a C function of ours.
    pub fn of(function: lua_CFunction) -> Identity {
        Identity { address: function as *const c_void as usize, number: 0 }
    }

    /// The address of the code, to ask in which file it is; none where the interpreter made it.
    pub fn address(self) -> Option<usize> {
        (self.number == 0).then_some(self.address)
    }
}

/// The identity of the C function on top; none where it cannot be told.
///
/// # Safety
/// `lua` is a valid state in a protected call, with a C function on top and six free stack slots.
pub unsafe fn identity(lua: *mut lua_State) -> Option<Identity> {
    // SAFETY: as demanded.
    unsafe {
        match lua_tocfunction(lua, -1) {
            Some(function) => Some(Identity::of(function)),
            None => numbered::identity(lua),
        }
    }
}

/// Whether a C function with the code of the one on top can be made from the code alone: it is the same value then.
///
/// # Safety
/// As for [`identity`].
pub unsafe fn is_plain(lua: *mut lua_State) -> bool {
    if cfg!(any(feature = "lua51", feature = "luajit")) {
        // Each is an object with an environment of its own.
        return false;
    }
    // SAFETY: as demanded.
    unsafe {
        let plain = lua_getupvalue(lua, -1, 1).is_null();
        if !plain {
            lua_settop(lua, -2);
        }
        plain
    }
}

/// Opens the standard libraries in a state.
pub type OpenLibraries = unsafe fn(*mut lua_State);

static OPEN: OnceLock<OpenLibraries> = OnceLock::new();

/// Tells how the libraries are opened, for programs that bring Lua themselves.
pub fn open_libraries_with(open: OpenLibraries) {
    // Every caller has the same one.
    let _ = OPEN.set(open);
}

/// A new state with the standard libraries as Lua makes them, for [`end_pristine`] to close; none where this process has no
/// function that opens them: a host need not export it.
pub fn pristine() -> Option<*mut lua_State> {
    unsafe extern "C-unwind" fn open_them(lua: *mut lua_State) -> c_int {
        // SAFETY: called by Lua in a protected call; `pristine` has found the function.
        unsafe {
            if let Some(open) = open() {
                open(lua);
            }
        }
        0
    }
    open()?;
    // SAFETY: a new state; what the libraries may raise for want of memory ends at the call.
    unsafe {
        let lua = luaL_newstate();
        if lua.is_null() {
            return None;
        }
        let ready =
            super::state::push_function(lua, open_them) == LUA_OK && lua_pcall(lua, 0, 0, 0) == LUA_OK;
        numbered::learn(lua);
        if ready {
            return Some(lua);
        }
        lua_close(lua);
    }
    None
}

/// Closes it.
///
/// # Safety
/// It is one of [`pristine`]'s, and used no more.
pub unsafe fn end_pristine(lua: *mut lua_State) {
    // SAFETY: as demanded.
    unsafe { lua_close(lua) }
}

/// How the libraries are opened here.
fn open() -> Option<OpenLibraries> {
    OPEN.get().copied().or_else(|| symbol(NAME).map(|_| open_exported as OpenLibraries))
}

const NAME: &CStr = if cfg!(feature = "lua55") { c"luaL_openselectedlibs" } else { c"luaL_openlibs" };

/// Calls what the host exports.
unsafe fn open_exported(lua: *mut lua_State) {
    let Some(found) = symbol(NAME) else { return };
    // SAFETY: the symbol is Lua's function of these arguments; in Lua 5.5 they choose all libraries, and none only to be
    // required.
    unsafe {
        #[cfg(feature = "lua55")]
        std::mem::transmute::<*mut c_void, unsafe extern "C-unwind" fn(*mut lua_State, c_int, c_int)>(found)(
            lua, !0, 0,
        );
        #[cfg(not(feature = "lua55"))]
        std::mem::transmute::<*mut c_void, unsafe extern "C-unwind" fn(*mut lua_State)>(found)(lua);
    }
}

#[cfg(feature = "luajit")]
mod numbered {
    use std::sync::OnceLock;

    use super::*;

    /// `jit.util.funcinfo`.
    static FUNCINFO: OnceLock<lua_CFunction> = OnceLock::new();

    /// Finds what tells the numbers of functions, in a state that nobody has changed.
    pub(super) unsafe fn learn(lua: *mut lua_State) {
        // SAFETY: the caller's new state; the code is called in protected mode.
        unsafe {
            if luaL_loadstring(lua, c"return require('jit.util').funcinfo".as_ptr()) == LUA_OK
                && lua_pcall(lua, 0, 1, 0) == LUA_OK
                && let Some(function) = lua_tocfunction(lua, -1)
            {
                let _ = FUNCINFO.set(function);
            }
            lua_settop(lua, 0);
        }
    }

    pub(super) unsafe fn identity(lua: *mut lua_State) -> Option<Identity> {
        let funcinfo = *FUNCINFO.get()?;
        // SAFETY: a C function is on top, with free slots; the call gives a table. Balanced.
        unsafe {
            let top = lua_gettop(lua);
            lua_pushcfunction(lua, funcinfo);
            lua_pushvalue(lua, top);
            let mut found = None;
            if lua_pcall(lua, 1, 1, 0) == LUA_OK && lua_type(lua, -1) == LUA_TTABLE {
                lua_getfield(lua, -1, c"addr".as_ptr());
                lua_getfield(lua, -2, c"ffid".as_ptr());
                if lua_type(lua, -2) == LUA_TNUMBER && lua_type(lua, -1) == LUA_TNUMBER {
                    let (address, number) = (lua_tonumber(lua, -2), lua_tonumber(lua, -1));
                    found = Some(Identity { address: address as usize, number: number as u32 });
                }
            }
            lua_settop(lua, top);
            found
        }
    }
}

/// Elsewhere an address is enough.
#[cfg(not(feature = "luajit"))]
mod numbered {
    use super::*;

    pub(super) unsafe fn learn(_: *mut lua_State) {}

    pub(super) unsafe fn identity(_: *mut lua_State) -> Option<Identity> {
        None
    }
}
