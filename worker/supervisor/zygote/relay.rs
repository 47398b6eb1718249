//! Passing on what sandboxed jobs print: they have a socket for it, see `llib_worker_sys::pass_on`, and the zygote writes to its
//! own standard streams, which are the host's.
//!
//! Bytes are taken from a socket only once they have been written. So a job that prints to a place which is full waits as it would
//! there, and its worker knows when all has arrived. The zygote itself never waits: not for a pipe, a terminal or a socket that nobody
//! reads.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::os::fd::{BorrowedFd, OwnedFd};

use llib_core::sys::signal::without_sigpipe;
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use rustix::fs::{FileType, fstat};
use rustix::io::{Errno, ReadWriteFlags, pwritev2};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustix::stdio::{stderr, stdout};

/// Buffers in a row, so that one job does not keep the zygote from the others.
const TIMES: usize = 4;
/// Streams of one process.
const STREAMS: usize = 2;

/// A stream of a worker.
struct Lane {
    /// The worker's process; its id may be another's later.
    pid: i32,
    error: bool,
    socket: OwnedFd,
}

/// What became of some bytes.
enum Passed {
    All,
    /// The place where they belong takes no more.
    Full,
    /// Nobody can print there any more.
    Ended,
}

/// All streams that are passed on. What is for standard output and for standard error is polled for apart: as long as one place is full,
/// nobody looks at what is for it, also not where a job has ended meanwhile.
pub(super) struct Relay {
    /// By place: polls readable if there is something for it.
    sources: [OwnedFd; STREAMS],
    /// Whether it takes no more.
    full: [bool; STREAMS],
    lanes: HashMap<u64, Lane>,
    next: u64,
}

impl Relay {
    pub(super) fn new() -> io::Result<Relay> {
        let source = || epoll::create(epoll::CreateFlags::CLOEXEC);
        let sources = [source()?, source()?];
        Ok(Relay { sources, full: [false; STREAMS], lanes: HashMap::new(), next: 0 })
    }

    /// Takes a stream in that the worker with this process sent. One that is none of ours is dropped.
    pub(super) fn add(&mut self, pid: i32, error: bool, socket: OwnedFd) {
        let known = self.lanes.values().filter(|lane| lane.pid == pid).count();
        let (source, key) = (&self.sources[usize::from(error)], epoll::EventData::new_u64(self.next));
        if known < STREAMS && epoll::add(source, &socket, key, epoll::EventFlags::IN).is_ok() {
            self.lanes.insert(self.next, Lane { pid, error, socket });
            self.next += 1;
        }
    }

    /// What to poll for, of each place: something for it, or room there.
    pub(super) fn files(&self) -> impl Iterator<Item = PollFd<'_>> {
        [false, true].into_iter().map(|error| match self.full[usize::from(error)] {
            true => PollFd::from_borrowed_fd(place(error), PollFlags::OUT),
            false => PollFd::new(&self.sources[usize::from(error)], PollFlags::IN),
        })
    }

    /// Passes on what there is for a place that polled ready, through `buffer`.
    pub(super) fn pass_on(&mut self, error: bool, buffer: &mut [u8]) {
        self.full[usize::from(error)] = false;
        let mut events = Vec::with_capacity(16);
        let (source, room) = (&self.sources[usize::from(error)], rustix::buffer::spare_capacity(&mut events));
        if epoll::wait(source, room, Some(&Timespec::default())).is_ok() {
            events.iter().for_each(|event| self.pass_on_lane(event.data.u64(), buffer));
        }
    }

    /// The same for what a process that is gone has left.
    pub(super) fn pass_on_of(&mut self, pid: i32, buffer: &mut [u8]) {
        let lanes: Vec<u64> =
            self.lanes.iter().filter(|(_, lane)| lane.pid == pid).map(|(key, _)| *key).collect();
        lanes.into_iter().for_each(|key| self.pass_on_lane(key, buffer));
    }

    fn pass_on_lane(&mut self, key: u64, buffer: &mut [u8]) {
        let Some(lane) = self.lanes.get(&key) else { return };
        let full = &mut self.full[usize::from(lane.error)];
        if *full {
            return;
        }
        let passed = (0..TIMES).map(|_| pass(&lane.socket, place(lane.error), buffer));
        match passed.into_iter().find(|passed| !matches!(passed, Passed::All)) {
            Some(Passed::Full) => *full = true,
            Some(Passed::Ended) => _ = self.lanes.remove(&key),
            _ => {}
        }
    }
}

fn place(error: bool) -> BorrowedFd<'static> {
    if error { stderr() } else { stdout() }
}

/// Passes on as much as the buffer holds.
fn pass(socket: &OwnedFd, place: BorrowedFd<'_>, buffer: &mut [u8]) -> Passed {
    let count = match recv(socket, &mut *buffer, RecvFlags::PEEK | RecvFlags::DONTWAIT) {
        Ok((_, 0)) => return Passed::Ended,
        Ok((_, count)) => count,
        Err(Errno::AGAIN | Errno::INTR) => return Passed::All,
        Err(_) => return Passed::Ended,
    };
    let mut left = match write(place, &buffer[..count]) {
        Ok(written) => written,
        Err(Errno::AGAIN) => return Passed::Full,
        // Nobody will ever read it there.
        Err(_) => count,
    };
    while left > 0 {
        match recv(socket, &mut buffer[..left], RecvFlags::DONTWAIT) {
            Ok((_, taken)) if taken > 0 => left -= taken,
            Err(Errno::INTR) => {}
            _ => return Passed::Ended,
        }
    }
    Passed::All
}

/// Writes without waiting, wherever that leads. The flags of the open file are the host's, and stay as they are.
fn write(place: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
    /// The current position.
    const HERE: u64 = u64::MAX;
    /// What is written where only a look beforehand says whether there is room; less than what that promises of a pipe.
    const SMALL: usize = 512;
    let kind = FileType::from_raw_mode(fstat(place)?.st_mode);
    without_sigpipe(|| match kind {
        FileType::RegularFile => rustix::io::write(place, bytes),
        FileType::Socket => send(place, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL),
        _ => match pwritev2(place, &[IoSlice::new(bytes)], HERE, ReadWriteFlags::NOWAIT) {
            Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS | Errno::SPIPE) => {
                let mut room = [PollFd::from_borrowed_fd(place, PollFlags::OUT)];
                poll(&mut room, Some(&Timespec::default()))?;
                if !room[0].revents().intersects(PollFlags::OUT | PollFlags::ERR) {
                    return Err(Errno::AGAIN);
                }
                rustix::io::write(place, &bytes[..bytes.len().min(SMALL)])
            }
            written => written,
        },
    })
}
