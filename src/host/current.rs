//! The process's session: the one that there is, or a new one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::preload;
use super::reap::reap_ended;
use super::session::{Session, Stats};
use super::start::{Host, StartError, start};
use super::wait::Patience;
use llib_core::observe::trace;
use llib_core::shm::{Board, set_board};

fn current() -> MutexGuard<'static, Option<Arc<Session>>> {
    static CURRENT: Mutex<Option<Arc<Session>>> = Mutex::new(None);
    // Nothing in these sections can panic half way, so a poisoned lock holds sound data.
    CURRENT.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    /// The process's session; starts one where there is none, or where the last one's supervisors died.
    pub fn current(host: impl FnOnce() -> Host) -> Result<Arc<Session>, StartError> {
        let mut current = current();
        if let Some(session) = current.as_ref().filter(|session| session.is_ours() && !session.is_lost()) {
            return Ok(Arc::clone(session));
        }
        // A session of before a fork belongs to the parent, and one whose supervisors died to nobody.
        *current = None;
        reap_ended();
        let starting = trace::span("session", || "start of supervisors".to_owned());
        let session = Arc::new(start(&host())?);
        drop(starting);
        let Stats { guard, zygote, .. } = session.stats();
        llib_core::log!(Info, "session {} started, guard {guard}, zygote {zygote}", session.segment.name());
        set_board(Arc::downgrade(&session) as Weak<dyn Board>);
        *current = Some(Arc::clone(&session));
        preload::again(&session);
        Ok(session)
    }

    /// Ends the process's session once its last job is gone.
    pub fn end_current() {
        let session = current().take();
        drop(session);
        reap_ended();
    }

    /// Ends the process's session now: what runs is killed. Returns once its supervisors are gone; the next job starts others.
    pub fn close_current(patience: Patience<'_>) {
        let session = current().take();
        if let Some(session) = session.filter(|session| session.is_ours()) {
            session.close(patience);
        }
        reap_ended();
    }

    /// Numbers of the process's session, if it has one.
    pub fn current_stats() -> Option<Stats> {
        let session = current().as_ref().filter(|session| session.is_ours()).map(Arc::clone)?;
        Some(session.stats())
    }
}
