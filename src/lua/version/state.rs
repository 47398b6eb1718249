//! What a Lua state is asked for that not every version can answer by itself.

use std::ffi::CStr;

use super::ffi::*;

/// A new state with this allocator where it [takes one](super::TAKES_ALLOCATOR); null if there is no memory.
///
/// PUC Lua makes it with the C library's memory and gets the allocator then. LuaJIT has a source of its own, so the
/// state is made with the allocator from the start.
///
/// # Safety
/// The allocator works as Lua's manual says, with `context`, until the state is closed; it can also free blocks of
/// the C library.
pub unsafe fn new(allocate: lua_Alloc, context: *mut std::ffi::c_void) -> *mut lua_State {
    // SAFETY: as demanded.
    unsafe {
        if super::IS_JIT && super::TAKES_ALLOCATOR {
            return lua_newstate(allocate, context);
        }
        let lua = luaL_newstate();
        if !lua.is_null() && super::TAKES_ALLOCATOR {
            lua_setallocf(lua, allocate, context);
        }
        lua
    }
}

/// Registry key of the main thread where Lua keeps none.
#[cfg(any(feature = "lua51", feature = "luajit"))]
const MAIN: &CStr = c"llib.main";

/// Makes the main thread known, if `lua` is the one. To be called when llib is loaded.
///
/// # Safety
/// `lua` is a valid state with two free stack slots, in a protected call.
pub unsafe fn note_main_thread(lua: *mut lua_State) {
    #[cfg(any(feature = "lua51", feature = "luajit"))]
    // SAFETY: as demanded; balanced.
    unsafe {
        if lua_pushthread(lua) != 0 {
            lua_setfield(lua, LUA_REGISTRYINDEX, MAIN.as_ptr());
        } else {
            lua_pop(lua, 1);
        }
    }
    let _ = lua;
}

/// Pushes a C function and returns `LUA_OK`, or pushes an error and returns its status; raises nothing.
///
/// From Lua 5.2 on a C function without upvalues is a plain value. Before, it is an object that needs memory, so it
/// is made in protected mode, once.
///
/// # Safety
/// `lua` is a valid state with two free stack slots.
pub unsafe fn push_function(lua: *mut lua_State, function: lua_CFunction) -> std::ffi::c_int {
    // SAFETY: as demanded. The registry's keys are addresses of functions, and pushing what is there takes no memory.
    unsafe {
        #[cfg(any(feature = "lua51", feature = "luajit"))]
        {
            let key = function as *const std::ffi::c_void;
            if lua_rawgetp(lua, LUA_REGISTRYINDEX, key) != LUA_TFUNCTION {
                lua_pop(lua, 1);
                let status = lua_cpcall(lua, keep_function, key.cast_mut());
                if status != LUA_OK {
                    return status;
                }
                lua_rawgetp(lua, LUA_REGISTRYINDEX, key);
            }
        }
        #[cfg(not(any(feature = "lua51", feature = "luajit")))]
        lua_pushcfunction(lua, function);
    }
    LUA_OK
}

/// Puts the C function whose address is its argument into the registry, under that address.
#[cfg(any(feature = "lua51", feature = "luajit"))]
unsafe extern "C-unwind" fn keep_function(lua: *mut lua_State) -> std::ffi::c_int {
    // SAFETY: `push_function` passes the address of a C function; a C function has free slots.
    unsafe {
        let key = lua_touserdata(lua, 1);
        lua_pushcfunction(lua, std::mem::transmute::<*mut std::ffi::c_void, lua_CFunction>(key));
        lua_rawsetp(lua, LUA_REGISTRYINDEX, key);
    }
    0
}

/// The main thread of the state; `lua` itself where it is not known (Lua 5.1, llib loaded by a coroutine).
///
/// # Safety
/// `lua` is a valid state with a free stack slot.
pub unsafe fn main_thread(lua: *mut lua_State) -> *mut lua_State {
    // SAFETY: as demanded; balanced. The registry holds the main thread under these keys, or nothing.
    unsafe {
        #[cfg(any(feature = "lua51", feature = "luajit"))]
        lua_getfield(lua, LUA_REGISTRYINDEX, MAIN.as_ptr());
        #[cfg(not(any(feature = "lua51", feature = "luajit")))]
        lua_rawgeti(lua, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD as _);
        let main = lua_tothread(lua, -1);
        lua_pop(lua, 1);
        if main.is_null() { lua } else { main }
    }
}

