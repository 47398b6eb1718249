//! An object's segment, mapped.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use rustix::process::{Resource, getrlimit};

use super::halves::{LARGEST, half_at, half_size};
use super::header::{Header, Kind, name_of};
use crate::shm::{Mapping, Owners, RegionError, SharedFile, Tree, TreeError};
use crate::sync::LockRef;
use crate::sys::PAGE;

/// Bytes that are mapped after the header from the start: the first pair.
const FIRST: usize = 2 * PAGE;

/// An object that this process has mapped and holds.
pub struct Object {
    pub(super) tree: &'static Tree,
    pub(super) id: u64,
    kind: Kind,
    /// Length of the file, which nobody changes, or what this process was given of it.
    length: usize,
    /// Stays where it is: other threads may be sleeping there.
    pub(super) header: Mapping,
    /// What follows the header. Grows, and moves, under the object's lock alone.
    pub(super) content: UnsafeCell<Mapping>,
    /// Halves that are known to exist, see [`Guard::make_writable`].
    pub(super) present: AtomicU32,
    /// Whether the lock's owner is making a new content from the old one, see [`Guard::begin_change`].
    pub(super) changing: AtomicBool,
}

// SAFETY: the header is made of atomics, and `content` is touched by the holder of the object's lock alone,
// which one thread of one process is.
unsafe impl Send for Object {}
// SAFETY: as above.
unsafe impl Sync for Object {}

/// Why there is no object.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// The process has no part in a tree, or may not.
    #[error("{0}")]
    Tree(TreeError),
    /// Its segment is gone: every handle was dropped, or its process's memory was overwritten.
    #[error("the object does not exist any more")]
    Gone,
    /// What it held before cannot be wiped: somebody keeps its lock.
    #[error(
        "the object has been in use for a second by somebody else, so that what it held before cannot be wiped for a sandboxed job"
    )]
    Busy,
}

impl<E: Into<TreeError>> From<E> for ObjectError {
    fn from(error: E) -> Self {
        ObjectError::Tree(error.into())
    }
}

pub(super) fn map(
    tree: &'static Tree,
    id: u64,
    kind: Option<Kind>,
    file: &SharedFile,
) -> Result<Object, ObjectError> {
    let length = file.len().map_err(file.failed("map"))?;
    if length < PAGE + FIRST || (kind.is_none() && !file.has_pages()) {
        return Err(ObjectError::Gone);
    }
    file.hold().map_err(file.failed("map"))?;
    let header = file.map(0..PAGE).map_err(file.failed("map"))?;
    let content = file.map(PAGE..PAGE + FIRST).map_err(file.failed("map"))?;
    // Not looked at in a fresh file: it has no pages yet, and perhaps there is no room for any.
    let written = || header.bytes().words::<Header>(0).kind();
    let kind = kind.or_else(written).ok_or(ObjectError::Gone)?;
    Ok(Object {
        tree,
        id,
        kind,
        length,
        header,
        content: content.into(),
        present: AtomicU32::new(0),
        changing: AtomicBool::new(false),
    })
}

/// The length for a new object's file: the layout's, or less where files may not be as long.
pub(super) fn allowed_length() -> usize {
    let full = PAGE + half_at(LARGEST + 1, 0);
    match getrlimit(Resource::Fsize).current {
        Some(limit) => full.min(usize::try_from(limit).unwrap_or(usize::MAX) / PAGE * PAGE),
        None => full,
    }
}

impl Object {
    /// Number of the object in its tree.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Name of the tree that it belongs to.
    pub fn tree_name(&self) -> &'static str {
        self.tree.name()
    }

    /// Whether jobs of this process, and others that it shares objects with now, can have it too: it is of this process's
    /// tree, and not of one that it was forked into and cannot reach.
    pub fn can_travel(&self) -> bool {
        Tree::current().is_ok_and(|tree| std::ptr::eq(tree, self.tree))
    }

    /// What it is called where people look on: what it is, and the first digits of its number.
    pub fn title(&self) -> String {
        self.kind.title(self.id)
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its first page.
    pub fn header(&self) -> &Header {
        // Its page exists: the creator reserved it.
        self.header.bytes().words(0)
    }

    /// Maps now all pairs up to this one, and takes it for the last.
    pub(in crate::shared) fn end_with(&mut self, pair: u32) -> Result<(), RegionError> {
        let last = (1..=pair).rev().find(|pair| self.has(*pair)).unwrap_or(1);
        let end = half_at(last, 2);
        self.length = self.length.min(PAGE + end);
        let grown = self.content.get_mut().grow(end);
        grown.map_err(|error| RegionError::map("map", &name_of(self.tree.name(), self.id), error))
    }

    /// The largest content that its file has room for, in bytes.
    pub fn capacity(&self) -> usize {
        (0..=LARGEST).rev().find(|pair| self.has(*pair)).map_or(0, half_size)
    }

    pub(super) fn has(&self, pair: u32) -> bool {
        pair == 0 || (pair <= LARGEST && PAGE + half_at(pair, 2) <= self.length)
    }

    pub(super) fn lock_ref(&self) -> Result<LockRef<'_, Owners>, TreeError> {
        // Mapped since the object was.
        let owners = self.tree.owners()?;
        Ok(LockRef::new(&self.header().lock, owners, self.tree.me()?))
    }

    /// Notes, for everybody and for good, that a process writes there whom nobody trusts: what stands in it is plain
    /// data from now on. The mark is the execute permission of the segment's file, which has no other use;
    /// such a process can change no file's mode.
    pub fn distrust(&self) -> Result<(), ObjectError> {
        let name = name_of(self.tree.name(), self.id);
        let marked = SharedFile::open(&name).and_then(|file| file.mark());
        marked.map_err(|error| RegionError::map("mark", &name, error).into())
    }

    /// Whether [`Object::distrust`] was called anywhere; also where that cannot be told.
    pub fn is_distrusted(&self) -> bool {
        self.look_at_trust().unwrap_or(true)
    }

    /// The same, with the reason why it cannot be told. To a sandboxed process, which may not look, all are.
    pub(in crate::shared) fn look_at_trust(&self) -> Result<bool, ObjectError> {
        if self.tree.is_confined() {
            return Ok(true);
        }
        let name = name_of(self.tree.name(), self.id);
        let file = SharedFile::open(&name).map_err(|error| RegionError::map("open", &name, error))?;
        Ok(file.is_marked())
    }

    /// How many handles of it messages and objects contain.
    #[cfg(test)]
    pub(in crate::shared) fn references(&self) -> u64 {
        super::holders::references(self.header())
    }

    /// Whether this thread is making a new content from the old one.
    pub fn is_changing_here(&self) -> bool {
        self.changing.load(Ordering::Relaxed) && self.is_locked_here()
    }

    /// Whether this thread holds the object's lock.
    pub fn is_locked_here(&self) -> bool {
        crate::sync::holds(&self.header().lock)
    }
}
