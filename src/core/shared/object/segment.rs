//! Creating, mapping and locking an object's segment.

use std::cell::UnsafeCell;
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustix::fs::{Mode, fchmod, fstat, ftruncate};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use rustix::shm::OFlags;

use super::guard::Guard;
use super::halves::{LARGEST, half_at, half_size};
use super::header::{Header, Kind};
use super::holders;
use crate::observe::trace;
use crate::shm::{
    Awaited, Mapping, Owners, PAGE, RegionError, Tree, TreeError, open_named, unlink_named, waiting,
};
use crate::sync::{Acquired, LockRef, Owner, Unlocked};

/// Bytes that are mapped after the header from the start: the first pair.
const FIRST: usize = 2 * PAGE;

/// An object that this process has mapped and holds.
pub struct Object {
    pub(super) tree: &'static Tree,
    me: Owner,
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
}

impl<E: Into<TreeError>> From<E> for ObjectError {
    fn from(error: E) -> Self {
        ObjectError::Tree(error.into())
    }
}

/// What came of waiting for an object's lock, where it was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockError {
    /// The time is over.
    TimedOut,
    /// The caller wanted no more.
    Stopped,
}

/// What this process has mapped, by id.
static ATTACHED: Mutex<Option<HashMap<u64, Weak<Object>>>> = Mutex::new(None);

fn attached() -> MutexGuard<'static, Option<HashMap<u64, Weak<Object>>>> {
    ATTACHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The object with this id, if this process has it mapped.
pub(super) fn attached_here(id: u64) -> Option<Arc<Object>> {
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
    loop {
        let mut bytes = [0; 8];
        let random = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
        let id = u64::from_ne_bytes(bytes);
        let name = name_of(tree.name(), id);
        let failed = |source: Errno| {
            let (action, name) = ("create", name.clone());
            RegionError::Map { action, name, source: source.into() }
        };
        random.map_err(failed)?;
        let _creation = holders::Creation::of(tree, id);
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR;
        let file = match rustix::shm::open(&name, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => file,
            Err(Errno::EXIST) => continue,
            Err(error) => return Err(failed(error).into()),
        };
        let built = (|| {
            ftruncate(&file, allowed_length() as u64).map_err(failed)?;
            let object = map(tree, me, id, Some(kind), &file)?;
            object.header.reserve(0, PAGE)?;
            // In this order: an object that is one has been held.
            holders::hold(tree, id, object.header(), me);
            object.header().kind.store(kind as u32, Ordering::SeqCst);
            Ok::<_, ObjectError>(object)
        })();
        drop(file);
        let object = match built {
            Ok(object) => Arc::new(object),
            Err(error) => {
                unlink_named(&name);
                return Err(error);
            }
        };
        attached().get_or_insert_default().insert(id, Arc::downgrade(&object));
        return Ok(object);
    }
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
    let file = open_named(&name).map_err(|error| match error {
        Errno::NOENT => ObjectError::Gone,
        error => RegionError::Map { action: "open", name, source: error.into() }.into(),
    })?;
    let mut object = map(tree, me, id, None, &file)?;
    prepare(&mut object)?;
    holders::hold(tree, id, object.header(), me);
    let object = Arc::new(object);
    attached.insert(id, Arc::downgrade(&object));
    Ok(object)
}

fn map(
    tree: &'static Tree,
    me: Owner,
    id: u64,
    kind: Option<Kind>,
    file: &OwnedFd,
) -> Result<Object, ObjectError> {
    let failed =
        |source: io::Error| RegionError::Map { action: "map", name: name_of(tree.name(), id), source };
    let about = fstat(file).map_err(|error| failed(error.into()))?;
    let length = usize::try_from(about.st_size).unwrap_or(0);
    if length < PAGE + FIRST || (kind.is_none() && about.st_blocks == 0) {
        return Err(ObjectError::Gone);
    }
    let header = Mapping::new(file.as_fd(), 0, PAGE, true).map_err(failed)?;
    let content = Mapping::new(file.as_fd(), PAGE, FIRST, true).map_err(failed)?;
    // Not looked at in a fresh file: it has no pages yet, and perhaps there is no room for any.
    // SAFETY: see `Object::header`.
    let written = || unsafe { &*header.start().cast::<Header>() }.kind();
    let kind = kind.or_else(written).ok_or(ObjectError::Gone)?;
    Ok(Object {
        tree,
        me,
        id,
        kind,
        length,
        header,
        content: content.into(),
        present: AtomicU32::new(0),
        changing: AtomicBool::new(false),
    })
}

