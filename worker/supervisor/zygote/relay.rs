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

/// All streams that are passed on.
pub(super) struct Relay {
    /// Polls readable if any of them has something for a place that takes it.
    pub(super) epoll: OwnedFd,
    lanes: HashMap<u64, Lane>,
    next: u64,
    /// Whether standard output and standard error take no more.
    full: [bool; STREAMS],
}

impl Relay {
    pub(super) fn new() -> io::Result<Relay> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Relay { epoll, lanes: HashMap::new(), next: 0, full: [false; STREAMS] })
    }

    /// Takes a stream in that the worker with this process sent. One that is none of ours is dropped.
    pub(super) fn add(&mut self, pid: i32, error: bool, socket: OwnedFd) {
        let known = self.lanes.values().filter(|lane| lane.pid == pid).count();
        if known >= STREAMS
            || epoll::add(
                &self.epoll,
                &socket,
                epoll::EventData::new_u64(self.next),
                wanted(self.full[usize::from(error)]),
            )
            .is_err()
        {
            return;
        }
        self.lanes.insert(self.next, Lane { pid, error, socket });
        self.next += 1;
    }

    /// The places to poll for room, and whether each is standard error.
    pub(super) fn full(&self) -> impl Iterator<Item = (PollFd<'static>, bool)> {
        let full = self.full;
        [false, true]
            .into_iter()
            .filter(move |error| full[usize::from(*error)])
            .map(|error| (PollFd::from_borrowed_fd(place(error), PollFlags::OUT), error))
    }

    /// A place has room again.
    pub(super) fn has_room(&mut self, error: bool) {
        self.set_full(error, false);
    }

    /// Passes on what there is, through `buffer`.
    pub(super) fn pass_on(&mut self, buffer: &mut [u8]) {
        let mut events = Vec::with_capacity(16);
        let ready =
            epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&Timespec::default()));
        if ready.is_ok() {
            for event in events {
                self.pass_on_lane(event.data.u64(), buffer);
            }
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
        let error = lane.error;
        if self.full[usize::from(error)] {
            return;
        }
        match (0..TIMES)
            .map(|_| pass(&lane.socket, place(error), buffer))
            .find(|passed| !matches!(passed, Passed::All))
        {
            Some(Passed::Full) => self.set_full(error, true),
            Some(Passed::Ended) => _ = self.lanes.remove(&key),
            _ => {}
        }
    }

    fn set_full(&mut self, error: bool, full: bool) {
        self.full[usize::from(error)] = full;
        for (key, lane) in self.lanes.iter().filter(|(_, lane)| lane.error == error) {
            // It is in the set.
            let _ = epoll::modify(&self.epoll, &lane.socket, epoll::EventData::new_u64(*key), wanted(full));
        }
    }
}

/// What to wait for at a stream whose place is full, or is not.
fn wanted(full: bool) -> epoll::EventFlags {
    if full { epoll::EventFlags::empty() } else { epoll::EventFlags::IN }
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
