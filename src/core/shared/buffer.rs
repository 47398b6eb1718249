//! A buffer's content: one parcel, replaced by one store.
//!
//! New content goes where the old one does not stand: into the other half of its pair, or into another pair.
//! Then the word `live` is stored, which names the place. A process that is killed anywhere before that store has
//! changed nothing that anybody sees, and one killed after it has changed everything.

use std::sync::atomic::Ordering;

use super::object::{Guard, Object, half_size, release, retain};
use super::parcel::{self, Parcel};
use super::place::Place;
use super::unreadable::Unreadable::{self, Damaged};
use crate::shm::RegionError;

/// Content stays in its pair up to this one, of 32 KiB a half, when it becomes smaller.
const STAYS: u32 = 4;

/// Why a buffer cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The content is longer than any of the buffer can be.
    #[error("the value takes {len} bytes, and there is room for {limit}")]
    TooLong {
        /// Its length in bytes.
        len: usize,
        /// The longest one.
        limit: usize,
    },
    /// The file system of shared memory is full.
    #[error("{0}")]
    Memory(RegionError),
    /// The process can map no more memory.
    #[error("the value takes {len} bytes, and this process can map no more memory")]
    Unmapped {
        /// Bytes of the content.
        len: usize,
    },
}

/// Content as it stands in memory: valid as long as the guard is held. Other processes may write there all the
/// same, if they are mad.
pub struct View {
    /// The value.
    pub start: *const u8,
    /// Bytes of the value.
    pub len: usize,
    /// The objects whose handles are in it.
    pub ids: Vec<u64>,
}

/// Replaces the content. `step` is called after each store that others can see.
pub fn write(
    guard: &Guard<'_>,
    parcel: Parcel<'_>,
    objects: &[&Object],
    mut step: impl FnMut(),
) -> Result<(), WriteError> {
    let object = guard.object();
    let header = object.header();
    let old = Place::from_word(header.live.load(Ordering::SeqCst));
    let len = parcel.len();
    let too_long = || WriteError::TooLong { len, limit: object.capacity() };
    let fitting = guard.pair_for(len).ok_or_else(too_long)?;
    let (pair, half) = match old {
        // A little more room than needed is better than a move.
        Some(old) if old.pair == fitting || (old.pair > fitting && old.pair <= STAYS) => {
            (old.pair, 1 - old.half)
        }
        _ => (fitting, 0),
    };
    let start = guard.half(pair, half, len).ok_or(WriteError::Unmapped { len })?;
    guard.make_writable(pair, half, len).map_err(WriteError::Memory)?;
    // SAFETY: `len` bytes are mapped from `start` on and exist. The lock is held, so that nobody reads or writes
    // there but processes gone mad, and there is no reference to these bytes.
    unsafe { parcel.write(start) };
    step();
    objects.iter().for_each(|object| retain(object));
    step();
    let before = old.filter(|old| old.carries).and_then(|old| ids(guard, old)).unwrap_or_default();
    header.live.store(Place { pair, half, carries: parcel.carries(), len }.to_word(), Ordering::SeqCst);
    step();
    if !before.is_empty() {
        release(object.tree_name(), before);
    }
    if let Some(old) = old
        && old.pair != pair
    {
        guard.release_pair(old.pair);
    }
    Ok(())
}

/// The content, not to be used after the guard. Nothing in it is trusted.
pub fn view(guard: &Guard<'_>) -> Result<View, Unreadable> {
    let place = Place::from_word(guard.object().header().live.load(Ordering::SeqCst)).ok_or(Damaged)?;
    guard.reach(place.pair)?;
    let start = guard.half(place.pair, place.half, place.len).ok_or(Damaged)?;
    guard.make_readable(place.pair, place.half, place.len).ok_or(Damaged)?;
    let (len, ids) = if place.carries {
        // SAFETY: mapped and made sure of just now; the guard is held.
        unsafe { parcel::split_in_memory(start, place.len) }.ok_or(Damaged)?
    } else {
        (place.len, Vec::new())
    };
    Ok(View { start, len, ids })
}

fn ids(guard: &Guard<'_>, place: Place) -> Option<Vec<u64>> {
    let start = guard.half(place.pair, place.half, place.len)?;
    guard.make_readable(place.pair, place.half, place.len)?;
    // SAFETY: mapped and made sure of just now; the guard is held.
    unsafe { parcel::split_in_memory(start, place.len) }.map(|(_, ids)| ids)
}

/// The longest content that any buffer can have, in bytes.
pub fn limit() -> usize {
    half_size(super::object::LARGEST)
}