/// Name of the segment of an object of the tree with this name.
pub(in crate::shared) fn name_of(tree: &str, id: u64) -> String {
    format!("{tree}.{id:016x}")
}

/// The length for a new object's file: the layout's, or less where files may not be as long.
fn allowed_length() -> usize {
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
        // SAFETY: a page is mapped there as long as the object lives, and exists: its creator reserved it.
        // The header is made of atomics, which other processes may change at any time.
        unsafe { &*self.header.start().cast::<Header>() }
    }

    /// Maps now all pairs up to this one, and takes it for the last.
    pub(in crate::shared) fn end_with(&mut self, pair: u32) -> Result<(), RegionError> {
        let last = (1..=pair).rev().find(|pair| self.has(*pair)).unwrap_or(1);
        let end = half_at(last, 2);
        self.length = self.length.min(PAGE + end);
        let grown = self.content.get_mut().grow(end);
        grown.map_err(|source| RegionError::Map {
            action: "map",
            name: name_of(self.tree.name(), self.id),
            source,
        })
    }

    /// The largest content that its file has room for, in bytes.
    pub fn capacity(&self) -> usize {
        (0..=LARGEST).rev().find(|pair| self.has(*pair)).map_or(0, half_size)
    }

    pub(super) fn has(&self, pair: u32) -> bool {
        pair == 0 || (pair <= LARGEST && PAGE + half_at(pair, 2) <= self.length)
    }

    fn lock_ref(&self) -> Option<LockRef<'_, Owners>> {
        // Mapped since the object was.
        let owners = self.tree.owners().ok()?;
        Some(LockRef::new(&self.header().lock, owners, self.me))
    }

    /// Notes, for everybody and for good, that a process writes there whom nobody trusts: what stands in it is plain
    /// data from now on. The mark is the execute permission of the segment's file, which has no other use;
    /// such a process can change no file's mode.
    pub fn distrust(&self) -> Result<(), ObjectError> {
        let name = name_of(self.tree.name(), self.id);
        let marked = open_named(&name).and_then(|file| fchmod(&file, Mode::RWXU));
        marked.map_err(|error| RegionError::Map { action: "mark", name, source: error.into() }.into())
    }

    /// Whether [`Object::distrust`] was called anywhere; also where that cannot be told.
    pub fn is_distrusted(&self) -> bool {
        let about = open_named(&name_of(self.tree.name(), self.id)).and_then(fstat);
        about.map_or(true, |about| Mode::from_raw_mode(about.st_mode).contains(Mode::XUSR))
    }

    /// Takes the lock in the name of a process that is dead: the guard does not give it back, and others inherit it.
    #[cfg(test)]
    pub(in crate::shared) fn lock_as_a_dead_owner(&self) -> Guard<'_> {
        let dead = Owner { index: 9999, generation: 77 };
        let owners = self.tree.owners().expect("mapped since the object was");
        let taken = LockRef::new(&self.header().lock, owners, dead).try_acquire();
        assert_eq!(taken, Some(Acquired::Yes));
        Guard { object: self, abandoned: false }
    }

    /// How many handles of it messages and objects contain.
    #[cfg(test)]
    pub(in crate::shared) fn references(&self) -> u64 {
        holders::references(self.header())
    }

    /// Takes the object's lock if that needs no waiting.
    pub fn try_lock(&self) -> Option<Guard<'_>> {
        let lock = self.lock_ref()?;
        lock.try_acquire().map(|_| Guard { object: self, abandoned: false })
    }

    /// Takes the object's lock, see [`LockRef::acquire`].
    pub fn lock(&self, end: Option<u64>, patience: &mut dyn FnMut() -> bool) -> Result<Guard<'_>, LockError> {
        let Some(lock) = self.lock_ref() else { return Err(LockError::Stopped) };
        let acquired = lock.try_acquire().unwrap_or_else(|| {
            let _span = trace::span("wait", || self.title());
            waiting(Awaited::Object(self.id), || lock.acquire(end, patience))
        });
        match acquired {
            Acquired::Yes => Ok(Guard { object: self, abandoned: false }),
            Acquired::Abandoned => Ok(Guard { object: self, abandoned: true }),
            Acquired::TimedOut => Err(LockError::TimedOut),
            Acquired::Stopped => Err(LockError::Stopped),
        }
    }

    /// Gives the lock back that a [`Guard::keep`] left taken.
    pub fn unlock(&self) -> Unlocked {
        self.lock_ref().map_or(Unlocked::NotHeld, |lock| lock.release())
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
        holders::release(self.tree.name(), contained);
    }
}
