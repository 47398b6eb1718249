//! The system calls of the worker program that have no safe wrapper elsewhere: forking, reaping with usage,
//! leaving without clean-up, and the C library's streams.

#![allow(unsafe_code)]

mod apart;
pub mod asked;
pub mod descriptors;
pub mod environment;
pub mod heap;
pub mod limits;
mod passed_on;
pub mod seccomp;
pub mod sibling;
pub mod signals;
pub mod timer;

pub use apart::Apart;
pub use passed_on::{pass_on, wait_until_passed_on};

use std::ffi::{CStr, c_int, c_void};
use std::io;
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::OnceLock;

pub use llib_core::sys::PAGE;
use llib_core::sys::process::Usage;
use rustix::io::DupFlags;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Which side of a fork this is.
pub enum Forked {
    /// The parent, with the child's process id.
    Parent(i32),
    /// The child.
    Child,
}

/// fork(2), as `_Fork` of POSIX 2024 where the C library has it (glibc 2.34): what `fork` does beside, for
/// processes with threads, touches some more pages in parent and child.
pub fn fork() -> io::Result<Forked> {
    type Fork = unsafe extern "C" fn() -> libc::pid_t;
    static FORK: OnceLock<Fork> = OnceLock::new();
    let fork = FORK.get_or_init(|| {
        // SAFETY: looks a name up; a function of that name has this type.
        unsafe {
            let found = libc::dlsym(libc::RTLD_DEFAULT, c"_Fork".as_ptr());
            if found.is_null() { libc::fork } else { std::mem::transmute::<*mut c_void, Fork>(found) }
        }
    });
    // SAFETY: guard and zygote have one thread each, so the child's copy of every lock and allocator is
    // consistent.
    match unsafe { fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Forked::Child),
        pid => Ok(Forked::Parent(pid)),
    }
}

/// A child that ended: its id, wait status and usage. `None` if none has, or there is none.
pub fn reap() -> Option<(i32, c_int, Usage)> {
    wait_for(-1, libc::WNOHANG)
}

/// The same for this child, if it has ended.
pub fn reap_one(pid: i32) -> Option<(i32, c_int, Usage)> {
    wait_for(pid, libc::WNOHANG)
}

/// Waits for the end of this child, which has nothing more to do; returns its wait status.
pub fn reap_child(pid: i32) -> c_int {
    loop {
        match wait_for(pid, 0) {
            Some((_, status, _)) => return status,
            None if is_child(pid) => {}
            None => return 0,
        }
    }
}

/// Whether a process is a child of this one, ended or not.
pub fn is_child(pid: i32) -> bool {
    let Ok(id) = libc::id_t::try_from(pid) else { return false };
    // SAFETY: the place that the call fills in; the child stays to be reaped.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        id > 0 && libc::waitid(libc::P_PID, id, &mut info, libc::WEXITED | libc::WNOHANG | libc::WNOWAIT) == 0
    }
}

/// A child that ended; it stays to be reaped.
pub fn next_ended() -> Option<i32> {
    // SAFETY: an all-zero siginfo is a value; the call fills it in. The id is there for what this asks.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        let found = libc::waitid(libc::P_ALL, 0, &mut info, options) == 0;
        Some(info.si_pid()).filter(|pid| found && *pid > 0)
    }
}

fn wait_for(pid: i32, options: c_int) -> Option<(i32, c_int, Usage)> {
    let mut status = 0;
    // SAFETY: an all-zero rusage is a value; the call fills both places in.
    let (pid, usage) = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        (libc::wait4(pid, &mut status, options, &mut usage), usage)
    };
    let micros = |time: libc::timeval| time.tv_sec.cast_unsigned() * 1_000_000 + time.tv_usec.cast_unsigned();
    let usage = Usage {
        user: micros(usage.ru_utime),
        system: micros(usage.ru_stime),
        max_rss: usage.ru_maxrss.cast_unsigned(),
    };
    (pid > 0).then_some((pid, status, usage))
}

/// A child that was stopped, or let go on, since this was asked last: its id and whether it is stopped. `None` if none was.
pub fn next_stop() -> Option<(i32, bool)> {
    let (pid, code) = child_state(libc::P_ALL, 0, libc::WSTOPPED | libc::WCONTINUED)?;
    Some((pid, code == libc::CLD_STOPPED))
}

/// Whether a child has stopped or ended. What [`reap`] and [`next_stop`] tell of it stays to be told.
pub fn has_stopped(pid: i32) -> bool {
    let options = libc::WSTOPPED | libc::WEXITED | libc::WNOWAIT;
    child_state(libc::P_PID, pid.cast_unsigned(), options).is_some()
}

