//! Signals: their names, and keeping one away from a host that did not ask for it.

#![allow(unsafe_code)]

use std::ptr;
use std::str::FromStr;

use nix::sys::signal::{SigSet, Signal};

/// Runs `f` such that no SIGPIPE of its making ends the process.
///
/// `ipc-channel` writes to its socket without MSG_NOSIGNAL, and a stock interpreter leaves SIGPIPE at its
/// default, which is to die. So the signal is blocked on this thread meanwhile, and one that `f` raised is
/// taken off before it is unblocked. No handler is touched.
pub fn without_sigpipe<R>(f: impl FnOnce() -> R) -> R {
    let mut pipe = SigSet::empty();
    pipe.add(Signal::SIGPIPE);
    let pending_before = is_pending();
    let old = pipe.thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK);
    let result = f();
    if !pending_before && is_pending() {
        let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: set and time are valid for reading, no information is asked for; the call takes a
        // pending signal off the queue and cannot block, its time is zero.
        unsafe { libc::sigtimedwait(pipe.as_ref(), ptr::null_mut(), &now) };
    }
    if let Ok(old) = old {
        // Cannot fail: the mask came from the system.
        let _ = old.thread_set_mask();
    }
    result
}

fn is_pending() -> bool {
    let mut set = SigSet::empty();
    // SAFETY: a SigSet is a transparent sigset_t, which the call fills in.
    let result = unsafe { libc::sigpending(ptr::from_mut(&mut set).cast()) };
    result == 0 && set.contains(Signal::SIGPIPE)
}

/// Whether this process ignores a signal, by its own doing or its parent's.
pub fn is_ignored(signal: Signal) -> bool {
    // SAFETY: all bytes zero is a sigaction, whose handler is the default one.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: no new action is given, and the place for the old one is this function's own.
    let result = unsafe { libc::sigaction(signal as i32, ptr::null(), &mut action) };
    result == 0 && action.sa_sigaction == libc::SIG_IGN
}

/// The number of a signal given as `KILL`, `SIGKILL` or `kill`.
pub fn number(name: &str) -> Option<i32> {
    let name = name.to_ascii_uppercase();
    let full = if name.starts_with("SIG") { name } else { format!("SIG{name}") };
    Signal::from_str(&full).ok().map(|signal| signal as i32)
}

/// The name of a signal without its `SIG`, or `RT+2`, or the bare number.
pub fn name(number: i32) -> String {
    match Signal::try_from(number) {
        Ok(signal) => signal.as_str().trim_start_matches("SIG").to_owned(),
        Err(_) if (libc::SIGRTMIN()..=libc::SIGRTMAX()).contains(&number) => {
            format!("RT+{}", number - libc::SIGRTMIN())
        }
        Err(_) => number.to_string(),
    }
}

/// Whether the system knows a signal of this number.
pub fn exists(number: i32) -> bool {
    (1..=libc::SIGRTMAX()).contains(&number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_the_names_that_scripts_use() {
        assert_eq!(number("KILL"), Some(9));
        assert_eq!(number("sigterm"), Some(15));
        assert_eq!(number("NOPE"), None);
        assert_eq!(name(11), "SEGV");
        assert_eq!(name(9999), "9999");
        assert!(exists(1) && !exists(0) && !exists(9999));
    }

    #[test]
    fn a_write_to_a_closed_pipe_inside_the_guard_kills_nobody() {
        // The test harness ignores SIGPIPE; the interpreters that load the module do not.
        // SAFETY: restores the default action, which is what this test is about.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        drop(reader);
        let result = without_sigpipe(|| rustix::io::write(&writer, b"x"));
        assert_eq!(result, Err(rustix::io::Errno::PIPE));
        assert!(!is_pending());
        // SAFETY: as it was before.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    }
}
