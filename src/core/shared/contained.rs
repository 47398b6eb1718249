//! Which handles an object contains that ends: read from its file, by calls that fail where memory would raise
//! SIGBUS. What stands there may have been written by a process gone mad.

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use super::object::{Header, Kind, half_in_file, name_of};
use super::parcel;
use super::place::Place;
use super::ring::Record;
use crate::shm::open_named;

/// The ids of the handles in an object's content.
pub(super) fn handles(tree: &str, id: u64, header: &Header) -> Vec<u64> {
    let found = match header.kind() {
        Some(Kind::Buffer) => Place::from_word(header.live.load(Ordering::SeqCst))
            .filter(|place| place.carries)
            .and_then(|place| in_buffer(&open_named(&name_of(tree, id)).ok()?, place)),
        Some(Kind::Channel) => Record::selected(header)
            .filter(|record| record.count > 0)
            .and_then(|record| open_named(&name_of(tree, id)).ok().map(|file| in_channel(&file, &record))),
        Some(Kind::Mutex) | None => None,
    };
    found.unwrap_or_default()
}

fn in_buffer(file: &OwnedFd, place: Place) -> Option<Vec<u64>> {
    let start = half_in_file(place.pair, place.half)?;
    parcel::split(place.len, |at, to| read(file, start + at, to)).map(|(_, ids)| ids)
}

fn in_channel(file: &OwnedFd, record: &Record) -> Vec<u64> {
    let mut ids = Vec::new();
    let Some(start) = half_in_file(record.pair, record.half) else { return ids };
    let mut read = |at: u64, to: &mut [u8]| {
        // An item may wrap around the ring's end.
        let (first, second) = record.pieces(at, to.len());
        let (head, tail) = to.split_at_mut(first.len());
        read(file, start + first.start, head) && read(file, start + second.start, tail)
    };
    for item in record.items(&mut read) {
        if item.carries
            && let Some((_, mut found)) = parcel::split(item.len, |at, to| read(item.at + at as u64, to))
        {
            ids.append(&mut found);
        }
    }
    ids
}

fn read(file: &OwnedFd, at: usize, to: &mut [u8]) -> bool {
    to.is_empty() || rustix::io::pread(file, &mut *to, at as u64).is_ok_and(|count| count == to.len())
}