/// waitid(2) without waiting: id and `si_code` of a child that fits.
fn child_state(kind: libc::idtype_t, id: u32, options: c_int) -> Option<(i32, c_int)> {
    // SAFETY: an all-zero record is a value; the call fills it in, and leaves the id 0 where no child fits. For a child the
    // id stands in the part of the record that is read.
    unsafe {
        let mut about: libc::siginfo_t = std::mem::zeroed();
        let done = libc::waitid(kind, id, &mut about, options | libc::WNOHANG);
        (done == 0 && about.si_pid() != 0).then(|| (about.si_pid(), about.si_code))
    }
}

/// Sends a signal to a process, or to a process group if `pid` is negative. Callers own the process: it is
/// their child and not reaped, so its id cannot have passed to another.
pub fn kill(pid: i32, signal: c_int) -> io::Result<()> {
    // SAFETY: the call takes numbers only.
    if unsafe { libc::kill(pid, signal) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Ends the process at once: no exit handlers, no finalizers.
pub fn exit_now(code: c_int) -> ! {
    // SAFETY: the call does not return.
    unsafe { libc::_exit(code) }
}

/// Takes over a descriptor that the process was started with.
pub fn inherited(fd: RawFd) -> OwnedFd {
    // SAFETY: the host passes this descriptor for this purpose, and the program takes it once.
    let file = unsafe { OwnedFd::from_raw_fd(fd) };
    // A failure means that it is not open, which its first use reports.
    let _ = rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::CLOEXEC);
    file
}

/// Makes `target`, another descriptor, refer to what `file` does.
pub fn duplicate_to(file: impl AsFd, target: RawFd, flags: DupFlags) -> io::Result<()> {
    // SAFETY: whatever `target` was is closed; callers name standard streams or numbers that they manage. It is not closed
    // here.
    let mut target = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(target) });
    Ok(rustix::io::dup3(file, &mut target, flags)?)
}

/// Closes every descriptor from `first` on.
pub fn close_from(first: RawFd) {
    close_between(first, RawFd::MAX);
}

/// Closes every descriptor from `first` to `last`.
fn close_between(first: RawFd, last: RawFd) {
    // SAFETY: only for processes that use none of them any more: a program that has just started, or a
    // forked child that runs on with its own.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if closed == 0 {
        return;
    }
    // Before Linux 5.9: the open ones one by one.
    let open: Vec<RawFd> = std::fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    for fd in open.into_iter().filter(|fd| (first..=last).contains(fd)) {
        // SAFETY: as above.
        unsafe { libc::close(fd) };
    }
}

/// Removes address ranges from this process.
pub fn unmap(range: Range<*mut u8>) {
    let len = range.end.addr() - range.start.addr();
    if len > 0 {
        // SAFETY: callers name parts of a mapping that they never touch again.
        unsafe { libc::munmap(range.start.cast(), len) };
    }
}

/// Bytes of a huge page, where there are any.
pub const HUGE_PAGE: usize = 2 << 20;

/// Maps at least `len` bytes of memory, all zero, in huge pages if the system has some; null if there is none.
pub fn map_huge(len: usize) -> *mut c_void {
    let Some(room) = len.checked_add(HUGE_PAGE) else { return std::ptr::null_mut() };
    // SAFETY: a new mapping at a place of the kernel's choice; then the parts of it that lie before the first
    // boundary of huge pages and behind the block go, which nobody has seen. Pages are smaller than huge ones.
    unsafe {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let start = libc::mmap(std::ptr::null_mut(), room, access, flags, -1, 0);
        if start == libc::MAP_FAILED {
            return std::ptr::null_mut();
        }
        let start = start.cast::<u8>();
        let block = start.add(start.align_offset(HUGE_PAGE));
        unmap(start..block);
        unmap(block.add(len.next_multiple_of(PAGE))..start.add(room.next_multiple_of(PAGE)));
        // A refusal costs only speed.
        libc::madvise(block.cast(), len, libc::MADV_HUGEPAGE);
        block.cast()
    }
}

/// Gives a block of [`map_huge`] another size; null and unchanged if that cannot be.
///
/// # Safety
/// `block` is such a block of `old` bytes. It moves if the result is another.
pub unsafe fn remap(block: *mut c_void, old: usize, new: usize) -> *mut c_void {
    // SAFETY: as demanded.
    let moved = unsafe { libc::mremap(block, old, new, libc::MREMAP_MAYMOVE) };
    if moved == libc::MAP_FAILED { std::ptr::null_mut() } else { moved }
}

/// Writes out what the C library still buffers, for every open stream.
pub fn flush_streams() {
    // SAFETY: a null stream means all.
    unsafe { libc::fflush(std::ptr::null_mut()) };
}

unsafe extern "C" {
    static stdout: *mut libc::FILE;
}

/// Lets standard output be written a line at a time, also into pipes: lines of several workers stay whole, and
/// a killed job's are not lost.
pub fn buffer_lines() {
    // SAFETY: the C library's own stream, before anything was written to it; it allocates the buffer.
    unsafe { libc::setvbuf(stdout, std::ptr::null_mut(), libc::_IOLBF, 8192) };
}

