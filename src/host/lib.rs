//! The host's side of a job: starting the supervisors, handing jobs over, waiting, killing.
//!
//! Takes and gives bytes and wire types; knows no Lua. The page that explains it is
//! `docs/architecture.md`.

mod attributes;
mod broker;
mod current;
mod dispatched;
mod handover;
mod job;
mod launch;
mod monitor;
mod nested;
mod output;
pub mod pool;
mod preload;
mod program;
mod reap;
mod reply;
mod session;
mod start;
mod supervisor;
mod traced;
mod wait;

pub use broker::{Broker, BrokerError, serve_in_sandbox};
pub use dispatched::{Death, Dispatched, Paused, Settled, Stopper};
pub use job::Job;
pub use launch::{DispatchError, Launch, Walls};
pub use output::Output;
pub use preload::{Preloaded, preload};
pub use program::{NotFound, find_worker, note_module, serve_as_worker};
pub use reply::{ReplyBytes, ReplyError};
pub use session::{Session, Stats};
pub use start::{Host, StartError};
pub use wait::{NotYet, Patience};
