//! Installing a filter for system calls, and the end of a process that made a denied one.
//!
//! The filter answers a denied call with SIGSYS instead of making it. The handler here notes the call's number in
//! the mailbox, for the failure's message, and then makes a call that the filter answers by killing the process.
//! A job that has taken over its process gets no further. It cannot change the handler, for which no call is
//! allowed, nor come before it with another signal's, since all are blocked, nor change its code, since there is no
//! executable memory to be had. The handler starts at its first instruction, its last one takes nothing from memory,
//! and a handler that cannot run at all is a death too.

use std::ffi::{c_int, c_void};
use std::io;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use libc::{sock_filter, sock_fprog};

/// A number that no system call has; the handler of denied calls makes it to be killed.
pub const LAST_CALL: u32 = 0x1eaf_dead;

/// Where the number goes.
static NOTE: AtomicPtr<AtomicU32> = AtomicPtr::new(std::ptr::null_mut());

/// Sets where the number of a denied call, plus one, is noted.
pub fn note_denied_in(word: &'static AtomicU32) {
    NOTE.store(std::ptr::from_ref(word).cast_mut(), Ordering::SeqCst);
}

/// Sets the handler; sigaction(2).
pub fn catch_denied() {
    let handler: extern "C" fn(c_int, *const Denied, *const c_void) = end;
    // SAFETY: an all-zero action is one; every signal is blocked meanwhile. The handler calls nothing, so it may run at any
    // point of the program.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        libc::sigfillset(&mut action.sa_mask);
        libc::sigaction(libc::SIGSYS, &action, std::ptr::null_mut());
    }
}

/// siginfo_t as the kernel fills it in for SIGSYS, sigaction(2).
#[repr(C)]
struct Denied {
    signal: c_int,
    error: c_int,
    code: c_int,
    _pad: c_int,
    address: *const c_void,
    call: c_int,
    arch: u32,
}

extern "C" fn end(_: c_int, denied: *const Denied, _: *const c_void) {
    // SAFETY: the kernel passes the information, on the stack. The word is null or in a mapping that stays.
    unsafe {
        let number = (&raw const (*denied).call).read().cast_unsigned();
        if let Some(word) = NOTE.load(Ordering::SeqCst).as_ref() {
            word.store(number.wrapping_add(1), Ordering::SeqCst);
        }
    }
    last_call()
}

/// Makes the call that the filter answers with death.
#[inline(always)]
fn last_call() -> ! {
    // SAFETY: the call does not return; where it did, for want of a filter, the next instruction is a fault.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        std::arch::asm!("syscall", "ud2", in("rax") u64::from(LAST_CALL), options(noreturn, nostack));
        #[cfg(target_arch = "aarch64")]
        std::arch::asm!("svc #0", "udf #0", in("x8") u64::from(LAST_CALL), options(noreturn, nostack));
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        libc::_exit(1);
    }
}

/// Installs a filter; seccomp(2). The process must have no_new_privs set.
pub fn install(code: &[sock_filter]) -> io::Result<()> {
    let len = u16::try_from(code.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let program = sock_fprog { len, filter: code.as_ptr().cast_mut() };
    // SAFETY: the program has `len` steps, which the kernel copies and does not change.
    let installed =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0u32, &raw const program) };
    if installed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