/// Bytes of memory that are resident; 0 where that cannot be read.
pub fn resident() -> u64 {
    memory(1).unwrap_or(0)
}

/// Bytes of private memory, which count towards RLIMIT_DATA, and of stacks besides.
pub fn private_memory() -> Option<u64> {
    memory(5)
}

/// A field of /proc/PID/statm, counted from 0, in bytes.
fn memory(field: usize) -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(statm.split_ascii_whitespace().nth(field)?.parse::<u64>().ok()? * PAGE as u64)
}

/// Whether this process has children; takes the exit statuses of those that have ended.
pub fn has_children() -> bool {
    loop {
        // SAFETY: the status is not asked for.
        match unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) } {
            0 => return true,
            -1 => return false,
            _ => {}
        }
    }
}

/// Whether this process has more than one thread.
pub fn has_threads() -> bool {
    // SAFETY: the call takes a number. It changes nothing: a process of one thread has nothing to leave.
    if unsafe { libc::unshare(libc::CLONE_THREAD) } == 0 {
        return false;
    }
    // EINVAL says that there are others. A filter may deny the question.
    io::Error::last_os_error().raw_os_error() == Some(libc::EINVAL)
        || std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() > 1)
}

/// Waits until this process has no children any more.
pub fn wait_for_children() {
    // SAFETY: the status is not asked for.
    while unsafe { libc::waitpid(-1, std::ptr::null_mut(), 0) } > 0
        || io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
    {}
}

/// The lowest descriptor from 3 on that is free; a different one than before says that some were opened or closed.
pub fn free_descriptor() -> RawFd {
    rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), 3).map_or(-1, |free| free.as_raw_fd())
}

/// Name of the locale in force, setlocale(3). Valid until the next call that changes it.
pub fn locale() -> &'static CStr {
    // SAFETY: null asks; the answer is a string of the C library.
    unsafe {
        let name = libc::setlocale(libc::LC_ALL, std::ptr::null());
        if name.is_null() { c"" } else { CStr::from_ptr(name) }
    }
}

/// Puts a locale in force.
pub fn set_locale(name: &CStr) {
    // SAFETY: the name is a string, which the call copies.
    unsafe { libc::setlocale(libc::LC_ALL, name.as_ptr()) };
}

/// Sets a signal's action to the default, or to being ignored.
pub fn set_signal(signal: c_int, ignored: bool) {
    let action = if ignored { libc::SIG_IGN } else { libc::SIG_DFL };
    // SAFETY: no handler function is involved.
    unsafe { libc::signal(signal, action) };
}

/// Changes the scheduling priority of this process.
pub fn renice(nice: c_int) {
    // It cannot fail for positive numbers.
    let _ = rustix::process::nice(nice);
}

/// Writes to the zygote's socket.
pub fn ring_doorbell(doorbell: RawFd) {
    // SAFETY: `child` put the doorbell at this number and nothing of llib closes it. A job that did writes
    // eight bytes into whatever it put there instead, which is its own affair.
    let doorbell = unsafe { std::os::fd::BorrowedFd::borrow_raw(doorbell) };
    // One that is full has rung already.
    let _ = rustix::io::write(doorbell, &1u64.to_ne_bytes());
}

/// Opens /dev/null where a standard stream is closed: else something of llib's own gets its number, and a job
/// prints into that.
pub fn fill_standard_streams() {
    while let Ok(null) = open_null() {
        if null.as_raw_fd() > libc::STDERR_FILENO {
            break;
        }
        // Programs that jobs run shall have it too. Cannot fail for an open descriptor.
        let _ = rustix::io::fcntl_setfd(&null, rustix::io::FdFlags::empty());
        let _ = null.into_raw_fd();
    }
}

/// Makes a standard stream lead nowhere.
pub fn silence(target: RawFd) {
    if let Ok(null) = open_null() {
        let _ = duplicate_to(OwnedFd::from(null), target, DupFlags::empty());
    }
}

fn open_null() -> io::Result<std::fs::File> {
    std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")
}

/// Lets this process have as much of something as it may.
pub fn raise_limit(resource: Resource) {
    let Rlimit { maximum, .. } = getrlimit(resource);
    // As much as it has, if it may not have more.
    let _ = setrlimit(resource, Rlimit { current: maximum, maximum });
}

/// Names this process as process lists show it: what both parts give in 15 bytes.
pub fn set_title(kind: &str, name: &str) {
    let mut title = [0; 16];
    let bytes = kind.bytes().chain(name.bytes()).filter(|byte| *byte != 0);
    title[..15].iter_mut().zip(bytes).for_each(|(place, byte)| *place = byte);
    if let Ok(title) = CStr::from_bytes_until_nul(&title) {
        let _ = rustix::thread::set_name(title);
    }
}
