//! What the zygote prepares before it serves: its Lua state, its descriptors, the handshake.

use std::collections::{HashMap, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use llib_core::shm::{Segment, SessionLock, registrar};
use llib_core::sys::ring::Ring;
use llib_core::sys::{channel, handshake};
use llib_core::wire::control::{Hello, Ready};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType, shutdown, socketpair};
use rustix::process::{getpid, set_child_subreaper};

use super::{Zygote, crew, deadlines, nests, pools, preload, processes, spares};
use crate::Prepare;
use llib_worker_sys as sys;

/// Prepares everything and greets the host. On failure the host has its reason; the exit code is returned.
pub(super) fn zygote(
    ring: Ring,
    commands: OwnedFd,
    host: OwnedFd,
    guard: OwnedFd,
    segment: Segment,
    lock: SessionLock,
    prepare_worker: Prepare,
) -> Result<Zygote, i32> {
    match prepare(ring, &commands, host, guard, segment, lock, prepare_worker) {
        Ok(zygote) => {
            let ready = Ready {
                bytecode: zygote.worker.bytecode(),
                segment: zygote.segment.name().to_owned(),
                zygote: std::process::id().cast_signed(),
            };
            handshake::greet(&zygote.ring, &Hello::Ready(ready));
            Ok(zygote)
        }
        Err((ring, reason)) => {
            handshake::greet(&ring, &Hello::Failed(reason));
            Err(1)
        }
    }
}

fn prepare(
    ring: Ring,
    commands: &OwnedFd,
    host: OwnedFd,
    guard: OwnedFd,
    segment: Segment,
    lock: SessionLock,
    prepare_worker: Prepare,
) -> Result<Zygote, (Ring, String)> {
    let parts = (|| {
        let sentence = |what: &str, error: &dyn std::fmt::Display| format!("{what}: {error}");
        set_child_subreaper(Some(getpid()))
            .map_err(|error| sentence("failed to become a subreaper", &error))?;
        let file = segment.keep_from_children();
        let file = file.map_err(|error| sentence("failed to set the segment apart", &error))?;
        sys::buffer_lines();
        let files = sys::raise_file_limit();
        // At the terminal workers are in the background. Writing there must not stop them, and reading
        // fails instead of stopping.
        for signal in [libc::SIGTTOU, libc::SIGTTIN] {
            sys::set_signal(signal, true);
        }
        // Rust's handlers would turn a stack overflow's SIGSEGV into SIGABRT.
        // SIGXCPU is how a limit of CPU time ends a job, whatever the host does with it.
        for signal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGXCPU] {
            sys::set_signal(signal, false);
        }
        let mut children = SigSet::empty();
        children.add(Signal::SIGCHLD);
        children.thread_block().map_err(|error| sentence("failed to block SIGCHLD", &error))?;
        let signals = SignalFd::with_flags(&children, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
            .map_err(|error| sentence("failed to watch for ended workers", &error))?;
        let doorbell = doorbell().map_err(|error| sentence("failed to make a doorbell", &error))?;
        let commands =
            channel::receiver(commands).map_err(|error| sentence("failed to make a channel", &error))?;
        let tree = segment.tree_name();
        segment.header().processes[2].store(std::process::id(), Ordering::SeqCst);
        let registrar = registrar(&tree)
            .and_then(|registrar| registrar.keep_from_children().map(|()| registrar))
            .map_err(|error| sentence("failed to open what the host's processes share", &error))?;
        // Once here instead of in each worker, which may not be able to ask.
        llib_core::sys::cores::count();
        llib_core::sys::fork::watch();
        let worker = prepare_worker()?;
        Ok((signals, doorbell, commands, worker, files, file, tree, registrar))
    })();
    let (signals, doorbell, commands, worker, file_limit, segment_file, tree, registrar) = match parts {
        Ok(parts) => parts,
        Err(reason) => return Err((ring, reason)),
    };
    Ok(Zygote {
        // Workers use it until they end, so it has no earlier end than the process.
        segment: Box::leak(Box::new(segment)),
        segment_file,
        tree,
        registrar,
        _lock: lock,
        worker,
        file_limit,
        ring,
        commands,
        rung: false,
        rung_at: doorbell.0,
        doorbell: doorbell.1,
        signals,
        host,
        guard,
        crew: crew::Crew::default(),
        pending: VecDeque::new(),
        deadlines: deadlines::Deadlines::default(),
        captures: HashMap::new(),
        watchers: HashMap::new(),
        spares: spares::Spares::new(),
        refill: true,
        walls_failed: 0,
        pools: pools::Pools::default(),
        nests: nests::Nests::default(),
        processes: processes::Processes::find(),
        short: false,
        trials: preload::Trials::default(),
    })
}

/// Where the zygote hears the bell, and what workers ring. A hostile worker can take nothing away that others wrote: its
/// end gives nothing to read. Not a pipe, whose other end it could open by way of /proc/self/fd.
fn doorbell() -> rustix::io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (heard, rung) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    shutdown(&rung, Shutdown::Read)?;
    Ok((heard, rung))
}
