//! After a death: what the dead process held, and what was on its way to it or from it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::object::{
    clear_bit, end_creation, end_if_unused, end_unheld, is_unused, objects_of, release, with_header,
};
use super::parcel::{split, split_bytes};
use crate::shm::{self, Mailbox, Registrar, Segment, SharedFile, Slot, Spot, handles, walls};
use crate::sync::Owner;
use crate::sys::clock;

/// Lets others have the locks of a slot's worker, which is dead, and drops its handles.
///
/// The supervisor that does this may be killed meanwhile. Then the next one does all of it again: the slot forgets
/// the worker last, and until then nobody else gets the worker's place, under which its handles are noted.
pub fn bury(registrar: &Registrar, segment: &Segment, slot: Slot<'_>, owner: Owner) {
    registrar.bury(owner);
    let tree = segment.tree_name();
    match given(segment, slot) {
        Some(objects) => objects.into_iter().for_each(|id| take_off(&tree, owner, id, true)),
        None => bury_holdings(&tree, slot.mailbox, owner),
    }
    slot.entry.set_owner(None);
    registrar.vacate(owner);
}

/// The objects that a sandboxed worker was given, in order: all that it can hold or hand on, whatever its mailbox says.
/// `None` for one whose mailbox can be believed, since nothing of a sandboxed job has run in it.
fn given(segment: &Segment, slot: Slot<'_>) -> Option<Vec<u64>> {
    match slot.entry.room.load(Ordering::SeqCst) {
        0 => None,
        walls::AHEAD => Some(Vec::new()),
        _ => shm::terms_of(&segment.room_name(slot.index)).map(|terms| terms.objects),
    }
}

/// Takes a dead worker off an object, which ends if nobody else holds it. `noted`: it was to hold it.
fn take_off(tree: &str, owner: Owner, id: u64, noted: bool) {
    // Of those that it did not note, one that is no object yet is being created by somebody else. Any other that nobody
    // holds may be one whose end a supervisor had begun, which was killed meanwhile.
    let found = with_header(tree, id, |header| (clear_bit(header, owner), is_unused(header)));
    if let Some((held, true)) = found {
        release(tree, end_if_unused(tree, id, noted || held));
    }
}

/// Takes a dead worker off every object that it held. `mailbox` was its own.
fn bury_holdings(tree: &str, mailbox: Mailbox<'_>, owner: Owner) {
    let created = mailbox.creating().load(Ordering::SeqCst);
    if created != 0 {
        take_off(tree, owner, created, true);
        end_creation(tree, created);
        mailbox.creating().store(0, Ordering::SeqCst);
    }
    for held in mailbox.held() {
        let id = held.load(Ordering::SeqCst);
        if id != 0 {
            take_off(tree, owner, id, true);
            held.store(0, Ordering::SeqCst);
        }
    }
    if mailbox.held_more().load(Ordering::SeqCst) != 0 {
        objects_of(tree).for_each(|id| take_off(tree, owner, id, false));
        mailbox.held_more().store(0, Ordering::SeqCst);
    }
}

/// Drops the handles of a message in a slot's mailbox that nobody has taken: the job that never began, or the
/// reply that nobody awaited.
pub fn discard_undelivered(segment: &Segment, slot: Slot<'_>) {
    if slot.mailbox.handles().load(Ordering::SeqCst) == handles::NONE {
        return;
    }
    let tree = segment.tree_name();
    if let Some(known) = given(segment, slot) {
        let room = segment.room_name(slot.index);
        return discard_known(&tree, slot.mailbox, &known, |at, to| {
            SharedFile::open(&room).is_ok_and(|file| file.read_at(at, to))
        });
    }
    discard(slot.mailbox, &tree, |carried, len| {
        let generation = slot.entry.generation.load(Ordering::SeqCst);
        let name = if carried == handles::JOB {
            segment.job_name(slot.index, generation)
        } else {
            segment.reply_name(slot.index, generation)
        };
        let file = SharedFile::open(&name).ok()?;
        Some(split(len, |at, to| file.read_at(at, to))?.1)
    });
}

/// The same for a message that is in its mailbox for sure, of a job in this process's tree.
pub fn discard_inline(mailbox: Mailbox<'_>) {
    if let Some(tree) = shm::Tree::joined() {
        discard(mailbox, tree.name(), |_, _| None);
    }
}

