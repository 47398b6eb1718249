//! Loading modules once for all workers to come.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::session::Session;
use super::wait::Patience;
use llib_core::shm::Region;
use llib_core::wire::control::{Action, Preload};

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Preloaded {
    /// It is loaded.
    Yes,
    /// It cannot be; the reason is a sentence.
    Failed(String),
    /// The supervisors died.
    Lost,
    /// The caller wanted no more.
    Stopped,
}

static NUMBER: AtomicU32 = AtomicU32::new(0);
/// What was loaded, for the next session if this one's supervisors die.
static LOADED: Mutex<Vec<Preload>> = Mutex::new(Vec::new());

fn loaded() -> MutexGuard<'static, Vec<Preload>> {
    LOADED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has the zygote load a module. `wanted.number` is set here.
pub fn preload(session: &Session, mut wanted: Preload, patience: Patience<'_>) -> Preloaded {
    let lost = || session.is_lost() || !session.is_ours();
    if loaded().iter().any(|loaded| loaded.name == wanted.name) {
        return Preloaded::Yes;
    }
    wanted.number = NUMBER.fetch_add(1, Ordering::SeqCst).wrapping_add(1);
    if lost() || !session.command(Action::Preload(wanted.clone()), patience) {
        return Preloaded::Lost;
    }
    let done = &session.segment.header().preloaded;
    if !session.wait_for(done, wanted.number, patience) {
        return if lost() { Preloaded::Lost } else { Preloaded::Stopped };
    }
    match Region::open(&session.segment.preload_name(wanted.number)) {
        Ok(mut reason) => {
            reason.set_owner(true);
            Preloaded::Failed(reason.text())
        }
        Err(_) => {
            loaded().push(wanted);
            Preloaded::Yes
        }
    }
}

/// Has a fresh session load what the one before had, without waiting.
pub(super) fn again(session: &Session) {
    for mut wanted in loaded().clone() {
        wanted.number = NUMBER.fetch_add(1, Ordering::SeqCst).wrapping_add(1);
        if session.send(Action::Preload(wanted)).is_ok() {
            session.ring.ring();
        }
    }
}
