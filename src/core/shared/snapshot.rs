//! Which objects' locks are held, seen from outside.

use super::object::{Header, Kind};
use crate::shm::{Seen, TreeView};
use crate::sync::Owner;

/// An object.
#[derive(Clone, Copy, Debug)]
pub struct ObjectView {
    /// Its number in the tree.
    pub id: u64,
    /// What it is, as its segment says.
    pub kind: Kind,
    /// Who holds its lock.
    pub owner: Option<Owner>,
}

/// The objects of a tree, at most `most` of them; and whether there are more.
pub fn objects(tree: &TreeView, most: usize) -> (Vec<ObjectView>, bool) {
    let names = tree.objects();
    let more = names.len() > most;
    let seen = names.into_iter().take(most).filter_map(|(id, name)| {
        let header: Header = Seen::open(&name)?.read_one(0)?;
        let (kind, owner) = header.seen()?;
        Some(ObjectView { id, kind, owner })
    });
    (seen.collect(), more)
}
