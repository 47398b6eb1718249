//! The objects that this process has mapped: coming by them, and what follows when it drops one.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustix::io::Errno;

use super::header::{Header, Kind, name_of};
use super::holders::{self, end_if_unused};
use super::segment::{Object, ObjectError, allowed_length, map};
use crate::shm::{RegionError, SharedFile, Tree, TreeError, unlink};
use crate::sys::PAGE;

/// What this process has mapped, by id.
static ATTACHED: Mutex<Option<HashMap<u64, Weak<Object>>>> = Mutex::new(None);

fn attached() -> MutexGuard<'static, Option<HashMap<u64, Weak<Object>>>> {
    ATTACHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The object with this id, if this process has it mapped.
fn attached_here(id: u64) -> Option<Arc<Object>> {
    attached().as_ref()?.get(&id)?.upgrade()
}

/// Creates an object, which this process holds.
pub fn create(kind: Kind) -> Result<Arc<Object>, ObjectError> {
    let tree = Tree::current()?;
    if tree.is_confined() {
        return Err(TreeError::Confined.into());
    }
    let me = tree.me()?;
    tree.owners()?;
    let mut bytes = [0; 8];
    let random = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    let id = u64::from_ne_bytes(bytes);
    let name = name_of(tree.name(), id);
    random.map_err(|error| RegionError::map("create", &name, error))?;
    let _creation = holders::Creation::of(tree, id);
    let object = SharedFile::create(&name, |file| {
        file.grow(allowed_length())?;
        let object = map(tree, me, id, Some(kind), file)?;
        object.header.bytes().reserve(0..PAGE)?;
        // In this order: an object that is one has been held.
        holders::hold(tree, id, object.header(), me);
        object.header().kind.store(kind as u32, Ordering::SeqCst);
        Ok::<_, ObjectError>(Arc::new(object))
    })?;
    attached().get_or_insert_default().insert(id, Arc::downgrade(&object));
    Ok(object)
}

/// The object with this id, mapped and held by this process from now on. Whoever calls this knows that it is
/// referred to until this returns, by a message or another object.
pub fn attach(id: u64) -> Result<Arc<Object>, ObjectError> {
    attach_with(id, |_| Ok(()))
}

/// The same; an object that was not mapped here is handed to `prepare` first.
pub(in crate::shared) fn attach_with(
    id: u64,
    prepare: impl FnOnce(&mut Object) -> Result<(), ObjectError>,
) -> Result<Arc<Object>, ObjectError> {
    let tree = Tree::current()?;
    let me = tree.me()?;
    let mut attached = attached();
    let attached = attached.get_or_insert_default();
    if let Some(object) = attached.get(&id).and_then(Weak::upgrade) {
        return Ok(object);
    }
    if tree.is_confined() {
        return Err(TreeError::Confined.into());
    }
    tree.owners()?;
    let name = name_of(tree.name(), id);
    let file = SharedFile::open(&name).map_err(|error| match error {
        Errno::NOENT => ObjectError::Gone,
        error => RegionError::map("open", &name, error).into(),
    })?;
    let mut object = map(tree, me, id, None, &file)?;
    prepare(&mut object)?;
    holders::hold(tree, id, object.header(), me);
    let object = Arc::new(object);
    attached.insert(id, Arc::downgrade(&object));
    Ok(object)
}

/// A message or another object is about to contain a handle of the object.
pub fn retain(object: &Object) {
    holders::count_one_more(object.header());
}

/// A message or another object contains a handle no more of an object that this process holds, so that this is not
/// its end.
pub(in crate::shared) fn release_held(object: &Object) {
    holders::count_one_less(object.header());
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
            (0..=more).for_each(|_| holders::count_one_less(header));
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
    let Ok(file) = SharedFile::open(&name_of(tree, id)) else { return };
    // A file that has pages has its first: the creator reserved that before it told anybody.
    let is_object = file.len().is_ok_and(|len| len >= PAGE) && file.has_pages();
    if let Some(Ok(mapping)) = is_object.then(|| file.map(0..PAGE)) {
        use_header(mapping.bytes().words(0));
    }
}

/// Removes what is there of an object whose creator died before it held it.
pub(in crate::shared) fn end_creation(tree: &str, id: u64) {
    let Ok(file) = SharedFile::open(&name_of(tree, id)) else { return };
    if !file.has_pages() {
        return unlink(&name_of(tree, id));
    }
    with_header(tree, id, |header| release(tree, end_if_unused(tree, id, header)));
}

impl Drop for Object {
    fn drop(&mut self) {
        while self.is_locked_here() {
            self.unlock();
        }
        let mut contained = Vec::new();
        {
            let mut attached = attached();
            let attached = attached.get_or_insert_default();
            // Somebody may have attached it anew while this was being dropped; then it is held on.
            if attached.get(&self.id).is_some_and(|object| object.strong_count() == 0) {
                attached.remove(&self.id);
                // A forked process has no part in its parent's; a confined one leaves it to its zygote.
                if Tree::joined().is_some() && !self.tree.is_confined() {
                    contained = holders::let_go(self.tree, self.id, self.header(), self.me);
                }
            }
        }
        release(self.tree.name(), contained);
    }
}
