//! The monitor: the first session's guard, which serves sessions of a host that has given up privileges since.
//!
//! It keeps what the host had, and so it runs no jobs: it opens files of shared memory for those who cannot any more, and forks
//! guards that become what the host is now. Each of them makes a session of its own; nothing is run or opened by name for it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use llib_core::shm::monitor::{Files, answer};
use llib_core::sys::handshake::{self, Handed};
use llib_core::sys::process::is_over;
use llib_core::sys::ring::Ring;
use llib_core::wire::attributes::{Limit, RESOURCES};
use llib_core::wire::control::Hello;
use llib_core::wire::monitor::{Answer, Request};
use rustix::process::{Pid, PidfdFlags, pidfd_open, setpgid};

use crate::guard::Order;
use crate::identity::Identity;
use crate::strays;
use llib_worker_sys::asked::{self, Asked};
use llib_worker_sys::{self as sys, Forked};

/// See the module's header.
pub(crate) struct Monitor {
    socket: OwnedFd,
    files: Files,
    /// What its host's limits were.
    limits: [Limit; RESOURCES],
    /// The guards that it has forked: process ids, and pidfds.
    guards: Vec<(i32, OwnedFd)>,
    /// Whether it is to stay when its own session is over.
    pub(crate) stays: bool,
}

/// What came of a question.
pub(crate) enum Heard {
    /// It was answered.
    Answered,
    /// Nobody can ask any more.
    Closed,
    /// This is the child that was forked for it.
    Guard(Box<Order>),
}

impl Monitor {
    /// Listens on a socket for questions about the files of a tree and a session, and of what it starts itself.
    pub(crate) fn new(
        socket: OwnedFd,
        tree: &str,
        session: &str,
        limits: [Limit; RESOURCES],
    ) -> Result<Monitor, String> {
        asked::learn_senders(&socket).map_err(crate::failed("failed to learn who asks"))?;
        Ok(Monitor { socket, files: Files::new(tree, session), limits, guards: Vec::new(), stays: false })
    }

    /// Polls readable when somebody asks.
    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Poll readable when a guard has ended.
    pub(crate) fn guards(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.guards.iter().map(|(_, process)| process.as_fd())
    }

    /// Whether a child is one of its guards.
    pub(crate) fn has_forked(&self, pid: i32) -> bool {
        self.guards.iter().any(|(guard, _)| *guard == pid)
    }

    /// Takes the exit statuses of guards that have ended, and of what they left.
    pub(crate) fn reap(&mut self, zygote: i32) {
        self.guards.retain(|(pid, process)| {
            let ended = is_over(process);
            if ended {
                llib_core::log!(Info, "the guard {pid} has ended");
                sys::reap_child(*pid);
            }
            !ended
        });
        // The zygote's status is not taken: its end is noticed by its pidfd, and its id stays its own until then.
        while let Some(pid) = sys::next_ended().filter(|pid| *pid != zygote) {
            sys::reap_child(pid);
        }
    }

    /// Hears what somebody asks.
    pub(crate) fn hear(&mut self) -> Heard {
        let asked = match asked::receive(&self.socket) {
            Ok(Some(asked)) => asked,
            Ok(None) => return Heard::Closed,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Heard::Answered,
            Err(error) => {
                llib_core::log!(Warn, "a question to the monitor is lost: {error}");
                return Heard::Answered;
            }
        };
        let Asked { bytes, mut files, from } = asked;
        if files.is_empty() {
            return Heard::Answered;
        }
        let to = files.remove(0);
        let Some(request) = Request::read(&bytes) else { return Heard::Answered };
        if matches!(request, Request::Stay) {
            self.stays = true;
            answer(&to, &Answer::Done, None);
            return Heard::Answered;
        }
        let Request::Session { host, tree } = request else {
            let (said, file) = self.files.serve(&request);
            answer(&to, &said, file.as_ref().map(AsFd::as_fd));
            return Heard::Answered;
        };
        let asked = Asked { bytes, files: Vec::new(), from };
        match self.fork_guard(&asked, files, host, tree, &to) {
            Ok(None) => Heard::Answered,
            Ok(Some(order)) => Heard::Guard(Box::new(order)),
            Err(reason) => {
                llib_core::log!(Warn, "no guard is forked for process {host}: {reason}");
                answer(&to, &Answer::Refused(reason), None);
                Heard::Answered
            }
        }
    }

    /// Forks a guard that becomes what the process is that asks; in the child what it has to do.
    fn fork_guard(
        &mut self,
        asked: &Asked,
        files: Vec<OwnedFd>,
        host: i32,
        tree: String,
        to: &OwnedFd,
    ) -> Result<Option<Order>, String> {
        let [ring, commands, monitor, process] =
            files.try_into().map_err(|_| "it did not send what a session needs".to_owned())?;
        let identity = Identity::of(asked, &process, &ring)?;
        match sys::fork().map_err(crate::failed("failed to fork a guard"))? {
            Forked::Parent(pid) => {
                let child = Pid::from_raw(pid).ok_or("failed to fork a guard")?;
                let own = pidfd_open(child, PidfdFlags::empty())
                    .map_err(crate::failed("failed to watch a guard"))?;
                llib_core::log!(
                    Info,
                    "forked guard {pid} for process {host}, which has other privileges now"
                );
                answer(to, &Answer::Forked(pid), Some(own.as_fd()));
                self.guards.push((pid, own));
                Ok(None)
            }
            Forked::Child => {
                sys::set_title("llib-guard", "");
                let _ = setpgid(None, None);
                let ring = Ring::from_fd(ring);
                if let Err(reason) = identity.assume() {
                    llib_core::log!(Error, "no session: {reason}");
                    handshake::greet(&ring, &Hello::Failed(reason));
                    sys::exit_now(1);
                }
                strays::look_again();
                let handed = Handed { commands, host: process, monitor, first: false };
                Ok(Some(Order { ring, handed, host, tree, limits: Box::new(self.limits) }))
            }
        }
    }
}
