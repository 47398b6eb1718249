//! A tree of sessions: the root host, its workers, the workers of those that are hosts themselves; and the hosts that are
//! forked from any of these.
//!
//! All of it shares locks and objects. They live in segments that carry the tree's name, and end with the root and those that
//! were forked from it. The tree's own segment holds the table of owners and the table of numbered locks; a lock on the file
//! says that one of these lives, see [`super::presence`].

use std::io;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::io::Errno;

use super::confined;
use super::error::RegionError;
use super::file::SharedFile;
use super::lock_table::{self, LockTable};
use super::mailbox::Mailbox;
use super::monitor;
use super::owners::{self, Owners, Registrar};
use super::presence::{Life, Presence};
use super::stale;
use super::waiting;
use crate::observe::trace;
use crate::sync::Owner;
use crate::sys::exit::at_exit;
use crate::sys::fork::{self, PerProcess};

/// What a process knows of its tree.
pub struct Tree {
    name: String,
    member: PerProcess<Member>,
    owners: OnceLock<Owners>,
    locks: OnceLock<LockTable>,
    /// The root's claim, which those that are forked from it have too.
    life: Option<Life>,
}

/// What a process is in its tree. One that was forked has no part in its parent's.
struct Member {
    /// Which owner, `None` where the table of owners was full when the process was forked.
    me: Option<Owner>,
    /// The mailbox in which a worker notes the objects that it holds; a host has none.
    journal: Option<Mailbox<'static>>,
    /// A host's claim to its place.
    _presence: Option<Presence>,
    /// Whether it can open the tree's files. A forked process that has changed its user or its root before has what was
    /// mapped, and no more.
    reaches: bool,
}

/// Why a process cannot use shared objects.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// Shared memory cannot be had.
    #[error("{0}")]
    Memory(#[from] RegionError),
    /// There are more processes than the table of owners has places.
    #[error("too many processes share memory (there is room for {})", crate::sync::OWNERS)]
    Crowded,
    /// The sandbox forbids it.
    #[error("the sandbox of this job forbids it")]
    Confined,
}

/// The tree of this process, or of the one that it was forked from; null for none.
static CURRENT: AtomicPtr<Tree> = AtomicPtr::new(ptr::null_mut());

