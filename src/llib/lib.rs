//! llib runs Lua functions in worker processes: the functions that scripts call, `llib.thread` and its task objects.
//!
//! What `require "llib"` loads is this package built as a shared library. No system calls here: what a job needs of
//! the system is done in `llib_host`.

#![allow(unsafe_code)]

#[cfg(test)]
extern crate lua_runtime as _;

mod about;
mod after_fork;
mod async_call;
mod await_call;
#[cfg(test)]
mod closing_tests;
mod death;
mod deliver;
mod inherit;
mod methods;
mod module;
mod nested;
mod option;
mod options;
mod pool;
mod preload;
mod refresh;
mod sandbox;
mod session;
mod signature;
mod sleep;
mod source;
mod states;
mod task;

pub use after_fork::{call_after_fork, loading};
pub use module::open;
pub use signature::bytecode;

llib_lua::lua_function! {
    /// The module's opener, which Lua's `require "llib"` calls.
    ///
    /// # Safety
    /// Called by Lua, as a module's opener.
    #[unsafe(no_mangle)]
    pub luaopen_llib => open
}
