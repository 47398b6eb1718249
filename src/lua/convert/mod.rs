//! Lua values to bytes and back.
//!
//! [`encode()`] reads values from the Lua stack and writes a [`Message`]; [`decode()`] reads a message from
//! memory and pushes the values. Both work in one pass over the raw Lua API: no metamethod runs, no value
//! gets a registry reference, and nesting is kept in a list of frames on the Rust heap, so that depth is
//! data and never recursion. [`decode_field()`] finds one field of a message and builds no more than that.
//!
//! What the room owns: the bytes (`format`), what travels and how, the path named in an error. What it
//! may not do: allocate shared memory, start or wait for anything, know what a task or buffer is. Types of
//! llib itself enter through [`Handles`] (shared ones) and [`ByValue`] (copied ones). The page *Values* of
//! `docs` says the same for users.
//!
//! Three rules hold everywhere in here.
//!
//! - A Lua error is a `longjmp`. Every Lua call that may raise therefore runs below `protect::protected`,
//!   and no Rust value with a destructor lives on a frame below it: vectors and maps belong to the struct
//!   that the caller of `protected` owns.
//! - A reader of a message trusts nothing in it: the memory may change while it is read.
//! - The Lua stack holds a bounded part of the nesting; see `stack`.

mod by_value;
mod classes;
mod code;
mod decode;
mod encode;
mod error;
mod fields;
mod finalizers;
mod format;
pub mod mentions;
mod names;
mod options;
mod protect;
mod required;
mod sink;
mod source;
mod stack;
#[cfg(test)]
mod tests;
mod text;

pub use by_value::ByValue;
pub use classes::forget_classes;
pub use decode::{Field, MEMORY_FACTOR, decode, decode_field, decode_keeping, fuzz_decode, register_inert};
pub use encode::{Message, encode};
pub use error::{DecodeError, EncodeError};
pub use fields::{library_functions, push_library};
pub use finalizers::{may_have_finalizers, note_code};
pub use names::{Known, confine_names, know_functions, push_own, push_standard, remember_names, set_own};
pub use options::{DecodeOptions, EncodeOptions, GlobalMode, Handles, NoHandles, Roots};
pub use required::loaders_state;
pub use source::Source;
pub use text::write_text;
