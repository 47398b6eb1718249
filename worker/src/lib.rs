//! Worker.
extern crate lua_runtime as _;
