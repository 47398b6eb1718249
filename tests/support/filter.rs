//! Filters for system calls: a kernel that lacks one, for seccomp(2) has it fail as if it was unknown; and the filter that
//! a process has.

// Filters, ptrace(2) and pre_exec(3) need it; the only unsafe code of the harness.
#![allow(unsafe_code)]

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Has `command` run where the system call `number` does not exist.
pub(crate) fn without_system_call(command: &mut Command, number: u32) {
    // SAFETY: the closure runs between fork and exec, and makes system calls alone; it allocates nothing.
    unsafe { command.pre_exec(move || forbid(number)) };
}

fn forbid(number: u32) -> io::Result<()> {
    let statement = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let mut program = [
        // The number stands at the start of what a filter sees.
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
        libc::sock_filter { jf: 1, ..statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, number) },
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: numbers alone.
    let privileged = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } == 0;
    // SAFETY: the filter is valid during the call, and the kernel copies it.
    let set = privileged && unsafe { libc::prctl(libc::PR_SET_SECCOMP, 2, &raw const filter) } == 0;
    if set { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The steps of the filter that a process has, by ptrace(2): for root alone, `None` for others.
pub fn installed(pid: i32) -> Option<Vec<libc::sock_filter>> {
    /// PTRACE_SECCOMP_GET_FILTER of linux/ptrace.h.
    const GET_FILTER: libc::c_uint = 0x420c;
    let none = std::ptr::null_mut::<libc::sock_filter>();
    // SAFETY: without memory to write to the call returns how many steps there are; then that many are there to be written.
    // The process is stopped meanwhile, and a filter never changes.
    unsafe {
        if libc::ptrace(libc::PTRACE_ATTACH, pid, 0, 0) == -1 {
            return None;
        }
        libc::waitpid(pid, std::ptr::null_mut(), libc::__WALL);
        let count = usize::try_from(libc::ptrace(GET_FILTER, pid, 0, none)).unwrap_or(0);
        let mut steps = vec![libc::sock_filter { code: 0, jt: 0, jf: 0, k: 0 }; count];
        let read = count > 0 && libc::ptrace(GET_FILTER, pid, 0, steps.as_mut_ptr()) != -1;
        libc::ptrace(libc::PTRACE_DETACH, pid, 0, 0);
        read.then_some(steps)
    }
}
