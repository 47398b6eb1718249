//! What the system knows of a process, proc(5).

use std::fs;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// CPU time and memory of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// User CPU time in microseconds.
    pub user: u64,
    /// System CPU time in microseconds.
    pub system: u64,
    /// Largest resident set in KiB.
    pub max_rss: u64,
}

impl Usage {
    /// User and system CPU time together, in microseconds.
    pub fn cpu(&self) -> u64 {
        self.user + self.system
    }
}

/// The usage of a process that runs; `None` if it does not. Without a /proc of this process's own: CPU time alone.
pub fn usage(pid: i32) -> Option<Usage> {
    if !super::proc::is_own() {
        return cpu_time(pid);
    }
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (user, system) = cpu_ticks(&stat)?;
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let max_rss = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0);
    Some(Usage { user: user * 1_000_000 / per_second, system: system * 1_000_000 / per_second, max_rss })
}

/// The same where files cannot be read: CPU time alone, all of it as the user's, clock_getcpuclockid(3).
pub fn cpu_time(pid: i32) -> Option<Usage> {
    let clock = nix::time::ClockId::pid_cpu_clock_id(nix::unistd::Pid::from_raw(pid)).ok()?;
    let time = Duration::from(clock.now().ok()?);
    Some(Usage { user: u64::try_from(time.as_micros()).unwrap_or(u64::MAX), system: 0, max_rss: 0 })
}

/// Whether a process runs no more: there is none of this id, or its exit status waits to be taken. Needs no /proc, which
/// may be missing, or another namespace's.
pub fn has_ended(pid: i32) -> bool {
    let Some(pid) = Pid::from_raw(pid).filter(|_| pid > 0) else { return true };
    match pidfd_open(pid, PidfdFlags::empty()) {
        // Readable once it has ended.
        Ok(file) => {
            let mut files = [PollFd::new(&file, PollFlags::IN)];
            poll(&mut files, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
        }
        // Nothing is known where this fails for other reasons.
        Err(error) => error == Errno::SRCH,
    }
}

/// User and system time of a line of /proc/PID/stat: fields 14 and 15. The name in field 2 may hold
/// anything, so counting begins after its closing parenthesis.
fn cpu_ticks(stat: &str) -> Option<(u64, u64)> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_full_of_parentheses_does_not_shift_the_fields() {
        let line = "42 (a) 1 (b)) S 1 42 42 0 -1 4194560 100 0 0 0 17 5 0 0 20 0 1 0 99 1 2";
        assert_eq!(cpu_ticks(line), Some((17, 5)));
        assert_eq!(cpu_ticks("42"), None);
    }

    #[test]
    fn this_process_has_memory_and_a_dead_one_has_nothing() {
        assert!(usage(std::process::id().cast_signed()).unwrap().max_rss > 0);
        // Larger than any process id, and small enough for the number of a clock.
        assert_eq!((usage(i32::MAX), cpu_time(1 << 27)), (None, None));
        assert!(cpu_time(std::process::id().cast_signed()).unwrap().user > 0);
        assert!(!has_ended(std::process::id().cast_signed()) && has_ended(i32::MAX));
    }
}
