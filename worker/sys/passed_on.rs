//! Standard streams of a sandboxed worker: it has none of the host's open files, which could be read, emptied or, a terminal, typed
//! into. What it prints goes to a socket, and the zygote passes it on.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::fstat;
use rustix::io::{DupFlags, Errno};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown, SocketFlags, SocketType,
    sendmsg, shutdown, socketpair,
};
use rustix::stdio::{stderr, stdout};

/// Whether any stream of this process is passed on.
static PASSED_ON: AtomicBool = AtomicBool::new(false);

/// Has what this process prints from now on passed on by whoever hears the doorbell, of the streams that are wanted. If both lead
/// to one place they have one way there, which keeps their order.
pub fn pass_on(doorbell: RawFd, output: bool, error: bool) -> io::Result<()> {
    // SAFETY: `child` put the doorbell at this number, and nothing of a job has run that could have closed it.
    let doorbell = unsafe { BorrowedFd::borrow_raw(doorbell) };
    let together = output && error && place(stdout())? == place(stderr())?;
    if output {
        replace(doorbell, libc::STDOUT_FILENO)?;
    }
    if together {
        crate::duplicate_to(stdout(), libc::STDERR_FILENO, DupFlags::empty())?;
    } else if error {
        replace(doorbell, libc::STDERR_FILENO)?;
    }
    PASSED_ON.fetch_or(output || error, Ordering::Relaxed);
    Ok(())
}

/// What tells one open file from another.
fn place(stream: BorrowedFd<'_>) -> io::Result<(u64, u64, u64)> {
    let about = fstat(stream)?;
    Ok((about.st_dev, about.st_ino, about.st_rdev))
}

fn replace(doorbell: BorrowedFd<'_>, stream: RawFd) -> io::Result<()> {
    let (read, written) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // Each end has one use.
    shutdown(&written, Shutdown::Read)?;
    shutdown(&read, Shutdown::Write)?;
    send(doorbell, stream as u8, &read)?;
    crate::duplicate_to(&written, stream, DupFlags::empty())
}

/// Hands the end that is read to the zygote. Others may have filled the bell for a moment.
fn send(doorbell: BorrowedFd<'_>, stream: u8, end: &OwnedFd) -> io::Result<()> {
    const PATIENCE: Duration = Duration::from_secs(5);
    let since = Instant::now();
    loop {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let files = [end.as_fd()];
        assert!(control.push(SendAncillaryMessage::ScmRights(&files)), "the space is made for one");
        match sendmsg(doorbell, &[IoSlice::new(&[stream])], &mut control, SendFlags::NOSIGNAL) {
            Err(Errno::AGAIN | Errno::INTR | Errno::TOOMANYREFS) if since.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_micros(200));
            }
            sent => return sent.map(|_| ()).map_err(io::Error::from),
        }
    }
}

/// Waits until what was printed is where it belongs, so that nobody has the result before; not for long, where that place is slow.
pub fn wait_until_passed_on() {
    const PATIENCE: Duration = Duration::from_millis(100);
    if !PASSED_ON.load(Ordering::Relaxed) {
        return;
    }
    let mut since = None;
    for stream in [libc::STDOUT_FILENO, libc::STDERR_FILENO] {
        while unread(stream) > 0 && since.get_or_insert_with(Instant::now).elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_micros(20));
        }
    }
}

/// Bytes that were written to a socket and not read, unix(7): SIOCOUTQ.
fn unread(stream: RawFd) -> libc::c_int {
    let mut count = 0;
    // SAFETY: the call writes a number to the address that it is given, or fails.
    unsafe { libc::ioctl(stream, libc::TIOCOUTQ, &raw mut count) };
    count
}
