//! What host and supervisors say to each other before they serve, all of it over the ring: no file, no name, no folder for
//! temporary files is needed for it.
//!
//! The host sends the end of the command channel that the zygote will hold, and a pidfd of itself; the supervisors answer with one
//! [`Hello`], and behind that the ring rings as usual.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recv, recvmsg, send, sendmsg,
};

use super::ring::Ring;
use crate::wire::control::{Hello, PROTOCOL};

/// The message with which descriptors are handed over, of a session that will have the monitor; and of one that asks it.
const HANDED: [&[u8; 12]; 2] = [b"llib: first:", b"llib: other:"];

/// What the host hands over.
pub struct Handed<T> {
    /// Where its commands arrive.
    pub commands: T,
    /// A pidfd of it, which needs neither its process id nor a permission, whatever it becomes.
    pub host: T,
    /// An end of the monitor's socket, see `crate::shm::monitor`.
    pub monitor: T,
    /// Whether that is the one where it listens.
    pub first: bool,
}

/// The longest greeting, which has a sentence in it at most.
const LONGEST: usize = 16 << 10;

/// What the host hears.
#[derive(Debug)]
pub enum Greeting {
    /// What the supervisors say.
    Hello(Hello),
    /// They are of another release, whose protocol has this number; 0 if it has none at all.
    Foreign(u32),
    /// They are gone.
    Ended,
    /// Nothing was heard in time.
    Late,
}

/// Gives the other side its descriptors, before it has even been started.
pub fn hand_over(ring: &Ring, handed: Handed<BorrowedFd<'_>>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let files = [handed.commands, handed.host, handed.monitor];
    assert!(control.push(SendAncillaryMessage::ScmRights(&files)), "the space is made for these");
    sendmsg(ring, &[IoSlice::new(HANDED[usize::from(!handed.first)])], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Takes what the other side handed over before it started this program; an error if it did not.
pub fn take_over(ring: &Ring) -> io::Result<Handed<OwnedFd>> {
    let mut bytes = [0; HANDED[0].len()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let message = recvmsg(ring, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags)?;
    let mut files = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(files) => Some(files),
        _ => None,
    });
    let mut file = || files.as_mut()?.next();
    let kind = HANDED.iter().position(|text| bytes[..message.bytes] == **text);
    match (kind, file(), file(), file()) {
        (Some(kind), Some(commands), Some(host), Some(monitor)) => {
            Ok(Handed { commands, host, monitor, first: kind == 0 })
        }
        _ => Err(io::Error::other("the host has handed nothing over")),
    }
}

/// Tells the host. One that is gone needs no answer, and one that hears none takes this side for gone.
pub fn greet(ring: &Ring, hello: &Hello) {
    if let Ok(text) = postcard::to_stdvec(hello) {
        let bytes = [&PROTOCOL.to_le_bytes()[..], &text].concat();
        let _ = send(ring, &bytes[..bytes.len().min(LONGEST)], SendFlags::NOSIGNAL);
    }
}

/// Waits for the greeting.
pub fn hear(ring: &Ring, patience: Duration) -> Greeting {
    if !ring.wait(patience) {
        return Greeting::Late;
    }
    let mut bytes = vec![0; LONGEST];
    let len = match recv(ring, &mut bytes[..], RecvFlags::DONTWAIT) {
        Ok((0, _)) | Err(_) => return Greeting::Ended,
        Ok((len, _)) => len,
    };
    // A release before this way of greeting just rings.
    let Some((protocol, text)) = bytes[..len].split_first_chunk::<4>() else { return Greeting::Foreign(0) };
    let protocol = u32::from_le_bytes(*protocol);
    match postcard::from_bytes(text) {
        Ok(hello) if protocol == PROTOCOL => Greeting::Hello(hello),
        _ => Greeting::Foreign(protocol),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_secs(5);

    #[test]
    fn a_descriptor_and_a_greeting_arrive_and_an_end_is_told_from_silence() {
        let (ours, theirs) = Ring::pair().unwrap();
        assert!(take_over(&theirs).is_err(), "nothing was handed over");
        let file = std::fs::File::open("/dev/null").unwrap();
        let file = std::os::fd::AsFd::as_fd(&file);
        hand_over(&ours, Handed { commands: file, host: file, monitor: file, first: true }).unwrap();
        let taken = take_over(&theirs).unwrap().commands;
        assert_eq!(rustix::fs::fstat(taken).unwrap().st_rdev, rustix::fs::fstat(file).unwrap().st_rdev);
        assert!(matches!(hear(&ours, Duration::ZERO), Greeting::Late));
        greet(&theirs, &Hello::Failed("for a reason".to_owned()));
        assert!(
            matches!(hear(&ours, TIME), Greeting::Hello(Hello::Failed(reason)) if reason == "for a reason")
        );
        theirs.ring();
        assert!(matches!(hear(&ours, TIME), Greeting::Foreign(0)));
        let other = (PROTOCOL + 1).to_le_bytes();
        send(&theirs, &other, SendFlags::NOSIGNAL).unwrap();
        assert!(matches!(hear(&ours, TIME), Greeting::Foreign(protocol) if protocol == PROTOCOL + 1));
        drop(theirs);
        assert!(matches!(hear(&ours, TIME), Greeting::Ended));
    }
}
