//! The guard: the zygote's parent, and the last one to leave.
//!
//! A killed zygote's workers die with it, but what their jobs started does not. All of that reparents to the
//! guard, the next subreaper up, which kills it, tells the host and removes the session's memory. The
//! other way round the zygote looks after a killed guard. See `docs/architecture.md` for who watches whom.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::time::Duration;

use llib_core::observe::{log, trace};
use llib_core::shared::bury_session;
use llib_core::shm::{Segment, SessionLock, claim, monitor, new_name, tree_number};
use llib_core::sys::clock;
use llib_core::sys::credentials::Sets;
use llib_core::sys::handshake::{self, Handed};
use llib_core::sys::process::is_over;
use llib_core::sys::ring::Ring;
use llib_core::sys::spawn::RING_FD;
use llib_core::wire::attributes::{Limit, RESOURCES};
use llib_core::wire::control::Hello;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Resource, getpid, pidfd_open, set_child_subreaper, setpgid};

use crate::end::{self, Ending};
use crate::monitor::{Heard, Monitor};
use crate::{Prepare, Session, failed, identity, strays, zygote};
use llib_worker_sys::{self as sys, Forked};

/// A session that is to be made.
pub(crate) struct Order {
    pub(crate) ring: Ring,
    pub(crate) handed: Handed<OwnedFd>,
    /// The host's process id, for those who look on.
    pub(crate) host: i32,
    /// Name of the memory that the host's processes share.
    pub(crate) tree: String,
    /// The host's limits, as far as they are known.
    pub(crate) limits: Box<[Limit; RESOURCES]>,
}

/// What becomes of this process.
enum Next {
    /// It ends with this code.
    Exit(i32),
    /// It was forked to be another guard.
    Guard(Box<Order>),
}

/// Serves a host as its guard, and in a child as its zygote. Returns the exit code.
///
/// `host` is its process id, for those who look on; `tree` is the name of the memory that its processes share; `sets` are its
/// capabilities.
pub fn run(host: i32, tree: &str, sets: Sets, prepare: Prepare) -> i32 {
    llib_core::observe::serve();
    log::act_as(log::Role::Guard);
    sys::set_title("llib-guard", "");
    sys::environment::note();
    sys::fill_standard_streams();
    sys::close_from(RING_FD + 1);
    let limits = Box::new(llib_core::sys::limits::all());
    // A job that is a host itself may have a limit, and memory is files.
    sys::raise_limit(Resource::Fsize);
    let ring = Ring::from_fd(sys::inherited(RING_FD));
    if trace::on() {
        trace::Track::own().name("guard");
    }
    // The Rust runtime of some executables ignores it; jobs expect the default, as a shell gives it.
    sys::set_signal(libc::SIGPIPE, false);
    let handed = match handshake::take_over(&ring) {
        Ok(handed) => handed,
        Err(error) => {
            eprintln!("llib-worker: {error}: it is of another release, or none of llib's");
            return 2;
        }
    };
    if let Err(error) = identity::narrow(sets) {
        let reason = format!("failed to give up capabilities that the host has given up: {error}");
        handshake::greet(&ring, &Hello::Failed(reason));
        return 1;
    }
    let mut order = Box::new(Order { ring, handed, host, tree: tree.to_owned(), limits });
    loop {
        match serve(*order, prepare) {
            Next::Exit(code) => return code,
            Next::Guard(next) => order = next,
        }
    }
}

fn serve(order: Order, prepare: Prepare) -> Next {
    let Order { ring, handed, host: pid, tree, limits } = order;
    let Handed { commands, host, monitor, first } = handed;
    let listens = if first {
        Some(monitor)
    } else {
        monitor::use_from_now_on(monitor);
        None
    };
    let made = found(&ring, &host, pid, &tree).and_then(|(segment, lock)| {
        let listens =
            listens.map(|socket| Monitor::new(socket, &tree, segment.name(), *limits)).transpose()?;
        Ok((segment, lock, listens))
    });
    match made {
        Ok((segment, lock, listens)) => {
            guard(Session { ring, commands, host, segment, lock, prepare, limits: *limits }, listens)
        }
        Err(reason) => {
            llib_core::log!(Error, "no session: {reason}");
            handshake::greet(&ring, &Hello::Failed(reason));
            Next::Exit(1)
        }
    }
}

/// Makes the session's memory.
fn found(ring: &Ring, host: &OwnedFd, pid: i32, tree: &str) -> Result<(Segment, SessionLock), String> {
    /// What the zygote opens until it serves, and some for the first job.
    const DESCRIPTORS: usize = 20;
    ring.check_room(DESCRIPTORS).map_err(failed("the limit of open descriptors, ulimit -n, is too low"))?;
    if is_over(host) {
        return Err("the host is gone".to_owned());
    }
    set_child_subreaper(Some(getpid())).map_err(failed("failed to become a subreaper"))?;
    let tree = tree_number(tree).ok_or("the name of the host's shared memory is none")?;
    loop {
        let name = new_name().map_err(failed("failed to name the session"))?;
        let segment = Segment::create(&name, tree).map_err(|error| error.to_string())?;
        if let Some(lock) = claim(&name).map_err(failed("failed to lock the session's memory"))? {
            let processes = &segment.header().processes;
            processes[0].store(pid.cast_unsigned(), Ordering::SeqCst);
            processes[1].store(std::process::id(), Ordering::SeqCst);
            return Ok((segment, lock));
        }
    }
}

