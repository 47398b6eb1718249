//! Lua values to bytes and back.
