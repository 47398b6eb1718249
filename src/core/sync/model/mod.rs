//! The lock under the model checker: every interleaving of a few processes, each of which may die before any
//! of its steps.
//!
//! [`kernel`] is the machine: the lock word, the published owners, the sleepers. [`process`] runs the very
//! algorithm of [`super::lock`] on it, as [`super::held`] does on the real one. [`claims`] are the tests.
//!
//! `loom` runs a model once for each order of its atomic operations that can make a difference, and for each
//! older value that a load may see. It treats sequentially consistent operations as acquire and release, so it
//! explores more than can happen. It reports a deadlock where every process sleeps: that is what a lost wake-up
//! looks like here, as nobody wakes by the clock.
//!
//! # What can wake a sleeper
//!
//! A wake-up on the word; the death of the owner it watches; and a slice, but in one case alone: somebody died
//! who carried a wake-up on, see [`process::Process`]. The real lock has slices all the time. That the model
//! does without them shows what they are needed for, and that nobody waits for one while nobody dies.

mod claims;
mod kernel;
mod process;
