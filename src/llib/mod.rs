//! The functions that scripts call, `llib.thread` and its task objects. No system calls here.

mod async_call;
mod await_call;
pub mod crypto;
pub mod failure;
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
