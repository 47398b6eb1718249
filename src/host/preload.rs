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

/// What is said where shared memory could not bring the reason.
const NO_REASON: &str = "the process that loaded it ended without giving a reason";

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
    if session.segment.header().refused.load(Ordering::SeqCst) != wanted.number {
        loaded().push(wanted);
        return Preloaded::Yes;
    }
    let reason = Region::take(&session.segment.preload_name(wanted.number)).map(|reason| reason.text());
    Preloaded::Failed(reason.unwrap_or_else(|_| NO_REASON.to_owned()))
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
