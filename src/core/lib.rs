//! What the processes of llib share.
//!
//! | module | owns | may not |
//! |---|---|---|
//! | [`sys`] | system calls of host and worker | fork, handle signals, start threads |
//! | [`wire`] | types that processes share | do anything |
//! | [`sync`] | the lock: its word, its transitions, who holds what | know segments |
//! | [`observe`] | what processes write of themselves for whoever looks on | decide anything |
//! | [`shm`] | segments, their layout, the state tables | decide anything |
//! | [`shared`] | buffers, channels, mutexes: content, holders, their end | know values |
//!
//! Each uses those above it and none below. Nothing here knows Lua: the manifest has none.

pub mod observe;
pub mod shared;
pub mod shm;
pub mod sync;
pub mod sys;
pub mod wire;
