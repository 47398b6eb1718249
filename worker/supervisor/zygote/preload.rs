//! Modules that all workers to come shall have: each is loaded by a new template, which takes over when it is done. One that
//! fails has changed nothing. Spares that were forked before go, so that the next jobs find the module.

use std::sync::atomic::Ordering;
use std::time::Duration;

use llib_core::shm::Region;
use llib_core::sys::{clock, futex};
use llib_core::wire::cause::Cause;
use llib_core::wire::control::Preload;

use super::Zygote;
use super::processes::is_shortage;
use super::templates::{Loading, Wanted, end_of};
use crate::template::REFUSED;
use crate::timeline;
use llib_worker_sys as sys;

/// A template that dies within this time of the last that did is not replaced.
const SOON: Duration = Duration::from_secs(10);

impl Zygote {
    /// Has a module loaded when its turn comes.
    pub(super) fn preload(&mut self, module: Preload) {
        self.templates.waiting.push_back(Wanted { module, again: false });
    }

    /// Begins with the next module, if none is being loaded.
    pub(super) fn load_next(&mut self) {
        while self.templates.loading.is_none()
            && let Some(wanted) = self.templates.waiting.pop_front()
        {
            match self.fork_template(&wanted.module) {
                Err(error) if is_shortage(&error) && self.end_spare() => {
                    self.templates.waiting.push_front(wanted);
                }
                Ok(template) => {
                    let (end, generation) = (end_of(&wanted.module), self.follow.generation);
                    self.templates.loading =
                        Some(Loading { template, wanted, end, late: false, heard: true, generation });
                }
                Err(error) => {
                    self.fail_to_load(&wanted, &format!("no process could be started to load it: {error}"));
                }
            }
        }
    }

    /// The template that loads a module has said something, or its end of the line is closed.
    pub(super) fn hear_template(&mut self) {
        let Some(loading) = &mut self.templates.loading else { return };
        if loading.template.line.hear(Duration::ZERO) != Some(0) {
            // Its death tells the rest.
            loading.heard = false;
            return;
        }
        let Some(Loading { template, wanted, generation, .. }) = self.templates.loading.take() else {
            return;
        };
        llib_core::log!(
            Info,
            "template {} has loaded the module '{}'",
            template.pid,
            name_of(&wanted.module)
        );
        self.templates.take_over(template);
        if generation != self.follow.generation {
            self.pass_on_attributes();
        }
        let number = wanted.module.number;
        self.templates.loaded.push(wanted.module);
        self.replace_spares();
        self.finish_preload(number, true);
    }

    /// Ends a template whose module takes too long.
    pub(super) fn keep_load_time(&mut self, now: u64) {
        if let Some(loading) = self.templates.loading.as_mut().filter(|loading| loading.end <= now) {
            (loading.late, loading.end) = (true, u64::MAX);
            let _ = sys::kill(loading.template.pid, libc::SIGKILL);
        }
    }

    /// A template is gone.
    pub(super) fn end_template(&mut self, pid: i32, status: i32) {
        self.templates.ended = true;
        let how = timeline::ending(status, Cause::Itself);
        if let Some(Loading { wanted, late, .. }) =
            self.templates.loading.take_if(|loading| loading.template.pid == pid)
        {
            let time = Duration::from_nanos(wanted.module.time).as_millis();
            let reason = if late {
                format!("it was not loaded within {time} ms")
            } else if libc::WIFSIGNALED(status) {
                let signal = llib_core::sys::signal::name(libc::WTERMSIG(status));
                format!("the process that loaded it died of SIG{signal}")
            } else if libc::WEXITSTATUS(status) == REFUSED
                && Region::open(&self.segment.preload_name(wanted.module.number)).is_ok()
            {
                // Told already.
                String::new()
            } else {
                format!("the process that loaded it exited with code {}", libc::WEXITSTATUS(status))
            };
            self.fail_to_load(&wanted, &reason);
        } else if self.templates.current.take_if(|template| template.pid == pid).is_some() {
            llib_core::log!(Warn, "template {pid} is gone: {how}");
            // One that is loading has all that it had.
            if self.templates.loading.is_none() {
                self.load_again();
            }
        } else {
            self.templates.forget(pid);
        }
    }

    /// A module cannot be loaded, for this reason, if it is not told already.
    fn fail_to_load(&mut self, wanted: &Wanted, reason: &str) {
        let (number, name) = (wanted.module.number, name_of(&wanted.module));
        let place = self.segment.preload_name(number);
        if !reason.is_empty() {
            // Without shared memory the host learns that it was refused, and not why.
            let _ = Region::write_new(&place, &reason.as_bytes());
        }
        if wanted.again {
            let reason = Region::take(&place).map(|reason| reason.text()).unwrap_or_default();
            llib_core::log!(Error, "the module '{name}' cannot be preloaded again: {reason}");
        } else {
            llib_core::log!(Info, "the module '{name}' cannot be preloaded");
            self.finish_preload(number, false);
        }
        if self.templates.current.is_none() && self.templates.loading.is_none() {
            self.load_again();
        }
    }

    /// Has everything loaded once more, for want of a template that had it. Until that is done workers are forked without.
    fn load_again(&mut self) {
        let loaded = std::mem::take(&mut self.templates.loaded);
        if loaded.is_empty() {
            return;
        }
        let before = std::mem::replace(&mut self.templates.restored, clock::after(SOON));
        if clock::now() < before {
            return llib_core::log!(
                Error,
                "templates die again and again: no modules are preloaded any more"
            );
        }
        for module in loaded.into_iter().rev() {
            self.templates.waiting.push_front(Wanted { module, again: true });
        }
    }

    fn finish_preload(&self, number: u32, loaded: bool) {
        if !loaded {
            self.segment.header().refused.store(number, Ordering::SeqCst);
        }
        let done = &self.segment.header().preloaded;
        done.store(number, Ordering::SeqCst);
        futex::wake_all(done);
    }
}

fn name_of(module: &Preload) -> String {
    String::from_utf8_lossy(&module.name).into_owned()
}
