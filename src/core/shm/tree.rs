//! A tree of sessions: the root host, its workers, the workers of those that are hosts themselves.
//!
//! All of it shares locks and objects. They live in segments that carry the tree's name, and end with the root
//! host. The tree's own segment holds the table of owners and the table of numbered locks; a lock on the file
//! (`flock(2)`, see [`super::stale`]) says that the root lives.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, OnceLock, PoisonError};

use rustix::fs::{FallocateFlags, Mode, fallocate, ftruncate};
use rustix::io::Errno;
use rustix::shm::OFlags;

use super::lock_table::{self, LockTable};
use super::mailbox::Mailbox;
use super::owners::{self, Owners, Registrar};
use super::region::{RegionError, check_length};
use super::stale::{self, SessionLock};
use crate::observe::trace;
use crate::sync::Owner;
use crate::sys::exit::at_exit;
use crate::sys::fork;

/// What a process knows of its tree.
pub struct Tree {
    name: String,
    /// Who this process is, `None` where the table of owners was full when it was forked.
    me: Option<Owner>,
    /// The mailbox in which a worker notes the objects that it holds.
    journal: Option<Mailbox<'static>>,
    /// Whether the process may open no more segments.
    confined: std::sync::atomic::AtomicBool,
    owners: OnceLock<Owners>,
    locks: OnceLock<LockTable>,
    /// The root's claim.
    _life: Option<SessionLock>,
}

/// Why a process cannot use shared objects.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// Shared memory cannot be had.
    #[error("{0}")]
    Memory(#[from] RegionError),
    /// It was forked from the process that the tree belongs to.
    #[error("this process was forked from one that uses llib, and has no part in what that shares")]
    Forked,
    /// There are more processes than the table of owners has places.
    #[error("too many processes share memory (there is room for {})", crate::sync::OWNERS)]
    Crowded,
    /// The sandbox forbids it.
    #[error("the sandbox of this job forbids it")]
    Confined,
}

static CURRENT: OnceLock<Tree> = OnceLock::new();
static FOUNDING: Mutex<()> = Mutex::new(());

impl Tree {
    /// The process's tree; a process that belongs to none becomes the root of one.
    pub fn current() -> Result<&'static Tree, TreeError> {
        if let Some(tree) = CURRENT.get() {
            return if fork::happened() { Err(TreeError::Forked) } else { Ok(tree) };
        }
        let _founding = FOUNDING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tree) = CURRENT.get() {
            return Ok(tree);
        }
        let tree = found()?;
        Ok(CURRENT.get_or_init(|| tree))
    }

    /// The process's tree, if it has one already.
    pub fn joined() -> Option<&'static Tree> {
        CURRENT.get().filter(|_| !fork::happened())
    }

    /// Makes this process, a worker that was just forked, a member of a tree. A process that it forks in turn has no
    /// part in that, if the zygote called [`fork::watch`].
    pub fn join(name: &str, me: Option<Owner>, journal: Mailbox<'static>) {
        fork::expect();
        let tree = Tree {
            name: name.to_owned(),
            me,
            journal: Some(journal),
            confined: false.into(),
            owners: OnceLock::new(),
            locks: OnceLock::new(),
            _life: None,
        };
        trace::Context { tree: name.to_owned(), spans: Some(journal.spans()) }.set();
        // A zygote belongs to no tree, and a worker joins once.
        let _ = CURRENT.set(tree);
    }

    /// Name of the tree's segment, and prefix of every other one of the tree.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Who this process is.
    pub fn me(&self) -> Result<Owner, TreeError> {
        self.me.ok_or(TreeError::Crowded)
    }

    /// The mailbox in which this process notes what it holds, if it is a worker.
    pub(crate) fn journal(&self) -> Option<Mailbox<'static>> {
        self.journal
    }

    /// From now on this process opens no more segments: it cannot, or must not.
    pub fn confine(&self) {
        self.confined.store(true, std::sync::atomic::Ordering::SeqCst);
    }

    /// Whether it may open none.
    pub fn is_confined(&self) -> bool {
        self.confined.load(std::sync::atomic::Ordering::SeqCst)
    }

    /// Leaves the locks of this thread as its process's death would. For a process whose work is over.
    pub fn abandon_locks(&self) {
        // Without the table no lock was ever taken.
        if let (Some(owners), Some(me)) = (self.owners.get(), self.me) {
            crate::sync::abandon_all(owners, me);
        }
    }

    /// The table of owners.
    pub fn owners(&self) -> Result<&Owners, TreeError> {
        self.part(&self.owners, |file| Owners::map(file))
    }

    /// The table of numbered locks.
    pub fn locks(&self) -> Result<&LockTable, TreeError> {
        self.part(&self.locks, |file| LockTable::map(file))
    }

    /// A part of the tree's segment, mapped at its first use.
    fn part<'a, T>(
        &self,
        place: &'a OnceLock<T>,
        map: impl FnOnce(&OwnedFd) -> io::Result<T>,
    ) -> Result<&'a T, TreeError> {
        if let Some(part) = place.get() {
            return Ok(part);
        }
        if self.is_confined() {
            return Err(TreeError::Confined);
        }
        let failed = |source: io::Error| RegionError::Map { action: "open", name: self.name.clone(), source };
        let file = stale::open(&self.name).map_err(|error| failed(error.into()))?;
        let part = map(&file).map_err(failed)?;
        // Two threads may come here at once: one of the mappings is dropped.
        Ok(place.get_or_init(|| part))
    }
}