/// Held while this process founds a tree or takes its place in one.
fn entering() -> MutexGuard<'static, ()> {
    static ENTERING: PerProcess<Mutex<()>> = PerProcess::new();
    ENTERING.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tree {
    /// The process's tree; a process that belongs to none, or to one that it cannot reach, becomes the root of one.
    pub fn current() -> Result<&'static Tree, TreeError> {
        if let Some(tree) = Tree::known()
            && tree.member()?.reaches
        {
            return Ok(tree);
        }
        let _entering = entering();
        let entered = |tree: &&Tree| tree.member.get().is_some_and(|member| member.reaches);
        if let Some(tree) = Tree::known().filter(entered) {
            return Ok(tree);
        }
        let tree = Box::leak(Box::new(found()?));
        CURRENT.store(tree, Ordering::Release);
        Ok(tree)
    }

    /// The process's tree, if it has a place there already.
    pub fn joined() -> Option<&'static Tree> {
        Tree::known().filter(|tree| tree.member.get().is_some())
    }

    /// The same; also for a process that was forked from one that has.
    pub fn known() -> Option<&'static Tree> {
        // SAFETY: null, or a tree that was leaked.
        unsafe { CURRENT.load(Ordering::Acquire).as_ref() }
    }

    /// Makes this process, a worker that was just forked, a member of a tree.
    pub fn join(name: &str, me: Option<Owner>, journal: Mailbox<'static>) {
        fork::expect();
        crate::sync::tell_in(journal.marks());
        waiting::set_own(journal.waiting());
        trace::Context { tree: name.to_owned(), spans: Some(journal.spans()) }.set();
        // A zygote belongs to no tree, and a worker joins once.
        let member = Member { me, journal: Some(journal), _presence: None, reaches: true };
        let tree = Tree::new(name.to_owned(), member, None);
        CURRENT.store(Box::leak(Box::new(tree)), Ordering::Release);
    }

    fn new(name: String, member: Member, life: Option<Life>) -> Tree {
        let tree =
            Tree { name, member: PerProcess::new(), owners: OnceLock::new(), locks: OnceLock::new(), life };
        tree.member.set(member);
        tree
    }

    /// What this process is; a forked one takes its place now.
    #[inline]
    fn member(&self) -> Result<&'static Member, TreeError> {
        self.member.get().map_or_else(|| self.enter(), Ok)
    }

    #[cold]
    fn enter(&self) -> Result<&'static Member, TreeError> {
        if self.is_confined() {
            return Err(TreeError::Confined);
        }
        let _entering = entering();
        if let Some(member) = self.member.get() {
            return Ok(member);
        }
        let failed = |source: io::Error| RegionError::map("open", &self.name, source);
        let file = match SharedFile::open(&self.name) {
            Ok(file) => Some(file),
            // The root's mappings are there.
            Err(error) if self.life.is_some() && monitor::is_out_of_reach(error) => None,
            Err(error) => return Err(failed(error.into()).into()),
        };
        let registrar = match &file {
            Some(file) => Registrar::map(file, &self.name),
            None => self.owners()?.registrar(),
        };
        let (me, presence) =
            registrar.map_err(failed)?.admit_host(file.as_ref()).ok_or(TreeError::Crowded)?;
        let reaches = file.is_some();
        crate::log!(Info, "this process, which was forked, is one more of {}", self.name);
        if reaches {
            trace::Context { tree: self.name.clone(), spans: None }.set();
        }
        Ok(self.member.set(Member { me: Some(me), journal: None, _presence: presence, reaches }))
    }

    /// Whether this process can open the tree's files, as far as that was tried.
    pub(crate) fn is_in_reach(&self) -> bool {
        self.member.get().is_none_or(|member| member.reaches)
    }

    /// Whether this process could open the tree's segment by its name, as its supervisors will. Not where it has given up the user
    /// or the root directory that it had when it made it.
    pub fn can_be_opened(&self) -> bool {
        SharedFile::open(&self.name).is_ok()
    }

    /// Name of the tree's segment, and prefix of every other one of the tree.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Who this process is.
    #[inline]
    pub fn me(&self) -> Result<Owner, TreeError> {
        self.member()?.me.ok_or(TreeError::Crowded)
    }

    /// The mailbox in which this process notes what it holds, if it is a worker.
    pub(crate) fn journal(&self) -> Option<Mailbox<'static>> {
        self.member.get()?.journal
    }

    /// For the end of this process: has the tree end, unless others live that are the root or were forked from it. Whether
    /// nothing of it is left.
    pub(crate) fn end_if_last(&self) -> bool {
        self.life.as_ref().is_some_and(|life| {
            life.end();
            stale::remove_if_dead(&self.name)
        })
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
        if let (Some(owners), Some(me)) = (self.owners.get(), self.member.get().and_then(|member| member.me))
        {
            crate::sync::abandon_all(owners, me);
        }
    }

    /// The table of owners.
    pub fn owners(&self) -> Result<&Owners, TreeError> {
        self.part(&self.owners, |file| Owners::map(file, &self.name))
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
    Registrar::map(SharedFile::open(name)?, name)
}

/// Founds a tree with this process as its root.
fn found() -> Result<Tree, TreeError> {
    // What roots left that were killed.
    stale::sweep(|_| ());
    loop {
        let name = stale::new_tree_name().map_err(|source| RegionError::map("create", "", source))?;
        let Some((member, life)) = create(&name)? else { continue };
        at_exit(end_own);
        trace::Context { tree: name.clone(), spans: None }.set();
        let tree = Tree::new(name, member, Some(life));
        // For those that are forked from this process, and may open nothing then.
        tree.owners()?;
        tree.locks()?;
        return Ok(tree);
    }
}

/// Creates a tree's segment, and says who this process is in it; `None` if a sweep was faster and removed it. The table of
/// owners is there whole, that of locks as it is used.
fn create(name: &str) -> Result<Option<(Member, Life)>, RegionError> {
    SharedFile::create(name, |file| {
        file.grow(owners::LEN + lock_table::LEN)?;
        file.allocate(0..owners::LEN)?;
        let life = Life::of(file).map_err(file.failed("create"))?;
        // The claims are of two kinds, and each has an open file of its own.
        let again = match SharedFile::open(name) {
            Err(Errno::NOENT) => return Ok(None),
            again => again.map_err(file.failed("create"))?,
        };
        let (me, place, presence) = owners::root(&again);
        file.write_at(0, &&place[..])?;
        Ok(Some((Member { me: Some(me), journal: None, _presence: presence, reaches: true }, life)))
    })
}

/// At the exit of the root, or of a process that was forked from it.
extern "C" fn end_own() {
    if let Some(tree) = Tree::known() {
        tree.end_if_last();
    }
}
