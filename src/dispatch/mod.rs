//! The host's side of a job: starting the supervisors, handing jobs over, waiting, killing.
//!
//! Takes and gives bytes and wire types; knows no Lua. The page that explains it is
//! `docs/architecture.md`.

mod broker;
mod find;
mod job;
mod launch;
mod output;
pub mod pool;
mod preload;
mod session;
mod start;
mod supervisor;
mod traced;

pub use broker::{Broker, BrokerError, serve_in_sandbox};
pub use find::NotFound;
pub(crate) use find::{find_worker, note_module};
pub use job::{Death, Job, ReplyBytes, Settled, Waited};
pub use launch::{DispatchError, Launch, Walls};
pub use output::Output;
pub use preload::{Preloaded, preload};
pub(crate) use session::OWN_WORKER;
pub use session::{Patience, Session, Stats};
pub use start::{Host, StartError};
pub use traced::begin_run;

/// Makes the running executable the worker program of this process: it is one of llib's own.
pub fn serve_as_worker(program: std::path::PathBuf) {
    // A second call names the same executable.
    let _ = OWN_WORKER.set(program);
}
