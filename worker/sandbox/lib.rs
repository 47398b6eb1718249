//! Turning a job's limits and policy into the kernel's: one concept of it a file.
//!
//! Decides nothing: what to enforce arrives with the job, as `llib_core::wire` describes it. Restricting a process
//! happens in this folder alone and so only in the worker program, never in a host that loads the module. The
//! page that explains it is `docs/sandbox.md`.

mod bpf;
mod environment;
pub mod grants;
mod landlock;
pub mod language;
pub mod limits;
mod privileges;
#[macro_use]
mod rules;
mod programs;
mod seccomp;

use std::os::fd::RawFd;

use llib_core::sys::capabilities::{capabilities, kernel};
use llib_core::wire::limits::Limits;
use llib_core::wire::sandbox::SandboxPolicy;

use llib_worker_sys as sys;

pub use grants::Grants;

/// Does ahead, in the zygote, what every sandbox would do.
pub fn prepare() {
    capabilities();
    kernel();
    llib_core::sys::cores::count();
    sys::environment::read_time_zone();
    seccomp::prepare();
}

/// Raises the walls around this process, for good. What the job needs from outside has to be open by now, `grants` are its
/// policy's files, `kept` the numbers of descriptors of preloaded modules, which stand for nothing from now on. On error some of the walls stand, and no job must run.
#[inline(never)]
pub fn raise(policy: &SandboxPolicy, grants: Grants, doorbell: RawFd, kept: &[RawFd]) -> Result<(), String> {
    let found = capabilities();
    let missing = found.missing(policy);
    if !missing.is_empty() && !policy.best_effort {
        // The host has looked already; this is for the case that the two do not see the same kernel.
        return Err(format!("this kernel lacks {}", missing[0].words));
    }
    /// How much nicer than its supervisors such a job is, so that it cannot keep the processor from those who have to end it;
    /// programs can be many.
    const BEHIND: i32 = 10;
    const FAR_BEHIND: i32 = 19;
    sys::renice(if policy.exec { FAR_BEHIND } else { BEHIND });
    // There is nothing to read from.
    sys::silence(libc::STDIN_FILENO);
    sys::descriptors::disarm(kept);
    environment::enforce(policy);
    let key = limits::prepare_behind_walls();
    limits::deny_rest();
    privileges::enforce(policy).map_err(|error| format!("privileges cannot be dropped: {error}"))?;
    if let Some(outer) = &grants.outer {
        landlock::enforce(policy, outer, found.landlock)?;
    }
    landlock::enforce(policy, &grants.own, found.landlock)?;
    drop(grants);
    // What stays are the standard streams to print to, and the way to ring the zygote.
    sys::descriptors::close_all_but(doorbell + 1, kept);
    if found.seccomp {
        seccomp::enforce(policy, key).map_err(|error| format!("the filter cannot be installed: {error}"))?;
    }
    Ok(())
}

/// Leaves this process nothing but to compute, to write to what is open, and to end. Where the kernel has no filters it goes on
/// without.
pub fn enclose_reader() -> std::io::Result<()> {
    if capabilities().seccomp {
        rustix::thread::set_no_new_privs(true)?;
        seccomp::enforce_for_reader()?;
    }
    Ok(())
}

/// Sets a sandboxed job's limits, behind the walls.
#[inline(never)]
pub fn limit(limits: &Limits) -> Result<(), String> {
    limits::apply(limits, limits::Lid::Tight).map_err(|error| error.to_string())
}

/// Overwrites what functions that have returned left on the stack: the number that arms timers is among it, and machine
/// code could find it there. [`raise`] and [`limit`] are never made part of their callers, so all of theirs lies below.
#[inline(never)]
pub fn forget() {
    let mut below = [0u8; 32 << 10];
    std::hint::black_box(&mut below);
}
