//! Questions over a socket, with the kernel's word on who asks: SCM_CREDENTIALS of unix(7).

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, UnixCredentials, getsockopt, recvmsg, setsockopt, sockopt,
};

/// A question.
pub struct Asked {
    /// What is asked.
    pub bytes: Vec<u8>,
    /// The descriptors that came with it.
    pub files: Vec<OwnedFd>,
    /// Who asks: process id, real user and real group, as the kernel says.
    pub from: Option<(i32, u32, u32)>,
}

/// Has the kernel say who sends, from now on.
pub fn learn_senders(socket: impl AsFd) -> io::Result<()> {
    Ok(setsockopt(&socket, sockopt::PassCred, &true)?)
}

/// The next question, which has to be there; `None` if nobody can ask any more.
pub fn receive(socket: impl AsFd) -> io::Result<Option<Asked>> {
    let mut bytes = vec![0; 4096];
    let mut space = nix::cmsg_space!([RawFd; 8], UnixCredentials);
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(socket.as_fd().as_raw_fd(), &mut parts, Some(&mut space), flags)?;
    let (mut files, mut from) = (Vec::new(), None);
    for part in message.cmsgs()? {
        match part {
            ControlMessageOwned::ScmRights(numbers) => {
                // SAFETY: the kernel has just made these descriptors for this process, and nobody else knows of them.
                files.extend(numbers.into_iter().map(|number| unsafe { OwnedFd::from_raw_fd(number) }));
            }
            ControlMessageOwned::ScmCredentials(who) => from = Some((who.pid(), who.uid(), who.gid())),
            _ => {}
        }
    }
    let len = message.bytes;
    bytes.truncate(len);
    Ok((len > 0).then_some(Asked { bytes, files, from }))
}

/// The supplementary groups of that process at that time, SO_PEERGROUPS.
pub fn makers_groups(socket: impl AsFd) -> io::Result<Vec<u32>> {
    /// NGROUPS_MAX of limits.h.
    const MOST: usize = 65536;
    let mut groups = vec![0u32; MOST];
    let mut bytes = (MOST * size_of::<u32>()) as libc::socklen_t;
    let number = socket.as_fd().as_raw_fd();
    let (level, name) = (libc::SOL_SOCKET, libc::SO_PEERGROUPS);
    // SAFETY: so many bytes may be written there, and `bytes` says afterwards how many were.
    let done = unsafe { libc::getsockopt(number, level, name, groups.as_mut_ptr().cast(), &mut bytes) };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    groups.truncate(bytes as usize / size_of::<u32>());
    Ok(groups)
}

/// Who made a pair of sockets: process id, effective user and effective group at that time, SO_PEERCRED.
pub fn maker(socket: impl AsFd) -> io::Result<(i32, u32, u32)> {
    let who = getsockopt(&socket, sockopt::PeerCredentials)?;
    Ok((who.pid(), who.uid(), who.gid()))
}
