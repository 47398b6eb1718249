//! Objects of a tree: a segment each, that lives as long as anybody anywhere has a handle of it.

mod attached;
mod guard;
mod halves;
mod header;
mod holders;
mod segment;

pub use attached::{attach, create, end_unheld, release, retain};
pub(super) use attached::{attach_with, end_creation, objects_of, release_held, with_header};
pub(super) use guard::KEPT;
pub use guard::{Change, Guard, LockError};
pub(super) use halves::{LARGEST, half_in_file, half_size};
pub(super) use header::SMALL_AT;
#[cfg(test)]
pub(super) use header::name_of;
pub use header::{Header, Kind};
pub(super) use holders::{clear_bit, end_if_unused, is_unused};
pub use segment::{Object, ObjectError};
