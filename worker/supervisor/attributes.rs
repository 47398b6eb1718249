//! What workers inherit: the host's attributes, put on by the process that forks workers and by each worker.
//!
//! What harms nobody the forking process takes on itself, so that it costs a worker nothing. What could hinder it, a limit or
//! a mask, is put on in the worker alone.

use std::os::fd::OwnedFd;

use llib_core::sys::{cores, limits as system};
use llib_core::wire::attributes::{Attributes, Limit, RESOURCES};
use llib_worker_sys as sys;
use rustix::fs::Mode;
use rustix::process::{Resource, getpriority_process, getrlimit, setpriority_process, setrlimit, umask};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use rustix::thread::{CpuSet, sched_setaffinity};
use serde::{Deserialize, Serialize};

/// Makes a process one whose children have the host's environment, standard streams and processors. `streams` are those of
/// [`Attributes::open`]; a closed one is /dev/null for workers.
pub(crate) fn take_on(attributes: &mut Attributes, streams: Vec<OwnedFd>) {
    sys::environment::replace(std::mem::take(&mut attributes.environment));
    let mut streams = streams.into_iter();
    for (target, open) in (0..).zip(attributes.open) {
        match if open { streams.next() } else { None } {
            Some(stream) => {
                let _ = match target {
                    libc::STDIN_FILENO => dup2_stdin(stream),
                    libc::STDOUT_FILENO => dup2_stdout(stream),
                    _ => dup2_stderr(stream),
                };
            }
            None => sys::silence(target),
        }
    }
    let mut processors = CpuSet::new();
    let known = attributes.processors.iter().map(|number| usize::from(*number));
    known.filter(|number| *number < CpuSet::MAX_CPU).for_each(|number| processors.set(number));
    // Refused for processors that are none, which the host cannot have.
    if sched_setaffinity(None, &processors).is_ok() {
        cores::look_again();
    }
}

/// What each worker puts on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Worn {
    umask: Option<u32>,
    nice: Option<i32>,
    limits: Vec<(usize, Limit)>,
}

impl Worn {
    /// What tells workers from the process that calls, which forks them.
    pub(crate) fn new(umask: Option<u32>, nice: i32, limits: &[Limit; RESOURCES]) -> Worn {
        let own = system::all();
        let mut limits = *limits;
        // What is more than a job may write llib itself writes for it, a long result.
        limits[Resource::Fsize as usize].1 = own[Resource::Fsize as usize].1;
        Worn {
            umask,
            nice: Some(nice).filter(|nice| getpriority_process(None).is_ok_and(|own| own != *nice)),
            limits: (0..).zip(limits).filter(|(resource, limit)| own[*resource] != *limit).collect(),
        }
    }

    /// What tells workers from a process that was forked earlier from the one that calls.
    pub(crate) fn everything(umask: Option<u32>, nice: i32, limits: &[Limit; RESOURCES]) -> Worn {
        let mut limits = *limits;
        limits[Resource::Fsize as usize].1 = system::all()[Resource::Fsize as usize].1;
        Worn { umask, nice: Some(nice), limits: (0..).zip(limits).collect() }
    }

    /// Puts it on. What this process may not have it has as far as it may.
    pub fn put_on(&self) {
        if let Some(mask) = self.umask {
            umask(Mode::from_raw_mode(mask));
        }
        if let Some(nice) = self.nice {
            // Refused where it is lower than this process's and privileges are missing.
            let _ = setpriority_process(None, nice);
        }
        for (resource, limit) in &self.limits {
            let resource = system::ALL[*resource];
            if setrlimit(resource, system::to_kernel(*limit)).is_err() {
                let (_, most) = system::from_kernel(getrlimit(resource));
                let _ = setrlimit(resource, system::to_kernel((limit.0.min(most), limit.1.min(most))));
            }
        }
    }
}
