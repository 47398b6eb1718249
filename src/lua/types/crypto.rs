//! `llib.crypto`: a function for each algorithm.

use std::ffi::{CStr, c_int};

use crate::ffi::*;

use super::hash;
use crate::call::{Outcome, push_bytes, set_functions};
use crate::lua_function;
use llib_crypto::{Algorithm, Hash};

/// Pushes the table, and registers the metatable of hash objects.
///
/// # Safety
/// `lua` is a valid state with five free stack slots, in a protected call.
pub unsafe fn push(lua: *mut lua_State) {
    let functions: [(&CStr, lua_CFunction); Algorithm::ALL.len()] = [
        (c"md5", md5),
        (c"sha1", sha1),
        (c"sha224", sha224),
        (c"sha256", sha256),
        (c"sha384", sha384),
        (c"sha512", sha512),
        (c"blake2b", blake2b),
        (c"blake2s", blake2s),
    ];
    // SAFETY: as demanded.
    unsafe {
        hash::register(lua);
        lua_pop(lua, 1);
        lua_createtable(lua, 0, functions.len() as c_int);
        set_functions(lua, &functions);
    }
}

// Functions of their own rather than closures of one: they travel by name, and errors name them.
lua_function!(md5 => body::<{ Algorithm::Md5 as u8 }>);
lua_function!(sha1 => body::<{ Algorithm::Sha1 as u8 }>);
lua_function!(sha224 => body::<{ Algorithm::Sha224 as u8 }>);
lua_function!(sha256 => body::<{ Algorithm::Sha256 as u8 }>);
lua_function!(sha384 => body::<{ Algorithm::Sha384 as u8 }>);
lua_function!(sha512 => body::<{ Algorithm::Sha512 as u8 }>);
lua_function!(blake2b => body::<{ Algorithm::Blake2b as u8 }>);
lua_function!(blake2s => body::<{ Algorithm::Blake2s as u8 }>);

/// A hash object without argument, the digest of an argument. Nil is no missing argument here: with it, a
/// variable that is nil by mistake would give an object where a digest is expected.
unsafe fn body<const NUMBER: u8>(lua: *mut lua_State) -> Outcome {
    // SAFETY: called by Lua with its state; the string stays at index 1.
    unsafe {
        let algorithm = const { algorithm(NUMBER) };
        if lua_gettop(lua) == 0 {
            hash::push(lua, algorithm);
        } else {
            let bytes = hash::text(lua, 1)?;
            let mut hash = Hash::new(algorithm);
            hash.update(bytes);
            let hex = hash.hex();
            drop(hash);
            push_bytes(lua, hex.as_bytes());
        }
    }
    Ok(1)
}

/// The algorithm with this number, for the functions above.
const fn algorithm(number: u8) -> Algorithm {
    let mut index = 0;
    while Algorithm::ALL[index] as u8 != number {
        index += 1;
    }
    Algorithm::ALL[index]
}
