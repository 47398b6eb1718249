//! What a job inherits: workers are given what a child of this process would have now.
//!
//! Workers inherit from the zygote by fork. So the zygote is kept in step: at each handover the host looks at those of its
//! attributes that are cheap to look at, some 2 µs together, and if one is not as the zygote was told last, reads all of
//! them and sends them. Once the zygote has them it has let go of all spares that had others. What is looked at, and what is
//! not noticed, is listed in `docs/in-your-program.md`.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use rustix::process::getpriority_process;
use rustix::stdio::{stderr, stdin, stdout};
use rustix::thread::{CpuSet, sched_getaffinity};

use super::session::Session;
use super::wait::SLICE;
use llib_core::sys::{cores, environ, limits, spawn};
use llib_core::wire::attributes::Attributes;

/// How many of [`SLICE`] the zygote may take to change its attributes: 10 s.
const PATIENCE: u32 = 10_000 / SLICE.as_millis() as u32;

/// What the zygote was told last.
#[derive(Clone)]
pub(super) struct Told {
    looks: Looks,
    /// Number of the message; 0 is what it was started with.
    number: u32,
}

/// What is looked at for each job. Affinity and niceness are the calling thread's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Looks {
    environment: u64,
    processors: Option<CpuSet>,
    nice: i32,
    /// Device, file and, for a device, its number; none for one that is closed.
    streams: [Option<(u64, u64, u64)>; 3],
}

impl Looks {
    pub(super) fn now() -> Looks {
        Looks {
            environment: environ::fingerprint(),
            processors: sched_getaffinity(None).ok(),
            nice: getpriority_process(None).unwrap_or(0),
            streams: streams().map(|stream| {
                let stat = rustix::fs::fstat(stream).ok()?;
                Some((stat.st_dev, stat.st_ino, stat.st_rdev))
            }),
        }
    }
}

impl Told {
    /// What supervisors have that are about to be started.
    pub(super) fn at_start() -> Told {
        Told { looks: Looks::now(), number: 0 }
    }
}

fn streams() -> [BorrowedFd<'static>; 3] {
    [stdin(), stdout(), stderr()]
}

impl Session {
    /// Sees to it that workers for jobs that are handed over from now on have this process's attributes. Returns a number
    /// that counts their changes.
    pub(super) fn keep_in_step(&self) -> io::Result<u32> {
        let now = Looks::now();
        // Nothing in these sections can panic half way, so a poisoned lock holds sound data.
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.looks != now {
            self.tell(&mut told, now)?;
        }
        Ok(told.number)
    }

    /// The same for all attributes, whether they have changed or not.
    pub fn refresh(&self) -> io::Result<()> {
        self.refreshes.fetch_add(1, Ordering::Relaxed);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        self.tell(&mut told, Looks::now())
    }

    /// How often that was.
    pub(super) fn refreshed(&self) -> u32 {
        self.refreshes.load(Ordering::Relaxed)
    }

    /// Waits until the zygote has them.
    fn tell(&self, told: &mut Told, now: Looks) -> io::Result<()> {
        if told.looks.processors != now.processors {
            cores::look_again();
        }
        let open = now.streams.map(|stream| stream.is_some());
        let files: Vec<_> =
            streams().into_iter().zip(open).filter_map(|(file, open)| open.then_some(file)).collect();
        let number = told.number.wrapping_add(1);
        let sent = read(&now, open)
            .and_then(|attributes| self.ring.send_long(number, &attributes.to_bytes(), &files));
        let mut slices = 0;
        let patience = &mut || {
            slices += 1;
            slices < PATIENCE
        };
        let reached = sent.is_ok() && self.wait_for(&self.segment.header().attributes, number, patience);
        self.check();
        if reached || self.is_lost() {
            // Jobs of a session that is lost end with that for a reason.
            *told = Told { looks: now, number };
            return Ok(());
        }
        // A later message has another number: what is left of this one is no part of it.
        told.number = number;
        sent.and_then(|()| Err(io::Error::other("the supervisor did not answer in time")))
    }
}

/// Reads all attributes.
fn read(looks: &Looks, open: [bool; 3]) -> io::Result<Attributes> {
    let mut environment = Vec::new();
    for string in spawn::environment(&llib_core::observe::variables())? {
        environment.extend_from_slice(string.as_bytes_with_nul());
    }
    let has = |number: &usize| looks.processors.is_some_and(|processors| processors.is_set(*number));
    Ok(Attributes {
        environment,
        umask: limits::umask(),
        limits: limits::all(),
        processors: (0..CpuSet::MAX_CPU).filter(has).map(|number| number as u16).collect(),
        nice: looks.nice,
        open,
    })
}
