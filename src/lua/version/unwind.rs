//! Panics beside Lua's own way of raising errors.
//!
//! PUC Lua raises by `longjmp`, which does not notice that it passes `catch_unwind`. LuaJIT raises by unwinding
//! the stack: in Rust's eyes a foreign exception, and `catch_unwind` ends the process when it meets one. An error
//! such as "not enough memory" is ordinary, a panic is a defect; so under LuaJIT errors pass and a panic, which
//! LuaJIT cannot take either, ends the process.

use std::any::Any;

/// Runs code in which Lua may raise errors, and catches a panic where that can be done.
pub fn catch_panic<T>(code: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    if super::IS_JIT {
        return Ok(code());
    }
    // The callers' state is the callers' concern: they give up what they were doing.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(code))
}