fn guard(session: Session, monitor: Option<Monitor>) -> Next {
    let forked = pidfd_open(getpid(), PidfdFlags::empty())
        .map_err(io::Error::from)
        .and_then(|own| sys::fork().map(|forked| (own, forked)));
    let zygote = match forked {
        Ok((own, Forked::Child)) => {
            // A group of its own, so that a signal to the guard's group leaves one of the two.
            let _ = setpgid(None, None);
            drop(monitor);
            return Next::Exit(zygote::run(session, own));
        }
        Ok((_, Forked::Parent(pid))) => pid,
        Err(error) => {
            handshake::greet(&session.ring, &Hello::Failed(format!("failed to fork the zygote: {error}")));
            llib_core::shm::remove_session(session.segment.name());
            return Next::Exit(1);
        }
    };
    let Session { ring, commands, host, segment, lock, .. } = session;
    let tree = segment.tree_name();
    drop((ring, commands));
    // The host may turn its own elsewhere, and those who read what it has now want to see their end.
    for stream in [libc::STDIN_FILENO, libc::STDOUT_FILENO] {
        sys::silence(stream);
    }
    if log::path().is_some() || !log::on(log::Level::Error) {
        sys::silence(libc::STDERR_FILENO);
    }
    // What earlier sessions left whose supervisors were all killed at once.
    end::sweep(&tree);
    llib_core::log!(Info, "guards session {} with zygote {zygote}", segment.name());
    let mut watch = Watch { host, monitor };
    let process = Pid::from_raw(zygote).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    if let Some(process) = process
        && let Some(order) = watch.until_gone(zygote, process)
    {
        return Next::Guard(order);
    }
    llib_core::log!(Info, "zygote {zygote} is gone: what is left of {} ends", segment.name());
    let others = |pid: i32| watch.monitor.as_ref().is_some_and(|monitor| monitor.has_forked(pid));
    end::publish(&segment, Ending::Lost, || strays::kill_all_but(&others));
    bury_session(&segment);
    llib_core::shm::remove_session(segment.name());
    drop((segment, lock));
    // Among what was killed may have been the supervisors of jobs that were hosts themselves.
    end::sweep(&tree);
    if !watch.monitor.as_ref().is_some_and(|monitor| monitor.stays) {
        return Next::Exit(0);
    }
    sys::set_title("llib-monitor", "");
    if let Some(order) = watch.until_nobody_asks() {
        return Next::Guard(order);
    }
    // The host could remove nothing of it any more.
    end::sweep(&tree);
    Next::Exit(0)
}

/// What a guard looks out for.
struct Watch {
    host: OwnedFd,
    monitor: Option<Monitor>,
}

impl Watch {
    /// Waits until the zygote is gone. After the host's end it gets some time to leave by itself. One that was stopped, by a
    /// job for instance, goes on: a host waits for it. In a child that was forked meanwhile: what that has to do.
    fn until_gone(&mut self, zygote: i32, process: OwnedFd) -> Option<Box<Order>> {
        const PATIENCE: Duration = Duration::from_secs(5);
        let children = SigSet::from_iter([Signal::SIGCHLD]);
        let signals = children
            .thread_block()
            .and_then(|()| SignalFd::with_flags(&children, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC));
        let mut patience = None;
        loop {
            while let Some((pid, stopped)) = sys::next_stop() {
                if stopped && pid == zygote {
                    let _ = sys::kill(zygote, libc::SIGCONT);
                }
            }
            let host = patience.is_none().then_some(&self.host);
            let time = patience.map(clock::until);
            let files = [Some(&process), host].into_iter().flatten().map(AsFd::as_fd);
            let files = files.chain(signals.as_ref().ok().map(AsFd::as_fd));
            let ready = poll_with(files.collect(), self.monitor.as_ref(), time);
            if ready.first() == Some(&true) {
                return None;
            }
            if ready.last() == Some(&true) {
                let _ = signals.as_ref().map(SignalFd::read_signal);
            }
            if patience.is_some_and(|end| clock::until(end).is_zero()) {
                // Our child and not reaped, so the id is still its.
                let _ = sys::kill(zygote, libc::SIGKILL);
            }
            if patience.is_none() && ready.get(1) == Some(&true) {
                patience = Some(clock::after(PATIENCE));
            }
            if let Some(order) = self.hear(zygote) {
                return Some(order);
            }
        }
    }

    /// Serves as a monitor as long as somebody can ask.
    fn until_nobody_asks(&mut self) -> Option<Box<Order>> {
        while let Some(monitor) = &self.monitor {
            let alone = monitor.guards().next().is_none();
            let files = alone.then_some(self.host.as_fd()).into_iter().collect();
            let ready = poll_with(files, self.monitor.as_ref(), None);
            if alone && ready.first() == Some(&true) {
                return None;
            }
            if let Some(order) = self.hear(0) {
                return Some(order);
            }
        }
        None
    }

    fn hear(&mut self, zygote: i32) -> Option<Box<Order>> {
        let monitor = self.monitor.as_mut()?;
        monitor.reap(zygote);
        match monitor.hear() {
            Heard::Answered => {}
            Heard::Closed => self.monitor = None,
            Heard::Guard(order) => return Some(order),
        }
        None
    }
}

/// Waits until one of these is ready, or the monitor is asked, or one of its guards has ended. Which of `files` are.
fn poll_with(files: Vec<BorrowedFd<'_>>, monitor: Option<&Monitor>, time: Option<Duration>) -> Vec<bool> {
    let count = files.len();
    let asked = monitor.map(Monitor::socket);
    let guards = monitor.into_iter().flat_map(Monitor::guards);
    let all = files.into_iter().chain(asked).chain(guards);
    let mut all: Vec<_> = all.map(|file| PollFd::from_borrowed_fd(file, PollFlags::IN)).collect();
    let time = time.and_then(|time| Timespec::try_from(time).ok());
    // Where it fails nothing is ready, and it is tried again.
    let _ = poll(&mut all, time.as_ref());
    all[..count].iter().map(|file| !file.revents().is_empty()).collect()
}
