//! Timers on the CPU clock of this process: timer_create(2).

use std::io;
use std::time::Duration;

/// A timer that sends this process a signal. It lasts as long as the process.
#[derive(Clone, Copy, Debug)]
pub struct CpuTimer(usize);

impl CpuTimer {
    /// Creates one that is not armed.
    pub fn new(signal: i32) -> io::Result<CpuTimer> {
        // SAFETY: an all-zero event is one, filled in with what the call reads; it writes the timer's id.
        unsafe {
            let mut event: libc::sigevent = std::mem::zeroed();
            event.sigev_notify = libc::SIGEV_SIGNAL;
            event.sigev_signo = signal;
            let mut timer: libc::timer_t = std::ptr::null_mut();
            if libc::timer_create(libc::CLOCK_PROCESS_CPUTIME_ID, &mut event, &mut timer) == -1 {
                return Err(io::Error::last_os_error());
            }
            Ok(CpuTimer(timer.expose_provenance()))
        }
    }

    /// Arms it for when the process has used `time` more. Of `flags` the kernel looks at the lowest bit alone,
    /// which has to be 0; a filter for system calls may look at the others.
    pub fn arm(self, time: Duration, flags: u32) -> io::Result<()> {
        let seconds = libc::time_t::try_from(time.as_secs()).unwrap_or(libc::time_t::MAX).min(1 << 40);
        // SAFETY: the id came from timer_create, and nothing deletes it; the call reads the times.
        unsafe {
            let mut times: libc::itimerspec = std::mem::zeroed();
            times.it_value = libc::timespec { tv_sec: seconds, tv_nsec: time.subsec_nanos().into() };
            let timer: libc::timer_t = std::ptr::with_exposed_provenance_mut(self.0);
            if libc::timer_settime(timer, flags.cast_signed(), &times, std::ptr::null_mut()) == -1 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    }
}
