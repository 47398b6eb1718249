//! Objects of a tree: a segment each, that lives as long as anybody anywhere has a handle of it.

mod header;
mod holders;
mod segment;

pub use header::{Header, Kind};
pub(super) use holders::release_held;
pub(super) use holders::{clear_bit, end_creation, end_if_unused, with_header};
pub use holders::{release, retain};
pub use segment::{Change, Guard, LockError, Object, ObjectError, attach, attach_whole, create};
pub(super) use segment::{LARGEST, half_in_file, half_size, name_of};
