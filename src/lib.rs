//! llib runs Lua functions in worker processes.

#[cfg(test)]
extern crate lua_runtime as _;

pub mod lua;
