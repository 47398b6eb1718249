//! llib runs Lua functions in worker processes: the functions that scripts call, `llib.thread` and its task objects.
//!
//! What `require "llib"` loads is this package built as a shared library. No system calls here: what a job needs of
//! the system is done in `llib_host`.

#![allow(unsafe_code)]

#[cfg(test)]
extern crate lua_runtime as _;

mod async_call;
mod await_call;
mod module;
mod nested;
mod options;
mod pool;
mod preload;
mod sandbox;
mod signature;
mod sleep;
mod task;

pub use module::{open, set_self};
pub use signature::bytecode;
pub use task::TASK;

llib_lua::lua_function! {
    /// The module's opener, which Lua's `require "llib"` calls.
    ///
    /// # Safety
    /// Called by Lua, as a module's opener.
    #[unsafe(no_mangle)]
    pub luaopen_llib => open
}
