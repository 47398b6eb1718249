//! Loading modules into the state that workers are forked with.
//!
//! A module may crash, hang or end the process as it is loaded. So a child tries it first; only what that child survived is
//! loaded here too. Spares that were forked before go, so that the next jobs find it.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use llib_core::shm::Region;
use llib_core::sys::futex;
use llib_core::wire::cause::Cause;
use llib_core::wire::control::Preload;
use nix::sys::signal::SigSet;
use rustix::process::{Pid, Signal, getpid, set_child_subreaper, set_parent_process_death_signal, setpgid};

use super::Zygote;
use crate::{Worker, timeline};
use llib_worker_sys::{self as sys, Forked};

/// Children that try a module.
#[derive(Default)]
pub(super) struct Trials {
    running: HashMap<i32, Preload>,
}

impl Trials {
    pub(super) fn has(&self, pid: i32) -> bool {
        self.running.contains_key(&pid)
    }
}

impl Zygote {
    /// Starts a trial.
    pub(super) fn try_preload(&mut self, wanted: Preload) {
        let reason = self.segment.preload_name(wanted.number);
        match self.fork_for_job() {
            Ok(Forked::Child) => try_here(&*self.worker, &wanted, &reason),
            Ok(Forked::Parent(pid)) => {
                let child = Pid::from_raw(pid);
                let _ = setpgid(child, child);
                self.trials.running.insert(pid, wanted);
            }
            Err(error) => {
                tell(&reason, &format!("no process could be started to try it: {error}"));
                self.finish_preload(wanted.number);
            }
        }
    }

    /// The child of a trial is gone.
    pub(super) fn end_trial(&mut self, pid: i32, status: i32) {
        let Some(wanted) = self.trials.running.remove(&pid) else { return };
        let reason = self.segment.preload_name(wanted.number);
        let name = String::from_utf8_lossy(&wanted.name);
        llib_core::log!(
            Info,
            "a child that tried the module '{name}' has ended: {}",
            timeline::ending(status, Cause::Itself)
        );
        if libc::WIFSIGNALED(status) {
            let signal = llib_core::sys::signal::name(libc::WTERMSIG(status));
            tell(&reason, &format!("the process that tried it died of SIG{signal}"));
        } else if status == 0 {
            match self.worker.preload(&wanted) {
                Ok(()) => self.replace_spares(),
                Err(problem) => tell(&reason, &problem),
            }
        } else if libc::WEXITSTATUS(status) != REFUSED {
            let code = libc::WEXITSTATUS(status);
            tell(&reason, &format!("the process that tried it exited with code {code}"));
        }
        self.finish_preload(wanted.number);
    }

    fn finish_preload(&self, number: u32) {
        let done = &self.segment.header().preloaded;
        done.store(number, Ordering::SeqCst);
        futex::wake_all(done);
    }
}

/// Exit code of a trial that has told the reason itself. A module that ends the process with it has no reason told.
const REFUSED: i32 = 103;

/// The child's part.
fn try_here(worker: &dyn Worker, wanted: &Preload, reason: &str) -> ! {
    sys::set_title("llib-preload", "");
    let _ = setpgid(None, None);
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    // What the module starts stays below, see `strays`.
    let _ = set_child_subreaper(Some(getpid()));
    let _ = SigSet::empty().thread_set_mask();
    let code = match worker.preload(wanted) {
        Ok(()) => 0,
        Err(problem) => {
            tell(reason, &problem);
            REFUSED
        }
    };
    sys::flush_streams();
    sys::exit_now(code)
}

/// Leaves the reason where the host looks for it.
fn tell(name: &str, reason: &str) {
    // Without shared memory the host takes it for loaded, and jobs that need the module load it or say why not.
    let _ = Region::write_new(name, &if reason.is_empty() { "unknown error" } else { reason }.as_bytes());
}
