//! Starting the worker program such that it is nobody's child: never fork, for the host may have threads.
//!
//! An intermediate process runs posix_spawn(3) and is gone. It shares the host's memory for that instant and the host waits for it
//! (CLONE_VM and CLONE_VFORK, as posix_spawn itself does it), so nothing is copied. Its end sends no signal, and wait(2) passes over
//! it, since its exit signal is none: see clone(2), "the child termination signal". The program's parent is init then, or the host
//! where that is a subreaper or process 1.

#![allow(unsafe_code)]

use std::ffi::{CString, c_int, c_void};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::Pid;
use rustix::process::{PidfdFlags, pidfd_open};

/// The descriptor under which the program finds its end of the ring.
pub const RING_FD: i32 = 3;

/// The argument that makes llib's executables serve as a worker program.
pub const WORKER_FLAG: &str = "--llib-worker";

/// A program that was started.
#[derive(Debug)]
pub struct Started {
    /// Its process id.
    pub pid: i32,
    /// The process, whatever becomes of the id.
    pub process: OwnedFd,
}

/// Starts `program --llib-worker ARGS...` in a process group of its own, with `ring` as descriptor 3,
/// every signal at its default and none blocked. Standard streams and environment are the host's, but for `variables`.
pub fn worker(
    program: &Path,
    args: &[&str],
    ring: impl AsFd,
    variables: &[(&str, &Path)],
) -> io::Result<Started> {
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
    by_an_intermediate(&mut || {
        let pid = posix_spawn(path.as_c_str(), &actions, &attributes, &argv, &environment)?.as_raw();
        // Not reaped, so the id is still its own. The descriptor is the host's as well, whose table this is.
        let child = rustix::process::Pid::from_raw(pid).ok_or(io::ErrorKind::NotFound)?;
        let process = pidfd_open(child, PidfdFlags::empty()).inspect_err(|_| {
            let _ = rustix::process::kill_process(child, rustix::process::Signal::KILL);
        })?;
        Ok(Started { pid, process })
    })
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

/// What the intermediate does, and what came of it.
struct Errand<'a> {
    start: &'a mut dyn FnMut() -> io::Result<Started>,
    outcome: Option<io::Result<Started>>,
}

extern "C" fn run_errand(errand: *mut c_void) -> c_int {
    // SAFETY: `by_an_intermediate` passes its errand, and sleeps until this has returned.
    let errand = unsafe { &mut *errand.cast::<Errand<'_>>() };
    errand.outcome = Some((errand.start)());
    0
}

/// Has an intermediate process call `start`, in this process's memory and with its descriptors.
fn by_an_intermediate(start: &mut dyn FnMut() -> io::Result<Started>) -> io::Result<Started> {
    /// posix_spawn(3) takes the most of it, some 40 KiB in musl.
    const STACK: usize = 256 << 10;
    let mut errand = Errand { start, outcome: None };
    // SAFETY: memory at a place of the kernel's choice, which nobody else knows, and of which the lowest page is a guard. On it
    // runs the intermediate alone. That uses this thread's memory, as the thread would itself, which CLONE_VFORK keeps asleep
    // meanwhile; so `errand` is not used by two at once, and lives long enough. All signals are blocked, those of the C
    // library too: none of the host's handlers can run in it. The stack is unmapped when the intermediate is gone.
    let middle = unsafe {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
        let stack = libc::mmap(ptr::null_mut(), STACK, access, flags, -1, 0);
        if stack == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        libc::mprotect(stack, super::PAGE, libc::PROT_NONE);
        let (every, mut before) = (u64::MAX, 0u64);
        let mask = |set: *const u64, old: *mut u64| {
            libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, set, old, size_of::<u64>())
        };
        mask(&every, &mut before);
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_FILES;
        let pid = libc::clone(run_errand, stack.byte_add(STACK), flags, (&raw mut errand).cast());
        let error = io::Error::last_os_error();
        mask(&before, ptr::null_mut());
        libc::munmap(stack, STACK);
        if pid < 0 { Err(error) } else { Ok(pid) }
    }?;
    // It has ended. Nobody but this call waits for a child of its kind.
    // SAFETY: the status is not asked for.
    while unsafe { libc::waitpid(middle, ptr::null_mut(), libc::__WCLONE) } < 0
        && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
    {}
    errand.outcome.unwrap_or_else(|| Err(io::Error::other("the process that starts it was killed")))
}
