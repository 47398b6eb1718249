//! How much of an object a sandboxed job is given.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::object::{Kind, LARGEST, Object, ObjectError, attach_with, half_size};
use super::place::Place;
use super::ring::Record;
use super::wipe::wipe;

/// As [`attach`](super::attach), mapped now as far as content can ever reach from here: for a process that will not be
/// able to map more. It can see and write content of `most` bytes, rounded up to the next half, or as much as stands
/// there now. So machine code in it can make the object take up no more than some four times that. What stood there before is wiped.
pub fn attach_up_to(id: u64, most: usize) -> Result<Arc<Object>, ObjectError> {
    attach_with(id, |object, file| {
        wipe(object, file)?;
        let wanted = (0..LARGEST).find(|pair| half_size(*pair) >= most).unwrap_or(LARGEST);
        Ok(object.end_with(wanted.max(pair_in_use(object)))?)
    })
}

/// The pair in which content stands, as the object says; 0 where that makes no sense.
fn pair_in_use(object: &Object) -> u32 {
    let header = object.header();
    match object.kind() {
        Kind::Buffer => Place::from_word(header.live.load(Ordering::SeqCst)).map_or(0, |place| place.pair),
        Kind::Channel => Record::selected(header).map_or(0, |record| record.pair),
        Kind::Mutex => 0,
    }
}
