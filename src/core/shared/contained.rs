//! Which handles an object contains that ends: read from its file, by calls that fail where memory would raise
//! SIGBUS. What stands there may have been written by a process gone mad.

use std::sync::atomic::Ordering;

use super::object::{Header, Kind, half_in_file};
use super::parcel;
use super::place::Place;
use super::ring::Record;
use crate::shm::SharedFile;

/// The ids of the handles in an object's content. None of one that was distrusted: whoever writes there could name any object, which
/// would end for others. What was in it before lives as long as the tree.
pub(super) fn handles(file: &SharedFile, header: &Header) -> Vec<u64> {
    let found = match header.kind() {
        Some(Kind::Buffer) => Place::from_word(header.live.load(Ordering::SeqCst))
            .filter(|place| place.carries)
            .and_then(|place| in_buffer(file, place)),
        Some(Kind::Channel) => {
            Record::selected(header).filter(|record| record.count > 0).map(|record| in_channel(file, &record))
        }
        Some(Kind::Mutex) | None => None,
    };
    found.filter(|ids| !ids.is_empty() && !file.is_marked()).unwrap_or_default()
}

fn in_buffer(file: &SharedFile, place: Place) -> Option<Vec<u64>> {
    let start = half_in_file(place.pair, place.half)?;
    parcel::split(place.len, |at, to| file.read_at(start + at, to)).map(|(_, ids)| ids)
}

fn in_channel(file: &SharedFile, record: &Record) -> Vec<u64> {
    let mut ids = Vec::new();
    let Some(start) = half_in_file(record.pair, record.half) else { return ids };
    let mut read = |at: u64, to: &mut [u8]| {
        // An item may wrap around the ring's end.
        let (first, second) = record.pieces(at, to.len());
        let (head, tail) = to.split_at_mut(first.len());
        file.read_at(start + first.start, head) && file.read_at(start + second.start, tail)
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
