//! Rust values as userdata.

use std::ffi::{CStr, c_int};

use crate::ffi::*;

use crate::call::{Outcome, Raise, set_functions, wrong_type};

/// A type whose values scripts hold as userdata.
pub trait Userdata: Sized {
    /// The metatable's name in the registry, and what errors call it.
    const NAME: &'static CStr;
}

/// Makes the metatable, if this state has none yet. `__gc` has to be [`collect`].
///
/// # Safety
/// `lua` is a valid state with five free stack slots, in a protected call.
pub unsafe fn register<T: Userdata>(
    lua: *mut lua_State,
    metamethods: &[(&CStr, lua_CFunction)],
    methods: &[(&CStr, lua_CFunction)],
) {
    // SAFETY: as demanded; balanced.
    unsafe {
        if lua_getfield(lua, LUA_REGISTRYINDEX, T::NAME.as_ptr()) != LUA_TTABLE {
            lua_createtable(lua, 0, metamethods.len() as c_int + 3);
            set_functions(lua, metamethods);
            lua_createtable(lua, 0, methods.len() as c_int);
            set_functions(lua, methods);
            lua_setfield(lua, -2, c"__index".as_ptr());
            for key in [c"__metatable", c"__name"] {
                lua_pushstring(lua, T::NAME.as_ptr());
                lua_setfield(lua, -2, key.as_ptr());
            }
            // Last: nobody finds half a metatable if memory runs out.
            lua_setfield(lua, LUA_REGISTRYINDEX, T::NAME.as_ptr());
        }
        lua_pop(lua, 1);
    }
}

/// Pushes a userdata with so many user values, in which nothing is yet.
///
/// # Safety
/// `lua` is a valid state with a free stack slot, in a protected call.
pub unsafe fn reserve<T: Userdata>(lua: *mut lua_State, values: c_int) -> *mut T {
    const { assert!(align_of::<T>() <= 8, "userdata are aligned for pointers and numbers") };
    // SAFETY: as demanded.
    unsafe { lua_newuserdatauv(lua, size_of::<T>(), values).cast() }
}

/// Fills the userdata on top. The metatable, and with it the finalizer, comes only once the contents are there.
///
/// # Safety
/// `place` comes from [`reserve`] and is on top of the stack of `lua`, with two free slots; the metatable is registered.
pub unsafe fn complete<T: Userdata>(lua: *mut lua_State, place: *mut T, value: T) {
    // SAFETY: as demanded; userdata stay where they are.
    unsafe {
        place.write(value);
        luaL_getmetatable(lua, T::NAME.as_ptr());
        lua_setmetatable(lua, -2);
    }
}

/// Pushes a value.
///
/// # Safety
/// `lua` is a valid state with three free stack slots, in a protected call; the metatable is registered.
pub unsafe fn push<T: Userdata>(lua: *mut lua_State, value: T) -> *const T {
    // SAFETY: as demanded.
    unsafe {
        let place = reserve(lua, 0);
        complete(lua, place, value);
        place
    }
}

/// The value at `index`, null if something else is there.
///
/// # Safety
/// `lua` is a valid state with two free stack slots.
unsafe fn test<T: Userdata>(lua: *mut lua_State, index: c_int) -> *mut T {
    // SAFETY: as demanded.
    unsafe {
        let place = luaL_testudata(lua, index, T::NAME.as_ptr()).cast::<T>();
        let whole = !place.is_null() && lua_rawlen(lua, index) as usize == size_of::<T>();
        if whole { place } else { std::ptr::null_mut() }
    }
}

/// The value at `index`.
///
/// # Safety
/// `lua` is a valid state with four free stack slots. The userdata has to stay on the stack while the reference is used.
pub unsafe fn check<'a, T: Userdata>(lua: *mut lua_State, index: c_int) -> Result<&'a T, Raise> {
    // SAFETY: a userdata of this size with this metatable was filled by `complete`: scripts cannot reach the metatable
    // (`__metatable` hides it) without the debug library.
    unsafe {
        let place = test::<T>(lua, index);
        if place.is_null() { Err(wrong_type(lua, index, &T::NAME.to_string_lossy())) } else { Ok(&*place) }
    }
}

/// The finalizer.
///
/// # Safety
/// Called by Lua.
pub unsafe fn collect<T: Userdata>(lua: *mut lua_State) -> Outcome {
    // SAFETY: Lua's state. The collector calls this once and nobody reaches the userdata afterwards; a script that calls
    // it through the debug library finds that it is none of this type any more.
    unsafe {
        let place = test::<T>(lua, 1);
        if !place.is_null() {
            lua_pushnil(lua);
            lua_setmetatable(lua, 1);
            place.drop_in_place();
        }
    }
    Ok(0)
}
