//! A buffer's content: one parcel, replaced by one store.
//!
//! New content goes where the old one does not stand: into the other half of its pair, or into another pair.
//! Then the word `live` is stored, which names the place. A process that is killed anywhere before that store has
//! changed nothing that anybody sees, and one killed after it has changed everything.

use std::sync::atomic::Ordering;

use super::object::{Guard, Object, half_size, release, retain};
use super::parcel::{Parcel, split_bytes};
use super::place::Place;
use super::unreadable::Unreadable::{self, Damaged};
use crate::shm::{RegionError, SharedBytes};

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
    /// Those who share it cannot reach an object whose handle is in the value.
    #[error("the value has a handle of an object that others who have this one cannot reach")]
    Apart,
    /// The process can map no more memory.
    #[error("the value takes {len} bytes, and this process can map no more memory")]
    Unmapped {
        /// Bytes of the content.
        len: usize,
    },
}

/// Content as it stands in memory. Other processes may write there, if they are mad.
pub struct View<'a> {
    /// The value.
    pub bytes: SharedBytes<'a>,
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
    if !objects.iter().all(|inside| inside.tree_name() == object.tree_name()) {
        return Err(WriteError::Apart);
    }
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
    // SAFETY: nothing else of the object is in use, as demanded of who has a view.
    let place = unsafe { guard.half(pair, half, len) }.ok_or(WriteError::Unmapped { len })?;
    guard.make_writable(pair, half, 0..len).map_err(WriteError::Memory)?;
    parcel.write(|at, part| place.write(at, part));
    step();
    objects.iter().for_each(|object| retain(object));
    step();
    let before = old
        .filter(|old| old.carries)
        .and_then(|old| parcel_at(guard, old))
        .map_or_else(Vec::new, |old| old.ids);
    header.live.store(Place { pair, half, carries: parcel.carries(), len }.to_word(), Ordering::SeqCst);
    step();
    // Of one that was distrusted see `contained`.
    if !before.is_empty() && !object.is_distrusted() {
        release(object.tree_name(), before);
    }
    if let Some(old) = old
        && old.pair != pair
    {
        guard.release_pair(old.pair);
    }
    Ok(())
}

/// The content. Nothing in it is trusted.
///
/// # Safety
/// It is not used any more when this thread writes the buffer or views it anew, also by another guard.
pub unsafe fn view<'a>(guard: &'a Guard<'_>) -> Result<View<'a>, Unreadable> {
    let place = Place::from_word(guard.object().header().live.load(Ordering::SeqCst)).ok_or(Damaged)?;
    guard.reach(place.pair)?;
    parcel_at(guard, place).ok_or(Damaged)
}

fn parcel_at<'a>(guard: &'a Guard<'_>, place: Place) -> Option<View<'a>> {
    // SAFETY: as in `write`.
    let bytes = *unsafe { guard.half(place.pair, place.half, place.len) }?;
    guard.make_readable(place.pair, place.half, place.len)?;
    let (bytes, ids) = if place.carries { split_bytes(bytes)? } else { (bytes, Vec::new()) };
    Some(View { bytes, ids })
}

/// The longest content that any buffer can have, in bytes.
pub fn limit() -> usize {
    half_size(super::object::LARGEST)
}
