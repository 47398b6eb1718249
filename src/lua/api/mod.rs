//! The functions that scripts call, `llib.thread` and its task objects. No system calls here.

mod about;
mod async_call;
mod await_call;
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
mod sandbox;
mod session;
mod signature;
mod sleep;
mod source;
mod states;
mod task;

pub use about::set_self;
pub use module::open;
pub use signature::bytecode;
pub use task::TASK;
