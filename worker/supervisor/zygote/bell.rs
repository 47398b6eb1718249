//! What workers ring. Anybody can who runs in one, as often as he likes, so it is heard a few times in a millisecond at most.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::time::Duration;

use llib_core::sys::clock;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

/// A time, and how often the bell is heard in it at most. Each costs some microseconds, and more with many who wait.
const ROUND: Duration = Duration::from_millis(1);
const MOST: u32 = 4;

/// A stream of a worker, for the [relay](super::relay).
pub(super) struct Handed {
    /// The process that has sent it, which the kernel says.
    pub(super) sender: i32,
    /// Whether it is standard error.
    pub(super) error: bool,
    pub(super) file: OwnedFd,
}

/// The end of the bell's sockets where the zygote hears it.
pub(super) struct Bell {
    pub(super) file: OwnedFd,
    /// End of the time that is counted in.
    until: u64,
    heard: u32,
}

impl Bell {
    pub(super) fn new(file: OwnedFd) -> Bell {
        Bell { file, until: 0, heard: 0 }
    }

    /// When it may be heard again; `None` now.
    pub(super) fn pause(&self) -> Option<u64> {
        (self.heard >= MOST && clock::now() < self.until).then_some(self.until)
    }

    /// Silences it. What workers wrote passes through `buffer`, which is not for others to see.
    /// If somebody has handed a stream over: that.
    pub(super) fn hear(&mut self, buffer: &mut [u8]) -> Option<Handed> {
        if clock::now() >= self.until {
            (self.until, self.heard) = (clock::after(ROUND), 0);
        }
        self.heard += 1;
        // What was written does not matter, but for the byte that comes with a descriptor.
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1), ScmCredentials(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let received = recvmsg(&self.file, &mut [IoSliceMut::new(buffer)], &mut control, flags).ok()?;
        let (mut file, mut sender) = (None, None);
        for message in control.drain() {
            match message {
                RecvAncillaryMessage::ScmRights(mut files) => file = files.next(),
                RecvAncillaryMessage::ScmCredentials(who) => sender = Some(who.pid.as_raw_nonzero().get()),
                _ => {}
            }
        }
        // Nothing is received together with what was sent after a descriptor.
        let stream = buffer.get(received.bytes.checked_sub(1)?).copied()?;
        Some(Handed { sender: sender?, error: i32::from(stream) == libc::STDERR_FILENO, file: file? })
    }
}
