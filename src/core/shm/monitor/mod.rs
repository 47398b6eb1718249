//! The monitor: a guard that opens files of shared memory for those who cannot any more.
//!
//! A host that gives up its user or its root directory has shared memory whose files belong to the old user, or whose folder is out
//! of reach. Processes of its later sessions, and the host itself, ask the guard of the first one then: it opens files by their
//! names, of this tree and of these sessions alone, and sends the descriptors. It runs no jobs.
//!
//! All who may ask share one end of a socket. Each question carries a socket of its own for the answer, so answers cannot mix.

mod files;

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, fstat};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

use super::confined::is_confined;
use crate::wire::monitor::{Answer, Request};

pub use files::Files;

/// The most that an answer takes; names that do not fit are left out.
pub const LONGEST: usize = 64 << 10;
/// How many descriptors go with a question.
pub const FILES: usize = 5;

/// The number of this process's end; -1 if it has none.
static END: AtomicI32 = AtomicI32::new(-1);
/// Which socket that is. A process that was forked may have closed it, and have another file under the number.
static SOCKET: AtomicU64 = AtomicU64::new(0);
/// Sets the end of a process that has changed since it last asked whether it has, see [`find_by`].
static FIND: OnceLock<fn()> = OnceLock::new();

/// Which socket a descriptor is; 0 for what is none, or closed.
pub fn socket_number(file: BorrowedFd<'_>) -> u64 {
    let about = fstat(file).ok().filter(|about| FileType::from_raw_mode(about.st_mode) == FileType::Socket);
    about.map_or(0, |about| about.st_ino)
}

/// From now on this process, and those that it forks, ask this monitor for what they cannot open themselves.
pub fn use_from_now_on(end: OwnedFd) {
    forget();
    SOCKET.store(socket_number(end.as_fd()), Ordering::SeqCst);
    END.store(end.into_raw_fd(), Ordering::SeqCst);
}

/// The end that this process asks with.
pub fn end() -> Option<BorrowedFd<'static>> {
    let number = Some(END.load(Ordering::SeqCst)).filter(|number| *number >= 0)?;
    // SAFETY: the descriptor is this module's, and open: whoever closes it or moves it has set another number before. Where a
    // program has closed it, another file of the number is looked at and not used.
    let end = unsafe { BorrowedFd::borrow_raw(number) };
    (socket_number(end) == SOCKET.load(Ordering::SeqCst)).then_some(end)
}

/// Has `find` called where this process cannot open a file and has no end: it may call [`use_from_now_on`].
pub fn find_by(find: fn()) {
    FIND.get_or_init(|| find);
}

/// As [`end`], for something that has failed without.
fn end_in_need() -> Option<BorrowedFd<'static>> {
    end().or_else(|| {
        FIND.get()?();
        end()
    })
}

/// Notes that the end has another number now; the old one is closed by the caller.
pub fn moved_to(number: RawFd) {
    END.store(number, Ordering::SeqCst);
}

/// Asks nobody any more.
pub fn forget() {
    let old = end().map(|end| end.as_raw_fd());
    END.store(-1, Ordering::SeqCst);
    if let Some(old) = old {
        // SAFETY: it was this module's own, and nobody else has the number now.
        drop(unsafe { OwnedFd::from_raw_fd(old) });
    }
}

/// Two connected ends, for those who ask and for a monitor; both close on exec.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// Asks a monitor; the answer, and the descriptor that came with it.
pub fn ask(
    end: BorrowedFd<'_>,
    request: &Request,
    files: &[BorrowedFd<'_>],
) -> io::Result<(Answer, Option<OwnedFd>)> {
    /// It does nothing else but answer.
    const PATIENCE: Timespec = Timespec { tv_sec: 20, tv_nsec: 0 };
    let bytes = postcard::to_stdvec(request).map_err(io::Error::other)?;
    let (ours, theirs) = pair()?;
    let mut all = vec![theirs.as_fd()];
    all.extend(files);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&all)), "the space is made for them");
    sendmsg(end, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL)?;
    drop(all);
    drop(theirs);
    let mut waits = [PollFd::new(&ours, PollFlags::IN)];
    loop {
        match poll(&mut waits, Some(&PATIENCE)) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Err(Errno::INTR) => {}
            ready => break ready.map(drop)?,
        };
    }
    let mut bytes = vec![0; LONGEST];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let len = recvmsg(&ours, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags)?.bytes;
    let file = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    });
    if len == 0 {
        return Err(io::Error::other("the supervisor that was to answer is gone"));
    }
    Ok((postcard::from_bytes(&bytes[..len]).map_err(io::Error::other)?, file))
}

/// Answers a question; one who is gone needs no answer.
pub fn answer(to: impl AsFd, answer: &Answer, file: Option<BorrowedFd<'_>>) {
    let Ok(bytes) = postcard::to_stdvec(answer) else { return };
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let files: Vec<BorrowedFd<'_>> = file.into_iter().collect();
    if !files.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&files));
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    let _ = sendmsg(to, &[IoSlice::new(&bytes)], &mut control, flags);
}

/// Whether an error says that somebody else might be able to open the file.
pub(super) fn is_out_of_reach(error: Errno) -> bool {
    matches!(error, Errno::NOENT | Errno::ACCESS | Errno::PERM | Errno::NOTDIR | Errno::ROFS)
}

/// What the monitor says where this process itself failed with `error`; that, if there is none to ask.
pub(super) fn instead(error: Errno, request: impl FnOnce() -> Request) -> Result<OwnedFd, Errno> {
    if !is_out_of_reach(error) || is_confined() {
        return Err(error);
    }
    let Some(end) = end_in_need() else { return Err(error) };
    match ask(end, &request(), &[]) {
        Ok((Answer::Done, Some(file))) => Ok(file),
        Ok((Answer::Failed(number), _)) => Err(Errno::from_raw_os_error(number)),
        _ => Err(error),
    }
}

/// Has the monitor do something with a name, where there is one.
pub(super) fn order(request: Request) -> Result<(), Errno> {
    let Some(end) = end_in_need().filter(|_| !is_confined()) else { return Err(Errno::PERM) };
    match ask(end, &request, &[]) {
        Ok((Answer::Done, _)) => Ok(()),
        Ok((Answer::Failed(number), _)) => Err(Errno::from_raw_os_error(number)),
        _ => Err(Errno::PERM),
    }
}

/// Names that the monitor knows.
pub(super) fn names() -> Vec<String> {
    let answer = end().filter(|_| !is_confined()).and_then(|end| ask(end, &Request::List, &[]).ok());
    match answer {
        Some((Answer::Names(names), _)) => names.lines().map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// The number of [`end`], for a process that renumbers its descriptors.
pub fn number() -> Option<RawFd> {
    end().map(|end| end.as_raw_fd())
}
