//! What the zygote prepares before it serves: its Lua state, its descriptors, the handshake.

use std::collections::{HashMap, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use ipc_channel::ipc::IpcReceiver;
use llib_core::shm::{Registrar, Segment, registrar};
use llib_core::sys::{channel, handshake};
use llib_core::wire::control::{Command, Hello, Ready};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::net::sockopt::set_socket_passcred;
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType, shutdown, socketpair};
use rustix::process::{Resource, getpid, set_child_subreaper};

use super::{Zygote, bell, crew, deadlines, follow, nests, pools, processes, relay, spares, templates};
use crate::{Prepare, Session, Worker, failed};
use llib_worker_sys::{self as sys, Apart};

/// Prepares everything and greets the host. None on failure: the host has its reason.
pub(super) fn zygote(session: Session, guard: OwnedFd) -> Option<Zygote> {
    let Session { ring, commands, host, segment, lock, prepare, limits } = session;
    let host_pid = segment.header().processes[0].load(Ordering::SeqCst).cast_signed();
    let parts = match Parts::new(&segment, &commands, prepare) {
        Ok(parts) => parts,
        Err(reason) => {
            handshake::greet(&ring, &Hello::Failed(reason));
            return None;
        }
    };
    let ready = Ready {
        bytecode: parts.worker.bytecode(),
        segment: segment.name().to_owned(),
        zygote: std::process::id().cast_signed(),
    };
    handshake::greet(&ring, &Hello::Ready(ready));
    Some(Zygote {
        tree: segment.tree_name(),
        // Workers use it until they end, so it has no earlier end than the process.
        segment: Box::leak(Box::new(segment)),
        segment_file: parts.segment_file,
        registrar: parts.registrar,
        _lock: lock,
        worker: parts.worker,
        follow: follow::Follow::new(limits, host_pid),
        ring,
        commands: parts.commands,
        rung: false,
        bell: bell::Bell::new(parts.rung_at),
        doorbell: parts.doorbell,
        signals: parts.signals,
        no_signals: SigSet::empty(),
        host,
        guard,
        crew: crew::Crew::default(),
        pending: VecDeque::new(),
        deadlines: deadlines::Deadlines::default(),
        captures: HashMap::new(),
        relay: parts.relay,
        apart: parts.apart,
        watchers: HashMap::new(),
        spares: spares::Spares::new(),
        refill: true,
        walls_failed: 0,
        pools: pools::Pools::default(),
        nests: nests::Nests::default(),
        processes: processes::Processes::find(),
        retired: false,
        retired_at: 0,
        short: false,
        templates: templates::Templates::default(),
    })
}

/// Bytes of output that are read at once.
const APART: usize = 16 << 10;

/// What can fail to be had, see [`Zygote`].
struct Parts {
    segment_file: OwnedFd,
    registrar: Registrar,
    worker: Box<dyn Worker>,
    commands: IpcReceiver<Command>,
    rung_at: OwnedFd,
    doorbell: OwnedFd,
    signals: SignalFd,
    apart: Apart,
    relay: relay::Relay,
}

impl Parts {
    fn new(segment: &Segment, commands: &OwnedFd, prepare: Prepare) -> Result<Parts, String> {
        set_child_subreaper(Some(getpid())).map_err(failed("failed to become a subreaper"))?;
        let segment_file = segment.keep_from_children().map_err(failed("failed to set the segment apart"))?;
        sys::buffer_lines();
        // For the pipes of captured output.
        sys::raise_limit(Resource::Nofile);
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
        let children = SigSet::from_iter([Signal::SIGCHLD]);
        children.thread_block().map_err(failed("failed to block SIGCHLD"))?;
        let signals = SignalFd::with_flags(&children, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
            .map_err(failed("failed to watch for ended workers"))?;
        let (rung_at, doorbell) = doorbell().map_err(failed("failed to make a doorbell"))?;
        let commands = channel::receiver(commands).map_err(failed("failed to make a channel"))?;
        segment.header().processes[2].store(std::process::id(), Ordering::SeqCst);
        let registrar = registrar(&segment.tree_name())
            .and_then(|registrar| registrar.keep_from_children().map(|()| registrar))
            .map_err(failed("failed to open what the host's processes share"))?;
        // Once here instead of in each worker, which may not be able to ask.
        llib_core::sys::cores::count();
        // So that workers find the page made that tells them what they are.
        llib_core::sys::fork::process();
        let worker = prepare()?;
        let apart = Apart::new(APART).map_err(failed("failed to set memory apart"))?;
        let relay = relay::Relay::new().map_err(failed("failed to make a set of streams"))?;
        Ok(Parts { segment_file, registrar, worker, commands, rung_at, doorbell, signals, apart, relay })
    }
}

/// Where the zygote hears the bell, and what workers ring. A hostile worker can take nothing away that others wrote: its
/// end gives nothing to read. Not a pipe, whose other end it could open by way of /proc/self/fd.
fn doorbell() -> rustix::io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (heard, rung) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    shutdown(&rung, Shutdown::Read)?;
    // Who hands a stream over.
    set_socket_passcred(&heard, true)?;
    Ok((heard, rung))
}
