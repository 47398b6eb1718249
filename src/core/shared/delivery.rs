//! Handles in a message, on their way to the worker that reads it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::object::{Object, attach, release, release_held};
use crate::shm::{Mailbox, Tree, handles};

/// Takes the handles of a job's message over: this process holds the objects now, and the message does not.
///
/// Who is killed between the two steps leaves a handle too many, which is better than one too few. So the second step
/// follows the first at once, without a system call in between.
pub fn take_over(mailbox: Mailbox<'_>, ids: Vec<u64>) {
    let Some(tree) = Tree::joined() else { return };
    let mut held: Vec<Arc<Object>> = Vec::with_capacity(ids.len());
    let mut others = Vec::new();
    for id in ids {
        match attach(id) {
            Ok(object) => held.push(object),
            Err(_) => others.push(id),
        }
    }
    mailbox.handles().store(handles::NONE, Ordering::SeqCst);
    held.iter().for_each(|object| release_held(object));
    release(tree.name(), others);
}
