//! Who holds an object, and what happens when nobody does any more.
//!
//! A process that has handles of an object sets its bit in the object's header once, and clears it with the last
//! of them. A worker notes in its mailbox, beforehand, which objects it holds; when it is dead its zygote clears
//! the bits. Setting or clearing a bit twice does no harm, so a death between any two steps loses nothing.
//!
//! Handles inside messages and other objects count in `references` instead: one more before the message or
//! object is published, one less after its handle was taken out. A process that dies between the two steps of
//! either leaves a count too many; that object then stays until its tree ends.

use std::sync::atomic::Ordering;

use rustix::fs::fstat;

use super::header::Header;
use super::segment::{Object, attached_here, name_of};
use crate::shared::contained;
use crate::shm::{Mapping, PAGE, Tree, is_confined, open_named, unlink_named};
use crate::sync::Owner;
use crate::sys::process;

/// In `references`: one handle.
const ONE: u64 = 1;
/// In `references`: one that was ever made.
const MADE: u64 = 1 << 32;
const COUNT: u64 = MADE - 1;

/// A note that this process is creating an object, until it is dropped. An object that nobody holds yet would stay
/// for ever if its creator died.
pub(super) struct Creation(&'static Tree);

impl Creation {
    pub(super) fn of(tree: &'static Tree, id: u64) -> Creation {
        if let Some(mailbox) = tree.journal() {
            mailbox.creating().store(id, Ordering::SeqCst);
        }
        Creation(tree)
    }
}

impl Drop for Creation {
    fn drop(&mut self) {
        if let Some(mailbox) = self.0.journal() {
            mailbox.creating().store(0, Ordering::SeqCst);
        }
    }
}

/// Removes what is there of an object whose creator died before it held it.
pub(in crate::shared) fn end_creation(tree: &str, id: u64) {
    let Ok(file) = open_named(&name_of(tree, id)) else { return };
    if fstat(&file).is_ok_and(|about| about.st_blocks == 0) {
        return unlink_named(&name_of(tree, id));
    }
    with_header(tree, id, |header| release(tree, end_if_unused(tree, id, header)));
}

/// Notes that this process holds the object.
pub(super) fn hold(tree: &Tree, id: u64, header: &Header, me: Owner) {
    if let Some(mailbox) = tree.journal() {
        let free = mailbox.held().iter().find(|held| held.load(Ordering::SeqCst) == 0);
        match free {
            Some(held) => held.store(id, Ordering::SeqCst),
            None => mailbox.held_more().store(1, Ordering::SeqCst),
        }
    }
    let (word, bit) = place(me);
    header.holders[word].fetch_or(bit, Ordering::SeqCst);
}

/// The reverse of [`hold`]. Returns the handles that the object contained, if it has ended.
pub(super) fn let_go(tree: &Tree, id: u64, header: &Header, me: Owner) -> Vec<u64> {
    clear_bit(header, me);
    let contained = end_if_unused(tree.name(), id, header);
    if let Some(mailbox) = tree.journal() {
        let noted = mailbox.held().iter().find(|held| held.load(Ordering::SeqCst) == id);
        if let Some(held) = noted {
            held.store(0, Ordering::SeqCst);
        }
    }
    contained
}

fn place(owner: Owner) -> (usize, u64) {
    let index = usize::from(owner.index);
    (index / 64, 1 << (index % 64))
}

/// A process holds the object no more. Whether it did.
pub(in crate::shared) fn clear_bit(header: &Header, owner: Owner) -> bool {
    let (word, bit) = place(owner);
    header.holders.get(word).is_some_and(|word| word.fetch_and(!bit, Ordering::SeqCst) & bit != 0)
}

/// A message or another object is about to contain a handle of the object.
pub fn retain(object: &Object) {
    object.header().references.fetch_add(MADE + ONE, Ordering::SeqCst);
}

/// A message or another object contains a handle no more of an object that this process holds, so that this is not
/// its end.
pub(in crate::shared) fn release_held(object: &Object) {
    let _ = object.header().references.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
}

fn less(references: u64) -> Option<u64> {
    (references & COUNT != 0).then(|| references - ONE)
}

#[cfg(test)]
pub(super) fn references(header: &Header) -> u64 {
    header.references.load(Ordering::SeqCst) & COUNT
}

/// A message or an object of the tree contains these handles no more.
pub fn release(tree: &str, ids: Vec<u64>) {
    // What ends may contain handles in turn, and so on: a list instead of recursion.
    let mut left = ids;
    left.sort_unstable();
    while let Some(id) = left.pop() {
        // Those of the same object lie together.
        let more = left.iter().rev().take_while(|other| **other == id).count();
        left.truncate(left.len() - more);
        with_header(tree, id, |header| {
            for _ in 0..=more {
                let _ = header.references.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
            }
            left.extend(end_if_unused(tree, id, header));
        });
    }
}

/// Hands over the header of an object, if the object exists. One that this process has mapped costs no system
/// call: between taking a handle out of a message and releasing it there is little time to be killed in.
pub(in crate::shared) fn with_header(tree: &str, id: u64, use_header: impl FnOnce(&Header)) {
    // A process that may open nothing has what it was given.
    if let Some(object) = attached_here(id).filter(|object| object.tree_name() == tree) {
        return use_header(object.header());
    }
    let Ok(file) = open_named(&name_of(tree, id)) else { return };
    // A file that has pages has its first: the creator reserved that before it told anybody.
    let is_object = fstat(&file).is_ok_and(|about| about.st_size >= PAGE as i64 && about.st_blocks > 0);
    let mapping = is_object.then(|| Mapping::new(&file, 0, PAGE, true));
    if let Some(Ok(mapping)) = mapping {
        // SAFETY: a page is mapped and exists; the header is made of atomics.
        use_header(unsafe { &*mapping.start().cast::<Header>() });
    }
}

/// Whether this process is the one that ends the object: the first that found nobody left, or one that comes when that
/// one has died at it.
fn claim_end(header: &Header) -> bool {
    let me = std::process::id();
    let claim = |from| header.dying.compare_exchange(from, me, Ordering::SeqCst, Ordering::SeqCst);
    match claim(0) {
        Ok(_) => true,
        Err(other) => {
            let ended = !is_confined() && i32::try_from(other).is_ok_and(process::has_ended);
            ended && claim(other).is_ok()
        }
    }
}

/// Removes the object's segment if neither a process nor a message nor another object has a handle of it.
/// Returns the handles that it contained then: they are to be [`release`]d.
///
/// A handle is always in one of them: whoever moves it enters it there before it is taken off here. So looking at
/// the one and then at the other sees it, unless one was made between the two looks, which `references` tells.
pub(in crate::shared) fn end_if_unused(tree: &str, id: u64, header: &Header) -> Vec<u64> {
    loop {
        let references = header.references.load(Ordering::SeqCst);
        if references & COUNT != 0 || header.holders.iter().any(|word| word.load(Ordering::SeqCst) != 0) {
            return Vec::new();
        }
        if header.references.load(Ordering::SeqCst) == references {
            break;
        }
    }
    if !claim_end(header) {
        return Vec::new();
    }
    let contained = contained::handles(tree, id, header);
    unlink_named(&name_of(tree, id));
    contained
}
