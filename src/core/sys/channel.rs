//! Ends of `ipc-channel`'s channels as descriptors, and back.
//!
//! The library passes ends within messages alone, and for the first one it has a socket with a name in the folder for temporary
//! files: a folder that may be missing, full, read-only, or too long for an address. Here the first end goes from the
//! host to the zygote as a descriptor (`handshake`). The library tells the number of one only in an end's `Debug` text; the test
//! below notices if that changes.

#![allow(unsafe_code)]

use std::fmt::Debug;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Once;

use ipc_channel::ipc::{self, IpcReceiver};
use rustix::io::{DupFlags, dup3};
use rustix::net::SocketType;
use rustix::net::sockopt::socket_type;
use serde::{Deserialize, Serialize};

/// Has the library learn how long a message may be, while there are descriptors for it: it panics if it cannot, and never
/// tries again.
pub fn prepare() -> io::Result<()> {
    static DONE: Once = Once::new();
    if !DONE.is_completed() {
        let (sender, _receiver) = ipc::channel::<u8>()?;
        sender.send(0).map_err(io::Error::other)?;
        DONE.call_once(|| ());
    }
    Ok(())
}

/// The descriptor of a channel's receiving end.
pub fn descriptor<T: Debug>(receiver: &IpcReceiver<T>) -> io::Result<BorrowedFd<'_>> {
    let number = number(receiver)?;
    // SAFETY: the receiver has this descriptor, and is borrowed as long as the result.
    let file = unsafe { BorrowedFd::borrow_raw(number) };
    check(file)?;
    Ok(file)
}

/// The receiving end of a channel that came as a descriptor.
pub fn receiver<T>(file: &OwnedFd) -> io::Result<IpcReceiver<T>>
where
    T: Debug + Serialize + for<'de> Deserialize<'de>,
{
    prepare()?;
    let (_, receiver) = ipc::channel::<T>()?;
    // SAFETY: the number is that of the receiver, which owns it before and after; what it meant before is closed by the
    // call, and nobody else knows of that. It is not closed here.
    let mut target = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(number(&receiver)?) });
    check(target.as_fd())?;
    dup3(file, &mut target, DupFlags::CLOEXEC)?;
    Ok(receiver)
}

/// The only number in its text.
fn number<T: Debug>(receiver: &IpcReceiver<T>) -> io::Result<RawFd> {
    let text = format!("{receiver:?}");
    let digits = text.split(|letter: char| !letter.is_ascii_digit()).find(|digits| !digits.is_empty());
    digits
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| io::Error::other("a channel has no descriptor"))
}

/// That it is what channels are made of.
fn check(file: BorrowedFd<'_>) -> io::Result<()> {
    if socket_type(file)? == SocketType::SEQPACKET {
        Ok(())
    } else {
        Err(io::Error::other("a channel has another descriptor than it shows"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_goes_another_way_as_a_descriptor_and_is_one_again() {
        let (sender, first) = ipc::channel::<u32>().unwrap();
        sender.send(1).unwrap();
        let copy = descriptor(&first).unwrap().try_clone_to_owned().unwrap();
        drop(first);
        let second: IpcReceiver<u32> = receiver(&copy).unwrap();
        drop(copy);
        sender.send(2).unwrap();
        assert_eq!((second.recv().unwrap(), second.recv().unwrap()), (1, 2));
        drop(second);
        assert!(sender.send(3).is_err(), "the receiver was the last one");
    }
}
