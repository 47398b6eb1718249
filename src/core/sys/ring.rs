//! The wire between host and zygote that can be polled: it wakes the zygote, carries descriptors to it and what the host's
//! attributes are, and its closing tells either side that the other is gone.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, Shutdown, SocketFlags, SocketType, recvmsg, sendmsg, shutdown,
    socketpair,
};

use crate::wire::control::Watched;

/// One end.
pub struct Ring {
    socket: OwnedFd,
}

/// What a ring says.
#[derive(Debug)]
pub enum Rung {
    /// Look at the slot table and the commands.
    Plain,
    /// Make this descriptor readable once the job is over.
    Watch(Watched, OwnedFd),
    /// A part of a long message.
    Part(Part),
    /// The other side is gone, or is none of ours.
    Closed,
    /// Nothing more for now.
    Empty,
}

/// A part of a long message. The parts of one come in their order, with none of another between them.
#[derive(Debug)]
pub struct Part {
    /// Number of the message.
    pub number: u32,
    /// Bytes of the whole message.
    pub total: usize,
    /// The bytes of this part. What they say may be a secret.
    pub bytes: Vec<u8>,
    /// Descriptors; those of a message come with its first part.
    pub files: Vec<OwnedFd>,
}

/// What a plain ring sends. Anything else comes from a program that is not ours.
const BELL: u8 = 0xb3;
/// How a part begins; its number and the total follow. What is watched begins otherwise.
const PART: u8 = 0xb4;
/// Bytes before those of a part.
const HEAD: usize = 9;
/// The longest packet: a part, for more bytes than it takes to say what is watched.
const LONGEST: usize = 4 << 10;
/// Most descriptors that come with a packet.
const FILES: usize = 3;

