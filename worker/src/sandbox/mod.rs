//! Turning a job's limits into the kernel's: one concept of it a file.
//!
//! Decides nothing: what to enforce arrives with the job, as `llib::wire` describes it. Restricting a process
//! happens in this folder alone and so only in the worker program, never in a host that loads the module.

pub(crate) mod limits;
