//! What several processes share: buffers, channels, mutexes.
//!
//! Owns the objects' segments, what stands in them, who holds them, and their end. Knows no Lua: values are
//! parcels of bytes here. The page that explains it is `docs/shared-objects.md`.

#![allow(unsafe_code)]

pub mod buffer;
mod bury;
pub mod channel;
mod contained;
mod delivery;
mod fuzz;
mod object;
mod parcel;
mod place;
mod reach;
mod ring;
mod snapshot;
#[cfg(test)]
mod stops;
mod unreadable;
mod wipe;

pub use bury::{
    bury, bury_hosts, bury_session, discard_inline, discard_known, discard_undelivered, look_for_dead_hosts,
    sweep,
};
pub use delivery::take_over;
pub use fuzz::fuzz_nest;
pub use object::{
    Change, Guard, Header, Kind, LockError, Object, ObjectError, attach, create, end_unheld, release, retain,
};
pub use parcel::{MOST_HANDLES, Parcel, open_parcel, tail};
pub use reach::attach_up_to;
pub use snapshot::{ObjectView, objects};
