//! What zygote and template say to each other, over a pair of sockets. Orders go one way, and each is answered by a number
//! before the next one is given.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use llib_core::wire::attributes::Attributes;
use llib_core::wire::control::Preload;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recv, recvmsg, send, sendmsg, socketpair,
};
use serde::{Deserialize, Serialize};

use crate::attributes::Worn;
use crate::birth::Birth;

/// What a template is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Fork a worker, which puts this on. The descriptors are the ends of standard output and standard error, as far as they are
    /// captured.
    Worker(Birth, Captured, Worn),
    /// Take these attributes of the host on. The descriptors are a file with the environment, and the standard streams.
    Inherit(Attributes),
    /// Fork the next template, which loads this module. The descriptor is its socket.
    Template(Preload),
}

/// Which descriptors come with an order for a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Captured {
    pub(crate) output: bool,
    pub(crate) error: bool,
}

/// The most descriptors of one order.
const FILES: usize = 4;

/// More bytes than any order has: a module's name and the search paths are a host's own. Longer ones cannot be sent.
const LONGEST: usize = 128 << 10;

/// One end.
pub(crate) struct Line {
    pub(crate) socket: OwnedFd,
}

impl Line {
    /// Two connected ends.
    pub(crate) fn pair() -> io::Result<(Line, Line)> {
        let pair = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Line { socket: pair.0 }, Line { socket: pair.1 }))
    }

    /// Gives an order.
    pub(crate) fn order(&self, order: &Order, files: &[BorrowedFd<'_>]) -> io::Result<()> {
        let bytes = postcard::to_stdvec(order).map_err(io::Error::other)?;
        if bytes.len() > LONGEST {
            return Err(Errno::MSGSIZE.into());
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !files.is_empty() && !control.push(SendAncillaryMessage::ScmRights(files)) {
            return Err(Errno::MSGSIZE.into());
        }
        // One that takes none is stopped or worse: the others wait for nobody.
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        sendmsg(&self.socket, &[IoSlice::new(&bytes)], &mut control, flags)?;
        Ok(())
    }

    /// Waits for an order; none if the other side is gone.
    pub(crate) fn next(&self) -> Option<(Order, Vec<OwnedFd>)> {
        let mut bytes = vec![0; LONGEST];
        loop {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut parts = [IoSliceMut::new(&mut bytes)];
            let message = match recvmsg(&self.socket, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
                // A module may have left a handler of signals.
                Err(Errno::INTR) => continue,
                message => message.ok()?,
            };
            let files = control.drain().filter_map(|message| match message {
                RecvAncillaryMessage::ScmRights(files) => Some(files),
                _ => None,
            });
            let files = files.flatten().collect();
            return Some((postcard::from_bytes(&bytes[..message.bytes]).ok()?, files));
        }
    }

    /// Answers an order.
    pub(crate) fn answer(&self, number: i32) {
        // One that is gone needs no answer.
        let _ = send(&self.socket, &number.to_le_bytes(), SendFlags::NOSIGNAL);
    }

    /// Waits for an answer; none if it does not come in time, or the other side is gone.
    pub(crate) fn hear(&self, patience: Duration) -> Option<i32> {
        let mut files = [PollFd::new(&self.socket, PollFlags::IN)];
        let time = Timespec::try_from(patience).ok();
        loop {
            match poll(&mut files, time.as_ref()) {
                Err(Errno::INTR) => {}
                Ok(1..) => break,
                _ => return None,
            }
        }
        let mut bytes = [0; 4];
        let (len, _) = recv(&self.socket, &mut bytes, RecvFlags::DONTWAIT).ok()?;
        (len == bytes.len()).then(|| i32::from_le_bytes(bytes))
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use llib_core::wire::limits::Limits;

    #[test]
    fn orders_arrive_with_their_descriptors_and_an_end_is_seen_on_both_sides() {
        let (zygote, template) = Line::pair().unwrap();
        let nested = crate::birth::NestedBirth {
            starter: 3,
            place: 1,
            granted: Limits::default(),
            outer: Limits { memory: Some(1 << 40), ..Limits::default() },
        };
        let birth = Birth {
            index: 9,
            owner: Some((5, 7)),
            own: 4,
            spare: false,
            walled: true,
            nested: Some(nested),
            processes: Some(3),
        };
        let captured = Captured { output: true, error: true };
        let file = std::fs::File::open("/dev/null").unwrap();
        let order = Order::Worker(birth.clone(), captured, Worn::default());
        zygote.order(&order, &[file.as_fd(), file.as_fd()]).unwrap();
        match template.next() {
            Some((Order::Worker(got, with, _), files)) => {
                assert_eq!((got, with, files.len()), (birth, captured, 2));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(zygote.hear(Duration::ZERO), None);
        template.answer(-11);
        assert_eq!(zygote.hear(Duration::from_secs(5)), Some(-11));
        let module = |path: Vec<u8>| Preload {
            number: 1,
            name: b"m".to_vec(),
            path: Some(path),
            cpath: None,
            directory: None,
            time: 5,
        };
        assert!(zygote.order(&Order::Template(module(vec![b'/'; LONGEST])), &[]).is_err());
        zygote.order(&Order::Template(module(vec![b'/'; LONGEST - 100])), &[]).unwrap();
        assert!(matches!(template.next(), Some((Order::Template(_), files)) if files.is_empty()));
        drop(template);
        assert_eq!(zygote.hear(Duration::from_secs(5)), None);
        let (zygote, template) = Line::pair().unwrap();
        drop(zygote);
        assert!(template.next().is_none());
    }
}
