//! `thread.pool(opts)`: the pool object.

mod functions;
mod handle;
mod map;
mod methods;
mod new;
mod options;
mod submit;

pub(super) use methods::register;
pub(super) use new::new;