/// Pushes the name of the type of the userdata at `index`, a string, or pushes nothing and returns false.
///
/// From Lua 5.3 on `luaL_newmetatable` notes it in the metatable; before, it is the metatable's key in the registry
/// alone.
///
/// # Safety
/// `lua` is a valid state with four free stack slots and a value at `index`.
pub unsafe fn push_type_name(lua: *mut lua_State, index: std::ffi::c_int) -> bool {
    // SAFETY: as demanded; raw access only, and the registry is not changed while it is visited.
    unsafe {
        if luaL_getmetafield(lua, index, c"__name".as_ptr()) != LUA_TNIL {
            let is_text = lua_type(lua, -1) == LUA_TSTRING;
            if !is_text {
                lua_pop(lua, 1);
            }
            return is_text;
        }
        #[cfg(any(feature = "lua51", feature = "lua52", feature = "luajit"))]
        if lua_type(lua, index) == LUA_TUSERDATA && lua_getmetatable(lua, index) != 0 {
            lua_pushnil(lua);
            while lua_next(lua, LUA_REGISTRYINDEX) != 0 {
                // metatable key value
                if lua_type(lua, -2) == LUA_TSTRING && lua_rawequal(lua, -1, -3) != 0 {
                    lua_pop(lua, 1);
                    lua_remove(lua, -2);
                    return true;
                }
                lua_pop(lua, 1);
            }
            lua_pop(lua, 1);
        }
    }
    false
}

/// Opens a library and leaves it in `package.loaded`; sets no global.
///
/// # Safety
/// `lua` is a valid state with five free stack slots, in a protected call.
pub unsafe fn load_library(lua: *mut lua_State, name: &CStr, open: lua_CFunction) {
    // SAFETY: as demanded; balanced.
    unsafe {
        luaL_getsubtable(lua, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
        lua_pushcfunction(lua, open);
        lua_pushstring(lua, name.as_ptr());
        lua_call(lua, 1, 1);
        lua_setfield(lua, -2, name.as_ptr());
        lua_pop(lua, 1);
    }
}

/// Pushes `package.preload`, as a program has it that opened the libraries.
///
/// # Safety
/// `lua` is a valid state with three free stack slots, in a protected call.
pub unsafe fn push_preload(lua: *mut lua_State) {
    // SAFETY: as demanded. Later versions keep the table in the registry, older ones in `package` alone.
    unsafe {
        #[cfg(any(feature = "lua51", feature = "luajit"))]
        {
            lua_getglobal(lua, c"package".as_ptr());
            luaL_getsubtable(lua, -1, c"preload".as_ptr());
            lua_remove(lua, -2);
        }
        #[cfg(not(any(feature = "lua51", feature = "luajit")))]
        luaL_getsubtable(lua, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    }
}

/// Pushes the arguments of `math.randomseed` that make use of these random bytes; returns their number.
///
/// # Safety
/// `lua` is a valid state with two free stack slots.
pub unsafe fn push_seed(lua: *mut lua_State, bytes: [u8; 16]) -> std::ffi::c_int {
    let half = |at: usize| lua_Integer::from_ne_bytes(std::array::from_fn(|i| bytes[at + i]));
    // SAFETY: as demanded.
    unsafe {
        if cfg!(any(feature = "lua54", feature = "lua55")) {
            lua_pushinteger(lua, half(0));
            lua_pushinteger(lua, half(8));
            return 2;
        }
        // A C `int` at most, in the end; LuaJIT takes any number.
        let seed = half(0) & if super::IS_JIT { (1 << 53) - 1 } else { 0x7fff_ffff };
        lua_pushinteger(lua, seed);
        1
    }
}

/// What the Lua that is linked in says of itself: `$LuaVersion: Lua 5.4.8  Copyright … $`.
///
/// Inlined, for a module's host need not export what this looks at: only executables that bring Lua call it.
#[inline]
#[cfg(not(feature = "luajit"))]
pub fn ident() -> Vec<u8> {
    unsafe extern "C" {
        static lua_ident: std::ffi::c_char;
    }
    // SAFETY: Lua defines `lua_ident` as a constant, NUL-terminated array of char.
    unsafe { CStr::from_ptr(&raw const lua_ident) }.to_bytes().to_vec()
}

/// See above.
#[cfg(feature = "luajit")]
pub fn ident() -> Vec<u8> {
    // SAFETY: a new state, closed here; the code is called in protected mode and gives a string.
    unsafe {
        let lua = luaL_newstate();
        if lua.is_null() {
            return Vec::new();
        }
        luaL_openlibs(lua);
        let mut version = Vec::new();
        if luaL_loadstring(lua, c"return jit.version".as_ptr()) == LUA_OK
            && lua_pcall(lua, 0, 1, 0) == LUA_OK
            && lua_type(lua, -1) == LUA_TSTRING
        {
            version = CStr::from_ptr(lua_tostring(lua, -1)).to_bytes().to_vec();
        }
        lua_close(lua);
        [b"$LuaJIT: ", &version[..], b" -- Copyright (C) Mike Pall. https://luajit.org/ $"].concat()
    }
}
