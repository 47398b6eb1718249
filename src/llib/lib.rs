//! llib runs Lua functions in worker processes.

#[cfg(test)]
extern crate lua_runtime as _;

pub mod crypto;
pub mod dispatch;
pub mod lua;
pub mod observe;
pub mod shared;
pub mod shm;
pub mod sync;
pub mod sys;
pub mod wire;

lua_function! {
    /// The module's opener, which Lua's `require "llib"` calls.
    ///
    /// # Safety
    /// Called by Lua, as a module's opener.
    #[unsafe(no_mangle)]
    #[allow(unsafe_code)]
    pub luaopen_llib => lua::api::open
}
