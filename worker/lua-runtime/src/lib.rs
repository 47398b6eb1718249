//! Lua itself, as a static library for llib's own executables and for unit tests.
//!
//! The crate holds no Rust code: its build script compiles Lua and asks the linker for all of it. The
//! module that stock interpreters load must not link it, since there the interpreter brings Lua.
