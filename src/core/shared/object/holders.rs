//! Who holds an object, and what happens when nobody does any more.
//!
//! Each process that has an object mapped holds its file: by a lock (flock(2)) that lasts as long as the mapping, here and
//! in each process that is forked from this one ([`SharedFile::hold`]). The kernel ends it with the process. So nobody has to
//! tell that a host is gone, or has been forked.
//!
//! A worker's death has to be told all the same, for somebody has to remove what nobody holds then. So a worker notes in its
//! mailbox, beforehand, which objects it holds, and sets its bit in the header of each, once, until it drops the last of its
//! handles; when it is dead its zygote clears the bits. Setting or clearing a bit twice does no harm, so a death between any
//! two steps loses nothing. Objects that a dead host left are found by a look at all of them, [`super::end_unheld`].
//!
//! Handles inside messages and other objects count in `references` instead: one more before the message or
//! object is published, one less after its handle was taken out. A process that dies between the two steps of
//! either leaves a count too many; that object then stays until its tree ends.

use std::sync::atomic::Ordering;

use super::header::{Header, name_of};
use crate::shared::contained;
use crate::shm::{SharedFile, Tree, unlink};
use crate::sync::Owner;

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

/// Notes that this process holds the object, if it is a worker.
pub(super) fn hold(tree: &Tree, id: u64, header: &Header, me: Owner) {
    let Some(mailbox) = tree.journal() else { return };
    let free = mailbox.held().iter().find(|held| held.load(Ordering::SeqCst) == 0);
    match free {
        Some(held) => held.store(id, Ordering::SeqCst),
        None => mailbox.held_more().store(1, Ordering::SeqCst),
    }
    let (word, bit) = place(me);
    header.holders[word].fetch_or(bit, Ordering::SeqCst);
}

/// The reverse of [`hold`]: the bit, before the object is unmapped.
pub(super) fn leave(tree: &Tree, header: &Header) {
    if let (Some(_), Ok(me)) = (tree.journal(), tree.me()) {
        clear_bit(header, me);
    }
}

/// The same for the note in the mailbox, once all is done.
pub(super) fn strike(tree: &Tree, id: u64) {
    if let Some(mailbox) = tree.journal()
        && let Some(held) = mailbox.held().iter().find(|held| held.load(Ordering::SeqCst) == id)
    {
        held.store(0, Ordering::SeqCst);
    }
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

/// One message or object more contains a handle.
pub(super) fn count_one_more(header: &Header) {
    header.references.fetch_add(MADE + ONE, Ordering::SeqCst);
}

/// One less does.
pub(super) fn count_one_less(header: &Header) {
    let less = |references: u64| (references & COUNT != 0).then(|| references - ONE);
    let _ = header.references.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
}

#[cfg(test)]
pub(super) fn references(header: &Header) -> u64 {
    header.references.load(Ordering::SeqCst) & COUNT
}

/// Whether no worker, message or other object has a handle.
///
/// A handle is always in one of them: whoever moves it enters it there before it is taken off here. So looking at
/// the one and then at the other sees it, unless one was made between the two looks, which `references` tells.
pub(in crate::shared) fn is_unused(header: &Header) -> bool {
    loop {
        let references = header.references.load(Ordering::SeqCst);
        if references & COUNT != 0 || header.holders.iter().any(|word| word.load(Ordering::SeqCst) != 0) {
            return false;
        }
        if header.references.load(Ordering::SeqCst) == references {
            return true;
        }
    }
}

/// Removes the object's segment if neither a process nor a message nor another object has a handle of it; this process has
/// it mapped no more. Returns the handles that it contained then: they are to be [`release`](super::release)d. `noted`: it
/// is an object, or would have become one that a dead process was creating.
pub(in crate::shared) fn end_if_unused(tree: &str, id: u64, noted: bool) -> Vec<u64> {
    let name = name_of(tree, id);
    // A process that may open nothing leaves this to its zygote.
    let Ok(file) = SharedFile::open(&name) else { return Vec::new() };
    let unused = || {
        file.read_one::<Header>(0).filter(|header| (noted || header.kind().is_some()) && is_unused(header))
    };
    // Who ends an object has it alone, so there is one that does; if that dies another finds the file unheld.
    while file.is_unheld() {
        if let Some(header) = unused() {
            let contained = contained::handles(&file, &header);
            unlink(&name);
            return contained;
        }
        // Who has dropped the last handle just now has found the file held by this process, so this looks once more.
        file.let_go();
        if unused().is_none() {
            break;
        }
    }
    Vec::new()
}