impl Ring {
    /// Two connected ends; both close on exec.
    pub fn pair() -> io::Result<(Ring, Ring)> {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Ring { socket: ours }, Ring { socket: theirs }))
    }

    /// An end that a process was started with.
    pub fn from_fd(socket: OwnedFd) -> Ring {
        Ring { socket }
    }

    /// Makes sure that this process can have so many more descriptors. For the start of a session: where
    /// `ipc-channel` runs out of them it panics, and some of what panics is done once a process, so that it
    /// could never be used again.
    pub fn check_room(&self, count: usize) -> io::Result<()> {
        let copies: Result<Vec<OwnedFd>, _> =
            (0..count).map(|_| fcntl_dupfd_cloexec(&self.socket, 0)).collect();
        copies.map(drop).map_err(io::Error::from)
    }

    /// Rings. Never blocks and never raises SIGPIPE: a full wire wakes the other side anyway, and a closed
    /// one is found out by whoever waits.
    pub fn ring(&self) {
        let _ = rustix::net::send(&self.socket, &[BELL], SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
    }

    /// Closes it for both sides, whoever else has this end.
    pub fn close(&self) {
        // One whose other side is gone is closed.
        let _ = shutdown(&self.socket, Shutdown::Both);
    }

    /// Sends a descriptor that shall become readable once `job` is over.
    pub fn watch(&self, job: Watched, file: BorrowedFd<'_>) -> io::Result<()> {
        let bytes = postcard::to_stdvec(&job).map_err(io::Error::other)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let files = [file];
        assert!(control.push(SendAncillaryMessage::ScmRights(&files)), "the space is made for one");
        sendmsg(&self.socket, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Sends a message of any length with up to three descriptors, in parts. Waits where the other side is slow to take them.
    pub fn send_long(&self, number: u32, bytes: &[u8], files: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut head = [PART; HEAD];
        head[1..5].copy_from_slice(&number.to_le_bytes());
        head[5..].copy_from_slice(&u32::try_from(bytes.len()).map_err(io::Error::other)?.to_le_bytes());
        for (at, part) in bytes.chunks(LONGEST - HEAD).enumerate() {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if at == 0 && !files.is_empty() {
                let message = SendAncillaryMessage::ScmRights(files);
                assert!(control.push(message), "callers have three descriptors at most");
            }
            let part = [IoSlice::new(&head), IoSlice::new(part)];
            while let Err(error) = sendmsg(&self.socket, &part, &mut control, SendFlags::NOSIGNAL) {
                if error != Errno::INTR {
                    return Err(error.into());
                }
            }
        }
        Ok(())
    }

    /// What came, without waiting.
    pub fn receive(&self) -> Rung {
        let mut bytes = [0; LONGEST];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let len = match recvmsg(&self.socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags) {
            Ok(message) => message.bytes,
            Err(Errno::AGAIN | Errno::INTR) => return Rung::Empty,
            Err(_) => return Rung::Closed,
        };
        if len == 1 && bytes[0] == BELL {
            return Rung::Plain;
        }
        let files = control.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(files) => Some(files),
            _ => None,
        });
        let mut files = files.flatten();
        if len >= HEAD && bytes[0] == PART {
            let word = |at: usize| u32::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]));
            let (number, total) = (word(1), word(5) as usize);
            let part = Part { number, total, bytes: bytes[HEAD..len].to_vec(), files: files.collect() };
            erase(&mut bytes);
            return Rung::Part(part);
        }
        let Ok(job) = postcard::from_bytes(&bytes[..len]) else { return Rung::Closed };
        files.next().map_or(Rung::Plain, |file| Rung::Watch(job, file))
    }

    /// Waits until the other side has rung or is gone; false when the time is over.
    pub fn wait(&self, time: Duration) -> bool {
        let mut files = [PollFd::new(&self.socket, PollFlags::IN)];
        let time = Timespec::try_from(time).ok();
        loop {
            match poll(&mut files, time.as_ref()) {
                Ok(ready) => return ready > 0,
                Err(Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    }
}

/// Overwrites bytes that may be a secret, for memory that is copied to processes which must not know it.
pub fn erase(bytes: &mut [u8]) {
    bytes.fill(0);
    // So that the compiler does not find it useless.
    std::hint::black_box(bytes);
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::control::{JobRef, PoolJobRef};

    #[test]
    fn a_ring_arrives_a_watch_brings_its_descriptor_and_a_closed_end_is_seen() {
        let (ours, theirs) = Ring::pair().unwrap();
        assert!(matches!(theirs.receive(), Rung::Empty));
        ours.ring();
        let jobs = [
            Watched::Job(JobRef { slot: 70, generation: 9 }),
            Watched::Pooled(PoolJobRef { pool: 3, slot: 1000, number: u64::MAX - 5 }, 77),
        ];
        jobs.iter().for_each(|job| ours.watch(*job, ours.as_fd()).unwrap());
        assert!(theirs.wait(Duration::from_secs(5)));
        assert!(matches!(theirs.receive(), Rung::Plain));
        for job in jobs {
            assert!(matches!(theirs.receive(), Rung::Watch(got, _) if got == job));
        }
        drop(ours);
        assert!(theirs.wait(Duration::from_secs(5)));
        assert!(matches!(theirs.receive(), Rung::Closed));
    }

    #[test]
    fn a_long_message_arrives_in_parts_with_its_descriptors_in_the_first() {
        let (ours, theirs) = Ring::pair().unwrap();
        let message: Vec<u8> = (0..30_000u32).map(|at| at as u8).collect();
        let files = [ours.as_fd(), ours.as_fd(), ours.as_fd()];
        ours.send_long(7, &message, &files).unwrap();
        ours.send_long(8, b"x", &[]).unwrap();
        let (mut whole, mut counts) = (Vec::new(), Vec::new());
        while whole.len() < message.len() {
            let Rung::Part(part) = theirs.receive() else { panic!("parts of the message come first") };
            assert_eq!((part.number, part.total), (7, message.len()));
            whole.extend_from_slice(&part.bytes);
            counts.push(part.files.len());
        }
        assert_eq!((whole, counts[0], counts[1..].iter().sum()), (message, 3, 0));
        let last = theirs.receive();
        assert!(matches!(last, Rung::Part(Part { number: 8, total: 1, files, .. }) if files.is_empty()));
        assert!(matches!(theirs.receive(), Rung::Empty));
    }
}
