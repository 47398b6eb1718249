//! Harness of the tests: runs Lua scripts in processes of their own and looks at what the system shows of
//! them.
//!
//! | file | owns |
//! |---|---|
//! | [`binaries`] | where the programs under test lie; builds them if need be |
//! | [`scratch`] | directories that vanish with their test |
//! | [`script`] | what to run, and how: [`Script`] |
//! | [`session`] | a host that runs, line by line, and its end: [`Session`], [`Outcome`] |
//! | [`filter`] | a kernel that lacks a system call; the filter of a process |
//! | [`process`] | the process table, by /proc |
//! | [`shm`] | the files of shared memory |
//! | [`version`] | which Lua it is |
//! | [`wait`] | waiting for an event, with a deadline |
//!
//! Nothing here claims anything about llib's behaviour; that is what the tests do.

pub mod binaries;
pub mod filter;
pub mod process;
pub mod scratch;
pub mod script;
pub mod session;
pub mod shm;
pub mod version;
pub mod wait;

pub use process::Process;
pub use scratch::Scratch;
pub use script::{Interpreter, Script};
pub use session::{Outcome, Session};
pub use wait::until;
