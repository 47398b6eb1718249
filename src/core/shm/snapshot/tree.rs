//! A tree's segment, seen from outside: who lives, and which numbered locks are held.

use std::collections::HashMap;

use super::super::{lock_table, owners, stale};
use super::Seen;
use crate::sync::Owner;

/// What a tree's segment says.
#[derive(Debug)]
pub struct TreeView {
    /// Name of the segment.
    pub name: String,
    /// Who lives, by place: generation and process id.
    places: HashMap<u16, (u32, i32)>,
    /// Numbered locks that somebody holds.
    pub held: Vec<HeldNumber>,
}

/// A numbered lock that is held.
#[derive(Clone, Copy, Debug)]
pub struct HeldNumber {
    /// The number.
    pub id: i64,
    /// Who holds it.
    pub owner: Owner,
}

impl TreeView {
    /// Looks at the tree of this name; none if there is none, or not for this user.
    pub fn of(name: &str) -> Option<TreeView> {
        stale::tree_number(name)?;
        let seen = Seen::open(name).filter(|seen| seen.len == (owners::LEN + lock_table::LEN) as u64)?;
        let places = owners::seen(&seen)?;
        Some(TreeView { name: name.to_owned(), places, held: lock_table::seen(&seen) })
    }

    /// The process of an owner; none if it is dead.
    pub fn process(&self, owner: Owner) -> Option<i32> {
        let (generation, pid) = self.places.get(&owner.index)?;
        (*generation == owner.generation && *pid > 0).then_some(*pid)
    }

    /// Names of the segments of the tree's objects, with their ids.
    pub fn objects(&self) -> Vec<(u64, String)> {
        let prefix = format!("{}.", self.name);
        let ids = stale::names().filter_map(|name| {
            let id = name.strip_prefix(&prefix).filter(|digits| digits.len() == 16)?;
            Some((u64::from_str_radix(id, 16).ok()?, name))
        });
        ids.collect()
    }
}
