//! The process's session: the one that there is, or a new one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::monitor::Monitor;
use super::preload;
use super::reap::{reap_ended, wait_for_ended};
use super::session::{Session, Stats};
use super::start::{Host, StartError, start};
use super::wait::Patience;
use llib_core::observe::trace;
use llib_core::shared::bury_hosts;
use llib_core::shm::{Board, Tree, set_board};
use llib_core::sys::credentials::Credentials;
use llib_core::sys::fork::PerProcess;

fn current() -> MutexGuard<'static, Option<Arc<Session>>> {
    static CURRENT: PerProcess<Mutex<Option<Arc<Session>>>> = PerProcess::new();
    // Nothing in these sections can panic half way, so a poisoned lock holds sound data.
    CURRENT.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sessions that take no new jobs any more, until their last job is gone.
fn retired() -> MutexGuard<'static, Vec<Arc<Session>>> {
    static RETIRED: PerProcess<Mutex<Vec<Arc<Session>>>> = PerProcess::new();
    RETIRED.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    /// The process's session; starts one where there is none, where the last one's supervisors died, or where they have more, or
    /// less, than this process has now.
    pub fn current(host: impl FnOnce() -> Host) -> Result<Arc<Session>, StartError> {
        let mut current = current();
        if let Some(session) = current.as_ref().filter(|session| !session.is_lost()) {
            if session.fits() {
                return Ok(Arc::clone(session));
            }
            Monitor::keep();
            session.retire();
            retired().push(Arc::clone(session));
        }
        *current = None;
        retired().retain(|session| !session.is_lost());
        reap_ended();
        if let Some(tree) = Tree::joined() {
            bury_hosts(tree.name());
        }
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

    /// Has the next call of [`current`](Session::current) compare also what takes too long to be looked at for each job.
    pub fn look_closely() {
        Credentials::look_closely();
    }

    /// The process's session, if it has one and that serves.
    pub fn running() -> Option<Arc<Session>> {
        current().as_ref().filter(|session| session.is_ours() && !session.is_lost()).map(Arc::clone)
    }

    /// Ends the process's session once its last job is gone.
    pub fn end_current() {
        let session = current().take();
        let retired = std::mem::take(&mut *retired());
        Monitor::forget();
        drop((session, retired));
        reap_ended();
    }

    /// Ends the process's session now: what runs is killed. Returns once its supervisors are gone; the next job starts others.
    pub fn close_current(patience: Patience<'_>) {
        let session = current().take();
        let mut sessions: Vec<_> = std::mem::take(&mut *retired());
        sessions.extend(session);
        // Else it waits for questions.
        Monitor::forget();
        // All are told before any is waited for: the first session's guard stays until the guards that it has forked are gone.
        for session in &sessions {
            session.hang_up();
        }
        for session in sessions {
            session.wait_for_end(patience);
        }
        wait_for_ended(patience);
    }

    /// Numbers of the process's session, if it has one.
    pub fn current_stats() -> Option<Stats> {
        let session = current().as_ref().map(Arc::clone)?;
        Some(session.stats())
    }
}
