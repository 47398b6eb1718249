//! The objects that this process has mapped: coming by them, and what follows when it drops one.

use std::collections::HashMap;
use std::mem::ManuallyDrop;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError, Weak};

use rustix::io::Errno;

use super::header::{Header, Kind, name_of};
use super::holders::{self, end_if_unused, is_unused};
use super::segment::{Object, ObjectError, allowed_length, map};
use crate::shared::bury::look_for_dead_hosts;
use crate::shm::{RegionError, SharedFile, Tree, TreeError, names, unlink};
use crate::sys::PAGE;
use crate::sys::exit::at_exit;

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
    look_for_dead_hosts();
    let mut bytes = [0; 8];
    let random = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    let id = u64::from_ne_bytes(bytes);
    let name = name_of(tree.name(), id);
    random.map_err(|error| RegionError::map("create", &name, error))?;
    let _creation = holders::Creation::of(tree, id);
    let object = SharedFile::create(&name, |file| {
        file.grow(allowed_length())?;
        let object = map(tree, id, Some(kind), file)?;
        object.header.bytes().reserve(0..PAGE)?;
        // In this order: an object that is one has been held.
        holders::hold(tree, id, object.header(), me);
        object.header().kind.store(kind as u32, Ordering::SeqCst);
        Ok::<_, ObjectError>(Arc::new(object))
    })?;
    attached().get_or_insert_default().insert(id, Arc::downgrade(&object));
    end_at_exit(tree);
    Ok(object)
}

/// The object with this id, mapped and held by this process from now on. Whoever calls this knows that it is
/// referred to until this returns, by a message or another object.
pub fn attach(id: u64) -> Result<Arc<Object>, ObjectError> {
    attach_with(id, |_, _| Ok(()))
}

/// The same; an object that was not mapped here is handed to `prepare` first, with its file.
pub(in crate::shared) fn attach_with(
    id: u64,
    prepare: impl FnOnce(&mut Object, &SharedFile) -> Result<(), ObjectError>,
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
    let mut object = map(tree, id, None, &file)?;
    prepare(&mut object, &file)?;
    holders::hold(tree, id, object.header(), me);
    let object = Arc::new(object);
    attached.insert(id, Arc::downgrade(&object));
    end_at_exit(tree);
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
        let unused = with_header(tree, id, |header| {
            (0..=more).for_each(|_| holders::count_one_less(header));
            is_unused(header)
        });
        if unused == Some(true) {
            left.extend(end_if_unused(tree, id, false));
        }
    }
}

/// Hands over the header of an object, if the object exists. One that this process has mapped costs no system
/// call: between taking a handle out of a message and releasing it there is little time to be killed in.
pub(in crate::shared) fn with_header<T>(
    tree: &str,
    id: u64,
    use_header: impl FnOnce(&Header) -> T,
) -> Option<T> {
    // A process that may open nothing has what it was given.
    if let Some(object) = attached_here(id).filter(|object| object.tree_name() == tree) {
        return Some(use_header(object.header()));
    }
    let file = SharedFile::open(&name_of(tree, id)).ok()?;
    // A file that has pages has its first: the creator reserved that before it told anybody.
    let is_object = file.len().is_ok_and(|len| len >= PAGE) && file.has_pages();
    let mapping = is_object.then(|| file.map(0..PAGE))?.ok()?;
    Some(use_header(mapping.bytes().words(0)))
}

/// Removes what is there of an object whose creator died before it held it.
pub(in crate::shared) fn end_creation(tree: &str, id: u64) {
    let Ok(file) = SharedFile::open(&name_of(tree, id)) else { return };
    if !file.has_pages() {
        return unlink(&name_of(tree, id));
    }
    drop(file);
    release(tree, end_if_unused(tree, id, true));
}

/// Ends the objects of a tree that nobody has, as hosts leave them that are killed: nobody tells of each what those held.
pub fn end_unheld(tree: &str) {
    let unused = |id: &u64| with_header(tree, *id, is_unused) == Some(true);
    objects_of(tree).filter(unused).for_each(|id| release(tree, end_if_unused(tree, id, false)));
}

/// The ids of a tree's objects.
pub(in crate::shared) fn objects_of(tree: &str) -> impl Iterator<Item = u64> {
    let prefix = name_of(tree, 0);
    let prefix = prefix[..prefix.len() - 16].to_owned();
    names().filter_map(move |name| u64::from_str_radix(name.strip_prefix(&prefix)?, 16).ok())
}

/// Has a host's exit end what nobody else has then. A worker's zygote sees to that.
fn end_at_exit(tree: &Tree) {
    static REGISTERED: Once = Once::new();
    if tree.journal().is_none() {
        REGISTERED.call_once(|| at_exit(end_all));
    }
}

/// See [`end_at_exit`]. Also in a process that was forked from the one that has registered it.
extern "C" fn end_all() {
    let Some(tree) = Tree::known() else { return };
    // Another thread may be in the middle of something.
    if tree.end_if_last() || !crate::sync::is_only_user() {
        return;
    }
    let Some(objects) = ATTACHED.try_lock().ok().and_then(|mut attached| attached.take()) else { return };
    // All of them first: one may be inside another.
    for object in objects.values().filter_map(Weak::upgrade).map(ManuallyDrop::new) {
        object.header.blank();
        // SAFETY: this thread is the only one that has ever taken a lock here, and it is in this function now.
        unsafe { &*object.content.get() }.blank();
    }
    objects.keys().for_each(|id| release(tree.name(), end_if_unused(tree.name(), *id, false)));
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
                // A confined process leaves it to its zygote.
                if !self.tree.is_confined() {
                    holders::leave(self.tree, self.header());
                    let unused = is_unused(self.header());
                    self.header.end();
                    self.content.get_mut().end();
                    if unused {
                        contained = end_if_unused(self.tree.name(), self.id, false);
                    }
                    holders::strike(self.tree, self.id);
                }
            }
        }
        release(self.tree.name(), contained);
    }
}
