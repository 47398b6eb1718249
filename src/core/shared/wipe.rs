//! Making zero what an object's memory holds beside its present content: values that were replaced, items that were taken out, what
//! somebody wrote where nothing belongs. A sandboxed job may look at all of the memory, and was given the content.

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::object::{Guard, KEPT, Kind, Object, ObjectError, SMALL_AT, half_in_file};
use super::place::Place;
use super::ring::Record;
use crate::shm::{RegionError, SharedFile};
use crate::sys::{PAGE, clock};

/// How long the lock is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// Does it, with the object's lock, since writers prepare what is not content yet. `file` is the object's.
pub(super) fn wipe(object: &Object, file: &SharedFile) -> Result<(), ObjectError> {
    // Nobody reads or writes the content of a mutex, and its lock may be held for long.
    let guard = match object.kind() {
        Kind::Mutex => None,
        Kind::Buffer | Kind::Channel => {
            let guard = object.lock_brief(Some(clock::after(PATIENCE)), &mut || true);
            Some(guard.map_err(|_| ObjectError::Busy)?)
        }
    };
    let len = file.len().map_err(file.failed("wipe"))?;
    let mut at = SMALL_AT;
    for kept in content(object, guard.as_ref()) {
        wipe_range(file, at..kept.start.min(len))?;
        at = at.max(kept.end);
    }
    Ok(wipe_range(file, at..len)?)
}

/// Where the present content stands in the file, in order. What else names places is cleared.
fn content(object: &Object, guard: Option<&Guard<'_>>) -> Vec<Range<usize>> {
    let header = object.header();
    let kind = guard.map(|_| object.kind());
    if kind != Some(Kind::Buffer) {
        header.live.store(0, Ordering::SeqCst);
    }
    let selected = header.selected.load(Ordering::SeqCst) & 1;
    for (place, record) in header.records.iter().enumerate() {
        if kind != Some(Kind::Channel) || place != selected as usize {
            record.iter().for_each(|number| number.store(0, Ordering::SeqCst));
        }
    }
    let found = match kind {
        Some(Kind::Buffer) => Place::from_word(header.live.load(Ordering::SeqCst))
            .and_then(|place| Some((half_in_file(place.pair, place.half)?, 0..place.len, 0..0))),
        Some(Kind::Channel) => Record::selected(header).and_then(|record| {
            let (end, start) = record.pieces(record.head, (record.tail - record.head) as usize);
            Some((half_in_file(record.pair, record.half)?, start, end))
        }),
        _ => None,
    };
    let Some((start, first, second)) = found else { return Vec::new() };
    [first, second]
        .into_iter()
        .map(|part| start + part.start..start + part.end)
        .filter(|part| !part.is_empty())
        .collect()
}

/// Small pairs keep their pages, of which others have made sure; larger ones get them anew before they are written.
fn wipe_range(file: &SharedFile, range: Range<usize>) -> Result<(), RegionError> {
    let kept = half_in_file(KEPT + 1, 0).unwrap_or(PAGE);
    let middle = kept.clamp(range.start, range.end.max(range.start));
    file.write_zeros(range.start..middle)?;
    file.give_back(middle..range.end)
}

#[cfg(test)]
mod tests {
    use super::super::buffer;
    use super::super::channel;
    use super::super::object::{create, name_of};
    use super::super::parcel::Parcel;
    use super::*;

    /// All bytes of the object's file from the first content on, of which there is any.
    fn bytes(object: &Object) -> Vec<u8> {
        let file = SharedFile::open(&name_of(object.tree_name(), object.id())).unwrap();
        let mut bytes = vec![0; 2 << 20];
        assert!(file.read_at(SMALL_AT, &mut bytes));
        bytes
    }

    fn wipe_it(object: &Object) {
        let file = SharedFile::open(&name_of(object.tree_name(), object.id())).unwrap();
        wipe(object, &file).unwrap();
    }

    fn has(object: &Object, text: &[u8]) -> bool {
        bytes(object).windows(text.len()).any(|window| window == text)
    }

    fn set(object: &Object, value: &[u8]) {
        let guard = object.try_lock().unwrap();
        buffer::write(&guard, Parcel { content: &value, ids: &[] }, &[], || ()).unwrap();
    }

    #[test]
    fn of_a_buffer_the_present_value_alone_is_left() {
        for len in [5usize, 700, 3000, 20_000, 100_000] {
            let object = create(Kind::Buffer).unwrap();
            for _ in 0..3 {
                set(&object, &b"secret ".repeat(len.div_ceil(7)));
            }
            let present = b"present".repeat(len.div_ceil(14).max(1));
            set(&object, &present);
            // A large pair that nobody wants any more has gone already.
            assert_eq!(has(&object, b"secret"), len < 50_000, "{len}");
            wipe_it(&object);
            assert!(!has(&object, b"secret"), "{len}");
            let guard = object.try_lock().unwrap();
            // SAFETY: nothing writes the buffer meanwhile.
            let view = unsafe { buffer::view(&guard) }.unwrap();
            assert_eq!(view.bytes.copy(), present);
            drop(guard);
            set(&object, b"another");
            assert!(has(&object, b"another"));
        }
    }

    #[test]
    fn of_a_channel_the_present_items_alone_are_left_also_around_the_end() {
        let object = create(Kind::Channel).unwrap();
        channel::found(&object, 0);
        let push = |value: &[u8]| {
            let guard = object.try_lock().unwrap();
            channel::push(&guard, Parcel { content: &value, ids: &[] }, &[], || ()).unwrap();
        };
        let pop = || match channel::pop(&object.try_lock().unwrap(), || ()).unwrap() {
            channel::Popped::Item(item) => item.bytes,
            other => panic!("{other:?}"),
        };
        for round in 0..60 {
            push(b"secret, of some length");
            push(&[round; 30]);
            pop();
            wipe_it(&object);
            assert!(!has(&object, b"secret"), "{round}");
            assert_eq!(pop(), [round; 30]);
        }
    }

    #[test]
    fn what_somebody_wrote_where_nothing_belongs_goes_too() {
        let object = create(Kind::Mutex).unwrap();
        let file = SharedFile::open(&name_of(object.tree_name(), object.id())).unwrap();
        file.write_at(PAGE - 9, &&b"secret"[..]).unwrap();
        object.header().live.store(7, Ordering::SeqCst);
        wipe_it(&object);
        assert!(!has(&object, b"secret") && object.header().live.load(Ordering::SeqCst) == 0);
    }
}
