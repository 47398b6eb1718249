//! The hash object: a hash under way as scripts hold it.

use std::ffi::{CStr, c_int, c_void};

use crate::ffi::*;

use crate::call::{Outcome, Raise, push_bytes, push_text, set_functions, wrong_type};
use crate::convert::ByValue;
use crate::lua_function;
use llib_crypto::{Algorithm, Hash};

/// The metatable's name in the registry.
pub const HASH: &CStr = c"llib.hash";

/// How hash objects travel.
pub const BY_VALUE: ByValue = ByValue { kind: 1, name: HASH, save, load };

/// Bytes of the userdata. Lua aligns it for pointers, SHA-512 counts in 128 bits and wants more: the hash
/// stands at the first place that fits. Userdata never move.
const BLOCK: usize = size_of::<Hash>() + align_of::<Hash>();

/// Where the hash stands in a userdata.
fn place(block: *mut c_void) -> *mut Hash {
    block.map_addr(|address| address.next_multiple_of(align_of::<Hash>())).cast()
}

/// Pushes a userdata without hash and without metatable; the place returned is for the hash.
unsafe fn push_empty(lua: *mut lua_State) -> *mut Hash {
    // SAFETY: the caller's state with a free slot.
    unsafe { place(lua_newuserdatauv(lua, BLOCK, 0)) }
}

/// Makes the userdata on top, whose hash is there now, a hash object. There is no finalizer: a hash holds no
/// memory of its own.
unsafe fn complete(lua: *mut lua_State) {
    // SAFETY: the caller's state with free slots; the userdata is on top.
    unsafe {
        register(lua);
        lua_setmetatable(lua, -2);
    }
}

/// Pushes a new hash object.
///
/// # Safety
/// `lua` is a valid state with six free stack slots.
pub unsafe fn push(lua: *mut lua_State, algorithm: Algorithm) {
    // SAFETY: as demanded; the place is aligned and large enough.
    unsafe {
        push_empty(lua).write(Hash::new(algorithm));
        complete(lua);
    }
}

/// The hash of the userdata at `index`, null for any other value.
unsafe fn test(lua: *mut lua_State, index: c_int) -> *mut Hash {
    // SAFETY: the caller's state with two free slots. A userdata of this size with this metatable was made by
    // `push` or `load`: scripts cannot reach the metatable (`__metatable` hides it) without the debug library.
    unsafe {
        let full = lua_type(lua, index) == LUA_TUSERDATA && lua_rawlen(lua, index) as usize == BLOCK;
        let block = if full { luaL_testudata(lua, index, HASH.as_ptr()) } else { std::ptr::null_mut() };
        if block.is_null() { std::ptr::null_mut() } else { place(block) }
    }
}

/// The hash at `index`. No reference may live while Lua runs or allocates: a finalizer could use the same hash.
unsafe fn check(lua: *mut lua_State, index: c_int) -> Result<*mut Hash, Raise> {
    // SAFETY: as for `test`.
    unsafe {
        let hash = test(lua, index);
        if hash.is_null() { Err(wrong_type(lua, index, "llib.hash")) } else { Ok(hash) }
    }
}

/// The bytes of a string argument where they are; a number becomes a string in its slot, as for Lua's own library.
///
/// # Safety
/// `lua` is a valid state with two free stack slots. The string has to stay there while the bytes are used.
pub unsafe fn text<'a>(lua: *mut lua_State, index: c_int) -> Result<&'a [u8], Raise> {
    // SAFETY: as demanded; the pointer is not null for strings and numbers.
    unsafe {
        if !matches!(lua_type(lua, index), LUA_TSTRING | LUA_TNUMBER) {
            return Err(wrong_type(lua, index, "string"));
        }
        let mut len = 0;
        let start = lua_tolstring(lua, index, &mut len);
        Ok(std::slice::from_raw_parts(start.cast(), len))
    }
}

unsafe fn save(lua: *mut lua_State, index: c_int, into: &mut Vec<u8>) {
    // SAFETY: called with a hash object; nothing of Lua runs meanwhile.
    unsafe {
        let hash = test(lua, index);
        if !hash.is_null() {
            into.extend_from_slice((*hash).save().as_bytes());
        }
    }
}

unsafe fn load(lua: *mut lua_State, bytes: &[u8]) -> Result<(), String> {
    // SAFETY: called with free slots. The userdata comes first, so that no hash is on this frame when Lua raises
    // for want of memory.
    unsafe {
        let place = push_empty(lua);
        match Hash::load(bytes) {
            Ok(hash) => place.write(hash),
            Err(error) => {
                lua_settop(lua, -2);
                return Err(error.to_string());
            }
        }
        complete(lua);
    }
    Ok(())
}

/// Pushes the metatable; makes it first where this state has none yet.
///
/// # Safety
/// `lua` is a valid state with five free stack slots, in a protected call.
pub unsafe fn register(lua: *mut lua_State) {
    let methods: [(&CStr, lua_CFunction); 2] = [(c"final", final_entry), (c"update", update)];
    // SAFETY: as demanded.
    unsafe {
        if lua_getfield(lua, LUA_REGISTRYINDEX, HASH.as_ptr()) != LUA_TTABLE {
            lua_pop(lua, 1);
            lua_createtable(lua, 0, 5);
            lua_createtable(lua, 0, methods.len() as c_int);
            set_functions(lua, &methods);
            lua_setfield(lua, -2, c"__index".as_ptr());
            set_functions(lua, &[(c"__add", add), (c"__tostring", to_string)]);
            push_text(lua, "llib.hash");
            lua_setfield(lua, -2, c"__metatable".as_ptr());
            push_text(lua, "llib.hash");
            lua_setfield(lua, -2, c"__name".as_ptr());
            // Last: nobody finds half a metatable if memory runs out.
            lua_pushvalue(lua, -1);
            lua_setfield(lua, LUA_REGISTRYINDEX, HASH.as_ptr());
        }
    }
}

lua_function!(add => add_body);
lua_function!(final_entry => final_body);
lua_function!(to_string => to_string_body);
lua_function!(update => update_body);

// Every body below is called by Lua with its state and keeps hash and string on the stack while it uses them:
// that is the SAFETY argument of each.

unsafe fn update_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let hash = check(lua, 1)?;
        let bytes = text(lua, 2)?;
        (*hash).update(bytes);
        lua_settop(lua, 1);
    }
    Ok(1)
}

unsafe fn add_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let hash = check(lua, 1)?;
        let bytes = text(lua, 2)?;
        let place = push_empty(lua);
        place.write((*hash).clone());
        (*place).update(bytes);
        complete(lua);
    }
    Ok(1)
}

unsafe fn final_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let hex = (*check(lua, 1)?).hex();
        push_bytes(lua, hex.as_bytes());
    }
    Ok(1)
}

unsafe fn to_string_body(lua: *mut lua_State) -> Outcome {
    // SAFETY: see above.
    unsafe {
        let algorithm = (*check(lua, 1)?).algorithm();
        push_text(lua, "llib.hash: ");
        push_text(lua, algorithm.name());
        lua_concat(lua, 2);
    }
    Ok(1)
}
