//! The host's side of a pool: which jobs there are, where each stands, and what became of it.
//!
//! A worker of a pool is a worker like any other, whose job is to serve the pool; so its zygote looks after it as after
//! any other. Jobs go through the pool's memory, see [`llib_core::shm::PoolMemory`]. More jobs than there are slots wait
//! here, in private memory, and go in whenever the host comes by.
//!
//! One thread uses a pool: the one of its Lua state.

mod crew;
mod ending;
mod placing;
mod pooled;
mod renewal;
mod result;
mod state;
mod succession;
mod wait;
mod watch;

pub use ending::{close, limit_time};
pub use pooled::Pooled;
pub use state::{Counts, Plan, Pool, Standing, Ticket};
