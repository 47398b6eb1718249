//! Starting the worker program: posix_spawn(3), never fork, for the host may have threads.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::Pid;
use rustix::process::{WaitOptions, waitpid};

/// The descriptor under which the program finds its end of the ring.
pub const RING_FD: i32 = 3;

/// The argument that makes llib's executables serve as a worker program.
pub const WORKER_FLAG: &str = "--llib-worker";

/// Starts `program --llib-worker ARGS...` in a process group of its own, with `ring` as descriptor 3,
/// every signal at its default and none blocked. Standard streams and environment are the host's, but for `variables`.
pub fn worker(
    program: &Path,
    args: &[&str],
    ring: impl AsFd,
    variables: &[(&str, &Path)],
) -> io::Result<i32> {
    let path = CString::new(program.as_os_str().as_bytes())?;
    let mut argv = vec![path.clone(), CString::new(WORKER_FLAG)?];
    for arg in args {
        argv.push(CString::new(*arg)?);
    }
    let environment = environment(variables)?;

    let mut actions = PosixSpawnFileActions::init()?;
    actions.add_dup2(ring.as_fd().as_raw_fd(), RING_FD)?;
    let mut attributes = PosixSpawnAttr::init()?;
    attributes.set_flags(
        PosixSpawnFlags::POSIX_SPAWN_SETPGROUP
            | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF
            | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK,
    )?;
    // Its own process group: Ctrl-C at the terminal is the host's to answer.
    attributes.set_pgroup(Pid::from_raw(0))?;
    let mut every = SigSet::all();
    // These two cannot be set, and glibc refuses the attempt in some versions.
    every.remove(Signal::SIGKILL);
    every.remove(Signal::SIGSTOP);
    attributes.set_sigdefault(&every)?;
    attributes.set_sigmask(&SigSet::empty())?;
    let pid = posix_spawn(path.as_c_str(), &actions, &attributes, &argv, &environment)?;
    Ok(pid.as_raw())
}

/// The environment of this process, with these variables in place of its own.
pub fn environment(variables: &[(&str, &Path)]) -> io::Result<Vec<CString>> {
    let mut environment = super::environ::strings();
    for (variable, path) in variables {
        let prefix = format!("{variable}=");
        environment.retain(|entry| !entry.as_bytes().starts_with(prefix.as_bytes()));
        environment.push(CString::new([prefix.as_bytes(), path.as_os_str().as_bytes()].concat())?);
    }
    Ok(environment)
}

/// SIGKILL to a child that was not seen to have ended, so that its id is still its own.
pub fn kill(pid: i32) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        // It may have ended by itself.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

/// Whether a child has ended; reaps it if so. A child that is not ours any more, for instance because the
/// host waits for all its children itself, has ended too.
pub fn has_ended(pid: i32) -> bool {
    let Some(pid) = rustix::process::Pid::from_raw(pid) else { return true };
    !matches!(waitpid(Some(pid), WaitOptions::NOHANG), Ok(None) | Err(rustix::io::Errno::INTR))
}
