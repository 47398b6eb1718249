//! Loading a module in a template, and what makes one unfit to be forked from.

use std::ffi::OsStr;
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use llib_core::shm::Region;
use llib_core::sys::clock;
use llib_core::wire::control::Preload;
use rustix::fs::Mode;
use rustix::process::{fchdir, umask};

use super::{FIRST, OWN};
use crate::birth::Common;
use llib_worker_sys as sys;

/// Exit code of a template that has told the reason itself.
pub(crate) const REFUSED: i32 = 103;

/// Loads a module, and goes back to the directory `start`; returns the descriptors that modules have open. A module that fails, or that leaves what workers cannot
/// have, ends the process.
pub(super) fn load(common: &Common<'_>, start: &OwnedFd, wanted: &Preload) -> Vec<RawFd> {
    let reason = common.segment.preload_name(wanted.number);
    match try_to_load(common, start, wanted) {
        Ok(kept) => kept,
        Err(problem) => {
            tell(&reason, &problem);
            sys::flush_streams();
            sys::exit_now(REFUSED)
        }
    }
}

fn try_to_load(common: &Common<'_>, start: &OwnedFd, wanted: &Preload) -> Result<Vec<RawFd>, String> {
    // Before code that is not llib's may map something there.
    common.segment.hold_place().map_err(|error| format!("no place could be held for workers: {error}"))?;
    let own = std::process::id();
    let files = identities();
    if let Some(directory) = &wanted.directory {
        let _ = std::env::set_current_dir(OsStr::from_bytes(directory));
    }
    let mask = umask(Mode::empty());
    umask(mask);
    let loaded = common.worker.preload(wanted);
    if std::process::id() != own {
        // The module has forked, and this is the child.
        sys::flush_streams();
        sys::exit_now(0);
    }
    loaded?;
    // Each worker that ends would write it again.
    sys::flush_streams();
    llib_core::observe::after_fork();
    if let Some(number) = OWN.iter().zip(files.iter().zip(identities())).find(|(_, (old, new))| **old != *new)
    {
        return Err(format!(
            "it closed the descriptor {}, which it had not opened: it is llib's, and workers need it",
            number.0
        ));
    }
    // Workers have the host's mask, start where the zygote did, and go to the directory of their job from there.
    let _ = fchdir(start);
    umask(mask);
    if has_threads() {
        return Err("it left a thread running, which workers would not have; let it start that in a function that it hands \
             to thread.after_fork, which each worker calls before its job"
            .to_owned());
    }
    Ok(sys::descriptors::open_from(FIRST))
}

/// Which files llib's own descriptors stand for.
fn identities() -> [Option<(u64, u64)>; OWN.len()] {
    OWN.map(sys::descriptors::identity)
}

/// Whether there is more than one thread, also after those that are about to end have had some time.
fn has_threads() -> bool {
    const ENDING: Duration = Duration::from_millis(100);
    let end = clock::after(ENDING);
    while sys::has_threads() {
        if clock::until(end).is_zero() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    false
}

/// Leaves the reason where the host looks for it.
pub(crate) fn tell(name: &str, reason: &str) {
    // Without shared memory the host learns that it was refused, and not why.
    let _ = Region::write_new(name, &if reason.is_empty() { "unknown error" } else { reason }.as_bytes());
}
