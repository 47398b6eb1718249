//! What a process waits for, published where others find it: in a worker's mailbox, or in the header of a host's session.
//!
//! Two stores before a sleep and one after it; who need not sleep writes nothing. Nobody decides anything by it: it is
//! for `llib top` and for the record of a death. A host with several threads publishes the wait that began last.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use crate::sys::fork::{self, PerProcess};

/// A place for it in shared memory. Every bit pattern is a value; who reads checks the kind.
#[repr(C)]
pub struct Waiting {
    id: AtomicU64,
    /// [`Awaited`]'s code, 0 while the process does not wait.
    kind: AtomicU32,
    _rest: AtomicU32,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// A numbered lock of the tree.
    Lock(i64),
    /// An object's lock, by the object's id.
    Object(u64),
    /// Room in a channel, by its id.
    Push(u64),
    /// An item in a channel, by its id.
    Pop(u64),
    /// The end of a job, by its number in the session.
    Job(u64),
    /// Jobs of a pool, by the pool's number in the session.
    Pool(u64),
}

impl Awaited {
    fn code(self) -> (u32, u64) {
        match self {
            Awaited::Lock(id) => (1, id.cast_unsigned()),
            Awaited::Object(id) => (2, id),
            Awaited::Push(id) => (3, id),
            Awaited::Pop(id) => (4, id),
            Awaited::Job(id) => (5, id),
            Awaited::Pool(id) => (6, id),
        }
    }

    /// The inverse of what stands in memory.
    pub fn from_code(kind: u32, id: u64) -> Option<Awaited> {
        Some(match kind {
            1 => Awaited::Lock(id.cast_signed()),
            2 => Awaited::Object(id),
            3 => Awaited::Push(id),
            4 => Awaited::Pop(id),
            5 => Awaited::Job(id),
            6 => Awaited::Pool(id),
            _ => return None,
        })
    }
}

impl Waiting {
    fn begin(&self, what: Awaited) {
        let (kind, id) = what.code();
        self.id.store(id, Ordering::Relaxed);
        self.kind.store(kind, Ordering::Release);
    }

    /// The process waits no more, or there is another one.
    pub fn end(&self) {
        self.kind.store(0, Ordering::Relaxed);
    }

    /// What stands there.
    pub fn awaited(&self) -> Option<Awaited> {
        let kind = self.kind.load(Ordering::Acquire);
        Awaited::from_code(kind, self.id.load(Ordering::Relaxed))
    }
}

/// Who has a place for it, in a process that is no worker.
pub trait Board: Send + Sync {
    /// The place.
    fn waiting(&self) -> &Waiting;
}

static BOARD: PerProcess<Mutex<Option<Weak<dyn Board>>>> = PerProcess::new();

fn board_place() -> MutexGuard<'static, Option<Weak<dyn Board>>> {
    BOARD.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on this process publishes there what it waits for, unless it is a worker: that has its mailbox.
pub fn set_board(board: Weak<dyn Board>) {
    *board_place() = Some(board);
}

/// The place of a worker, in its mailbox.
static OWN: OnceLock<&'static Waiting> = OnceLock::new();

/// This process, a worker, publishes there.
pub(super) fn set_own(place: &'static Waiting) {
    // A worker has one mailbox for good.
    let _ = OWN.set(place);
}

fn own() -> Option<&'static Waiting> {
    OWN.get().copied().filter(|_| !fork::happened())
}

fn board() -> Option<Arc<dyn Board>> {
    board_place().as_ref()?.upgrade()
}

/// Publishes for the time of `wait` what this process waits for.
pub fn waiting<R>(what: Awaited, wait: impl FnOnce() -> R) -> R {
    // What a job forks has nobody who looks on.
    if fork::happened() {
        return wait();
    }
    if let Some(place) = own() {
        return at(place, what, wait);
    }
    match board() {
        Some(board) => at(board.waiting(), what, wait),
        None => wait(),
    }
}

/// The same for a wait that belongs to a session: `place` is that session's, if this process has no mailbox.
pub fn waiting_in<R>(place: &Waiting, what: Awaited, wait: impl FnOnce() -> R) -> R {
    at(own().unwrap_or(place), what, wait)
}

fn at<R>(place: &Waiting, what: Awaited, wait: impl FnOnce() -> R) -> R {
    place.begin(what);
    let result = wait();
    place.end();
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_waited_for_stands_there_for_the_time_of_the_wait() {
        let place = Waiting { id: AtomicU64::new(0), kind: AtomicU32::new(0), _rest: AtomicU32::new(0) };
        for what in [
            Awaited::Lock(-7),
            Awaited::Object(u64::MAX),
            Awaited::Push(1),
            Awaited::Pop(2),
            Awaited::Job(3),
            Awaited::Pool(4),
        ] {
            assert_eq!(at(&place, what, || place.awaited()), Some(what));
            assert_eq!(place.awaited(), None);
        }
        place.kind.store(77, Ordering::SeqCst);
        assert_eq!(place.awaited(), None);
    }
}