/// Whether this process may open no more segments, and give back no pages of those that it has.
pub(crate) fn is_confined() -> bool {
    CURRENT.get().is_some_and(Tree::is_confined)
}

/// Opens a segment by its name; not in a process that may open nothing, where the mere try would end it.
pub(crate) fn open_named(name: &str) -> Result<OwnedFd, Errno> {
    if is_confined() { Err(Errno::PERM) } else { stale::open(name) }
}

/// Removes a name, likewise.
pub fn unlink_named(name: &str) {
    if !is_confined() {
        stale::unlink(name);
    }
}

/// The table of owners of the tree `name`, for a zygote of it.
pub fn registrar(name: &str) -> io::Result<Registrar> {
    Registrar::map(stale::open(name)?)
}

/// Founds a tree with this process as its root.
fn found() -> Result<Tree, TreeError> {
    // What roots left that were killed.
    stale::sweep(|_| ());
    loop {
        let name = stale::new_tree_name().map_err(|source| named("", source))?;
        let me = create(&name)?;
        let life = match stale::claim(&name) {
            Ok(Some(life)) => life,
            Ok(None) => continue,
            Err(source) => {
                stale::unlink(&name);
                return Err(named(&name, source).into());
            }
        };
        at_exit(remove_own);
        fork::watch();
        trace::Context { tree: name.clone(), spans: None }.set();
        return Ok(Tree {
            name,
            me: Some(me),
            journal: None,
            confined: false.into(),
            owners: OnceLock::new(),
            locks: OnceLock::new(),
            _life: Some(life),
        });
    }
}

fn named(name: &str, source: io::Error) -> RegionError {
    RegionError::Map { action: "create", name: name.to_owned(), source }
}

/// Creates a tree's segment, and says who this process is in it. The table of owners is there whole, that of locks
/// as it is used.
fn create(name: &str) -> Result<Owner, RegionError> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR;
    let file =
        rustix::shm::open(name, flags, Mode::RUSR | Mode::WUSR).map_err(|error| named(name, error.into()))?;
    let (me, place) = owners::root(std::process::id());
    let written = (|| {
        let none = FallocateFlags::empty();
        check_length(owners::LEN + lock_table::LEN)?;
        fallocate(&file, none, 0, owners::LEN as u64)?;
        rustix::io::pwrite(file.as_fd(), &place, 0)?;
        ftruncate(&file, (owners::LEN + lock_table::LEN) as u64)
    })();
    written.map(|()| me).map_err(|error| {
        stale::unlink(name);
        match error {
            Errno::NOSPC => RegionError::Full { bytes: owners::LEN },
            error => named(name, error.into()),
        }
    })
}

/// At the root's exit: removes everything of its tree.
extern "C" fn remove_own() {
    if let Some(tree) = Tree::joined()
        && tree._life.is_some()
    {
        stale::remove_session(&tree.name);
    }
}
