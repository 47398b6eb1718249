//! The guard: the zygote's parent, and the last one to leave.
//!
//! A killed zygote's workers die with it, but what their jobs started does not. All of that reparents to the
//! guard, the next subreaper up, which kills it, tells the host and removes the session's memory. The
//! other way round the zygote looks after a killed guard. See `docs/architecture.md` for who watches whom.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use llib_core::observe::{log, trace};
use llib_core::shared::bury_session;
use llib_core::shm::{Segment, SessionLock, claim, new_name, tree_number};
use llib_core::sys::handshake::{self, Handed};
use llib_core::sys::process::is_over;
use llib_core::sys::ring::Ring;
use llib_core::sys::spawn::RING_FD;
use llib_core::wire::control::Hello;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, getpid, pidfd_open, set_child_subreaper, setpgid};

use crate::end::{self, Ending};
use crate::{Prepare, Session, failed, strays, zygote};
use llib_worker_sys::{self as sys, Forked};

/// Serves a host as its guard, and in a child as its zygote. Returns the exit code.
///
/// `host` is its process id, for those who look on; `tree` is the name of the memory that its processes share.
pub fn run(host: i32, tree: &str, prepare: Prepare) -> i32 {
    llib_core::observe::serve();
    log::act_as(log::Role::Guard);
    sys::set_title("llib-guard", "");
    sys::fill_standard_streams();
    sys::close_from(RING_FD + 1);
    sys::raise_file_size();
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
    let Handed { commands, host: process } = handed;
    match found(&ring, &process, host, tree) {
        Ok((segment, lock)) => guard(Session { ring, commands, host: process, segment, lock, prepare }),
        Err(reason) => {
            llib_core::log!(Error, "no session: {reason}");
            handshake::greet(&ring, &Hello::Failed(reason));
            1
        }
    }
}

/// Makes the session's memory.
fn found(ring: &Ring, host: &OwnedFd, pid: i32, tree: &str) -> Result<(Segment, SessionLock), String> {
    /// What the zygote opens until it serves, and some for the first job.
    const DESCRIPTORS: usize = 20;
    ring.check_room(DESCRIPTORS).map_err(failed("too small a limit of descriptors"))?;
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

fn guard(session: Session) -> i32 {
    let forked = pidfd_open(getpid(), PidfdFlags::empty())
        .map_err(io::Error::from)
        .and_then(|own| sys::fork().map(|forked| (own, forked)));
    let zygote = match forked {
        Ok((own, Forked::Child)) => {
            // A group of its own, so that a signal to the guard's group leaves one of the two.
            let _ = setpgid(None, None);
            return zygote::run(session, own);
        }
        Ok((_, Forked::Parent(pid))) => pid,
        Err(error) => {
            handshake::greet(&session.ring, &Hello::Failed(format!("failed to fork the zygote: {error}")));
            llib_core::shm::remove_session(session.segment.name());
            return 1;
        }
    };
    let Session { ring, commands, host, segment, lock, .. } = session;
    let tree = segment.tree_name();
    drop((ring, commands));
    // What earlier sessions left whose supervisors were all killed at once.
    end::sweep(&tree);
    llib_core::log!(Info, "guards session {} with zygote {zygote}", segment.name());
    watch(zygote, &host);
    llib_core::log!(Info, "zygote {zygote} is gone: what is left of {} ends", segment.name());
    end::publish(&segment, Ending::Lost, strays::kill_all);
    bury_session(&segment);
    llib_core::shm::remove_session(segment.name());
    drop(lock);
    // Among what was killed may have been the supervisors of jobs that were hosts themselves.
    end::sweep(&tree);
    0
}

/// Waits until the zygote is gone. After the host's end it gets some time to leave by itself.
fn watch(zygote: i32, host: &OwnedFd) {
    const PATIENCE: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };
    let Some(pid) = Pid::from_raw(zygote) else { return };
    let Ok(gone) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    loop {
        let mut files = [PollFd::new(&gone, PollFlags::IN), PollFd::new(host, PollFlags::IN)];
        match poll(&mut files, None) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return,
            Ok(_) if !files[0].revents().is_empty() => return,
            Ok(_) => break,
        }
    }
    let mut files = [PollFd::new(&gone, PollFlags::IN)];
    if !matches!(poll(&mut files, Some(&PATIENCE)), Ok(1..)) {
        // Our child and not reaped, so the id is still its.
        let _ = sys::kill(zygote, libc::SIGKILL);
    }
}
