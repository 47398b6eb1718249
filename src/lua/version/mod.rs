//! The one room that knows which Lua this is.
//!
//! llib is built for one Lua at a time, chosen by a feature. The rest of the code is written against one C API:
//! that of Lua 5.4, as [`ffi`] has it for every version, and the words of this room for what that API cannot
//! say or what versions do differently. What scripts notice of it is in `docs/lua-versions.md`.
//!
//! | file | owns |
//! |---|---|
//! | [`ffi`] | Lua's C API; what older versions lack is filled in |
//! | [`chunk`] | the form of precompiled chunks |
//! | [`prototypes`], `factory` | keeping received code together with LuaJIT's traces |
//! | [`collector`] | holding the garbage collector back |
//! | [`upvalue`] | variables of functions: upvalues, and environments before Lua 5.2 |
//! | [`environment`] | tables of globals of their own, before Lua 5.2 |
//! | [`function`] | which C functions are the same |
//! | [`state`] | main thread, loading a library, random numbers |
//! | [`jit`] | LuaJIT's compiler, and what it alone keeps in no table |
//! | [`text`] | loading text alone |
//! | [`operator`] | operators on values |
//! | [`unwind`] | panics beside Lua's own way of raising errors |

use std::ffi::CStr;

mod chosen;
pub mod chunk;
#[cfg(feature = "lua51")]
mod closure;
pub mod collector;
pub mod environment;
mod factory;
pub mod ffi;
pub mod function;
pub mod jit;
pub mod operator;
pub mod prototypes;
pub mod state;
pub mod text;
pub mod unwind;
pub mod upvalue;

/// The version as people say it.
pub const NAME: &str = VERSION.0;

/// The version as directories and environment variables name it. LuaJIT shares them with Lua 5.1.
pub const NUMBER: &str = VERSION.1;

const VERSION: (&str, &str) = if cfg!(feature = "lua55") {
    ("Lua 5.5", "5.5")
} else if cfg!(feature = "lua54") {
    ("Lua 5.4", "5.4")
} else if cfg!(feature = "lua53") {
    ("Lua 5.3", "5.3")
} else if cfg!(feature = "lua52") {
    ("Lua 5.2", "5.2")
} else if cfg!(feature = "lua51") {
    ("Lua 5.1", "5.1")
} else {
    ("LuaJIT", "5.1")
};

/// Whether this is LuaJIT.
pub const IS_JIT: bool = cfg!(feature = "luajit");

/// Whether a state gets its memory from an allocator of ours. LuaJIT has 47 bits for an address, and a source of its own
/// that keeps to them; only on this machine every address has no more.
pub const TAKES_ALLOCATOR: bool = !IS_JIT || cfg!(target_arch = "x86_64");

/// Whether Lua collects its garbage before it gives up for want of memory.
pub const COLLECTS_IN_NEED: bool = cfg!(not(any(feature = "lua51", feature = "luajit")));

/// Field of `package` with the functions that `require` asks.
pub const SEARCHERS: &CStr =
    if cfg!(any(feature = "lua51", feature = "luajit")) { c"loaders" } else { c"searchers" };

/// Whether there is `package.searchpath`.
pub const HAS_SEARCHPATH: bool = cfg!(not(feature = "lua51"));

/// Whether `load` and its like take a mode that tells text from precompiled code.
pub const HAS_LOAD_MODE: bool = cfg!(not(feature = "lua51"));

/// Whether the stock interpreter makes the global `arg` before it runs anything, and calls the script with what is in it
/// then; otherwise it makes it for the script.
pub const ARG_COMES_FIRST: bool = cfg!(not(any(feature = "lua51", feature = "lua52")));
