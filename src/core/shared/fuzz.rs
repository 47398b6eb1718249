//! What the fuzz target `nest` calls.

use std::sync::atomic::Ordering;

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

use super::{discard_known, open_parcel};
use crate::shm::{Mailbox, Nest, Shape, Spot};
use crate::wire::limits::Limits;
use crate::wire::settings::Settings;

/// Reads a nest in which these bytes stand, as a zygote and its workers read one that its owner has scribbled on. Every outcome but a
/// crash is right.
#[doc(hidden)]
pub fn fuzz_nest(data: &[u8]) {
    let Some(shape) = Shape::new(2, 64 << 10) else { return };
    let Ok(file) = memfd_create("nest", MemfdFlags::CLOEXEC) else { return };
    if ftruncate(&file, shape.len() as u64).is_err() {
        return;
    }
    let Ok(nest) = Nest::map(&file, 0, shape) else { return };
    if nest.reserve().is_err() {
        return;
    }
    // Half of the bytes for what the owner writes of its jobs, half for the jobs themselves.
    let (controls, mailbox) = data.split_at(data.len() / 2);
    let places = nest.places();
    for (at, bytes) in [(0, controls), (shape.len() - shape.len() / places, mailbox)] {
        if rustix::io::pwrite(&file, bytes, at as u64).is_err() {
            return;
        }
    }
    for index in 0..places {
        let slot = nest.slot(index);
        let entry = slot.entry;
        let _ = (entry.state(), entry.owner(), entry.limits().least(Limits::default()), entry.cause());
        let _ = nest.orders(index).wish();
        let mailbox = slot.mailbox;
        let length = usize::try_from(mailbox.length()).unwrap_or(usize::MAX);
        let spot = mailbox.spot(length);
        if spot == Spot::Inline && length <= Mailbox::READY {
            let stored = mailbox.payload().first(length);
            let _ = Settings::from_bytes(&stored.copy());
            let carries = mailbox.handles().load(Ordering::SeqCst) != 0;
            let (value, ids) = open_parcel(stored, carries);
            assert!(value.len() + ids.len() * 8 <= length, "a message is no longer than its bytes");
        }
        // No object has such a number: names of none are looked for.
        discard_known("/llib.fuzz", mailbox, &[u64::MAX], |_, _| false);
        mailbox.ring();
        mailbox.reset();
    }
}