/// The same where nobody who could write there is trusted: `known` are the objects that can be among the handles, in
/// order, and no more than some of these are looked at. `apart` reads a message that is not in the mailbox.
pub fn discard_known(
    tree: &str,
    mailbox: Mailbox<'_>,
    known: &[u64],
    mut apart: impl FnMut(usize, &mut [u8]) -> bool,
) {
    /// Bytes at the end of a message that are looked at: some thousand handles.
    const END: usize = 8 << 10;
    if mailbox.handles().swap(handles::NONE, Ordering::SeqCst) == handles::NONE || known.is_empty() {
        return;
    }
    let len = usize::try_from(mailbox.length()).unwrap_or(usize::MAX);
    let (first, spot) = (len.saturating_sub(END), mailbox.spot(len));
    if spot == Spot::Inline && mailbox.payload().reserve(first..len).is_err() {
        return;
    }
    let ids = split(len, |at, to| {
        let inside = at >= first && at.checked_add(to.len()).is_some_and(|end| end <= len);
        inside
            && match spot {
                Spot::Inline => mailbox.payload().read(at, to),
                Spot::Apart => apart(at, to),
            }
    });
    let mut ids = ids.map(|(_, ids)| ids).unwrap_or_default();
    ids.retain(|id| known.binary_search(id).is_ok());
    release(tree, ids);
}

/// `apart` reads the end of a message that is not in the mailbox.
fn discard(mailbox: Mailbox<'_>, tree: &str, apart: impl FnOnce(u32, usize) -> Option<Vec<u64>>) {
    let carried = mailbox.handles().swap(handles::NONE, Ordering::SeqCst);
    if carried == handles::NONE {
        return;
    }
    let Ok(len) = usize::try_from(mailbox.length()) else { return };
    let ids = match mailbox.spot(len) {
        // A worker may have claimed a length of pages that do not exist, and for which there is no room.
        Spot::Inline if len > Mailbox::READY && mailbox.reserve(len).is_err() => None,
        Spot::Inline => split_bytes(mailbox.payload().first(len)).map(|(_, ids)| ids),
        Spot::Apart => apart(carried, len),
    };
    if let Some(ids) = ids {
        release(tree, ids);
    }
}

/// Does the above for every worker of a session whose supervisors died; the workers died with them.
pub fn bury_session(segment: &Segment) {
    // Without the tree there is nothing to be taken off from.
    let Ok(registrar) = shm::registrar(&segment.tree_name()) else { return };
    for index in 0..shm::SLOTS as u32 {
        let slot = segment.slot(index);
        if let Some(owner) = slot.entry.owner() {
            bury(&registrar, segment, slot, owner);
        }
        // Else its pages may not be there.
        if slot.entry.is_reserved() || slot.entry.own_file() != 0 {
            discard_undelivered(segment, slot);
        }
    }
}

/// Publishes the deaths of hosts to those who wait for their locks, and removes what they had and nobody else has.
pub fn bury_hosts(tree: &str) {
    if shm::registrar(tree).is_ok_and(|registrar| registrar.bury_hosts()) {
        end_unheld(tree);
    }
}

/// The same for this process's tree, now and then: for a host that makes objects, or waits. Sandboxed jobs cannot find out by
/// themselves that a lock's owner is dead.
pub fn look_for_dead_hosts() {
    const INTERVAL: Duration = Duration::from_millis(250);
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let (now, next) = (clock::now(), NEXT.load(Ordering::Relaxed));
    if now < next {
        return;
    }
    NEXT.store(clock::add(now, INTERVAL), Ordering::Relaxed);
    let tree = shm::Tree::joined().filter(|tree| next != 0 && tree.journal().is_none());
    if let Some(tree) = tree {
        bury_hosts(tree.name());
    }
}

/// Removes what dead sessions left, see [`shm::sweep`]. `before` gets each of them while it is still there.
pub fn sweep(before: impl Fn(&Segment)) {
    shm::sweep(|name| {
        if let Ok(segment) = Segment::open(name) {
            before(&segment);
            bury_session(&segment);
        }
    });
}
