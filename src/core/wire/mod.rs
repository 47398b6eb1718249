//! What host, supervisor and worker say to each other: types without behaviour.
//!
//! No I/O, no descriptors, no Lua. [`control`] travels over `ipc-channel` between host and zygote, which
//! trust each other; [`settings`] go with each job, and [`limits`] and [`sandbox`] with them; a [`charter`] is what they
//! are for the jobs of a sandboxed job;
//! [`attributes`] are what the host passes on to workers; [`pooled`] is what goes with a pool's; [`cause`] and [`kind`] are numbers that stand in shared
//! memory.

pub mod attributes;
pub mod cause;
pub mod charter;
pub mod control;
pub mod kind;
pub mod limits;
pub mod monitor;
pub mod pooled;
pub mod sandbox;
pub mod settings;
pub mod size;
pub mod terms;
