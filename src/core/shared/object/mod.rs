//! Objects of a tree: a segment each, that lives as long as anybody anywhere has a handle of it.

mod guard;
mod halves;
mod header;
mod holders;
mod segment;

pub use guard::{Change, Guard};
pub(super) use halves::{LARGEST, half_in_file, half_size};
pub use header::{Header, Kind};
pub(super) use holders::release_held;
pub(super) use holders::{clear_bit, end_creation, end_if_unused, with_header};
pub use holders::{release, retain};
pub(super) use segment::attach_with;
pub(super) use segment::name_of;
pub use segment::{LockError, Object, ObjectError, attach, create};
