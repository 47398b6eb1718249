//! A tree of sessions: the root host, its workers, the workers of those that are hosts themselves.
//!
//! All of it shares locks and objects. They live in segments that carry the tree's name, and end with the root
//! host. The tree's own segment holds the table of owners and the table of numbered locks; a lock on the file
//! (`flock(2)`, see [`super::stale`]) says that the root lives.

use std::io;
use std::sync::{Mutex, OnceLock, PoisonError};

use super::confined;
use super::error::RegionError;
use super::file::{SharedFile, unlink};
use super::lock_table::{self, LockTable};
use super::mailbox::Mailbox;
use super::owners::{self, Owners, Registrar};
use super::stale::{self, SessionLock};
use super::waiting;
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
        crate::sync::tell_in(journal.marks());
        waiting::set_own(journal.waiting());
        trace::Context { tree: name.to_owned(), spans: Some(journal.spans()) }.set();
        // A zygote belongs to no tree, and a worker joins once.
        let _ = CURRENT.set(Tree::new(name.to_owned(), me, Some(journal), None));
    }

    fn new(
        name: String,
        me: Option<Owner>,
        journal: Option<Mailbox<'static>>,
        life: Option<SessionLock>,
    ) -> Tree {
        Tree { name, me, journal, owners: OnceLock::new(), locks: OnceLock::new(), _life: life }
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
        confined::confine();
    }

    /// Whether it may open none.
    pub fn is_confined(&self) -> bool {
        confined::is_confined()
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
        map: impl FnOnce(&SharedFile) -> io::Result<T>,
    ) -> Result<&'a T, TreeError> {
        if let Some(part) = place.get() {
            return Ok(part);
        }
        if self.is_confined() {
            return Err(TreeError::Confined);
        }
        let file =
            SharedFile::open(&self.name).map_err(|error| RegionError::map("open", &self.name, error))?;
        let part = map(&file).map_err(file.failed("open"))?;
        // Two threads may come here at once: one of the mappings is dropped.
        Ok(place.get_or_init(|| part))
    }
}

/// The table of owners of the tree `name`, for a zygote of it.
pub fn registrar(name: &str) -> io::Result<Registrar> {
    Registrar::map(SharedFile::open(name)?)
}

/// Founds a tree with this process as its root.
fn found() -> Result<Tree, TreeError> {
    // What roots left that were killed.
    stale::sweep(|_| ());
    loop {
        let name = stale::new_tree_name().map_err(|source| RegionError::map("create", "", source))?;
        let me = create(&name)?;
        let life = match stale::claim(&name) {
            Ok(Some(life)) => life,
            Ok(None) => continue,
            Err(source) => {
                unlink(&name);
                return Err(RegionError::map("create", &name, source).into());
            }
        };
        at_exit(remove_own);
        fork::watch();
        trace::Context { tree: name.clone(), spans: None }.set();
        return Ok(Tree::new(name, Some(me), None, Some(life)));
    }
}

/// Creates a tree's segment, and says who this process is in it. The table of owners is there whole, that of locks
/// as it is used.
fn create(name: &str) -> Result<Owner, RegionError> {
    let (me, place) = owners::root(std::process::id());
    SharedFile::create(name, |file| {
        file.grow(owners::LEN + lock_table::LEN)?;
        file.allocate(0..owners::LEN)?;
        file.write_at(0, &&place[..])?;
        Ok(me)
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
