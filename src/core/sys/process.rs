//! What the system knows of a process, proc(5).

use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid};

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

/// A process, as /proc/PID/stat has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    /// What process lists call it.
    pub title: String,
    /// One letter: R runs, S sleeps, T is stopped, Z has ended.
    pub state: char,
    /// Its parent's id.
    pub parent: i32,
    /// In clock ticks since the system was started; with the id it names a process for good.
    pub started: u64,
    /// User CPU time, in clock ticks.
    pub user: u64,
    /// System CPU time, in clock ticks.
    pub system: u64,
    /// Bytes of memory in its page tables.
    pub resident: u64,
}

/// The process of this id, unless there is none.
pub fn process(pid: i32) -> Option<Process> {
    parse(pid, &text(format!("/proc/{pid}/stat")).filter(|_| pid > 0)?)
}

/// The text of such a file. A process gives itself any name, also one that is no text.
fn text(path: String) -> Option<String> {
    Some(String::from_utf8_lossy(&fs::read(path).ok()?).into_owned())
}

fn parse(pid: i32, stat: &str) -> Option<Process> {
    // The name may hold anything, parentheses too.
    let (front, rest) = stat.rsplit_once(')')?;
    let title = front.split_once('(')?.1.to_owned();
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // Field 3 of proc(5) is the first one here.
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some(Process {
        pid,
        title,
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        started: number(22)?,
        user: number(14)?,
        system: number(15)?,
        resident: number(24)? * 4096,
    })
}

impl Process {
    /// How long it has been there.
    pub fn age(&self, uptime: Duration) -> Duration {
        uptime.saturating_sub(in_time(self.started))
    }

    /// CPU time used.
    pub fn cpu(&self) -> Duration {
        in_time(self.user + self.system)
    }
}

fn in_time(ticks: u64) -> Duration {
    Duration::from_micros(ticks * 1_000_000 / rustix::param::clock_ticks_per_second().max(1))
}

/// The words that a process was started with, the program without its folder; `None` where there are none.
pub fn command_line(pid: i32) -> Option<String> {
    let words = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let mut words = words.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    let program = words.next()?.rsplit(|byte| *byte == b'/').next()?;
    let words: Vec<_> = [program].into_iter().chain(words).map(String::from_utf8_lossy).collect();
    Some(words.join(" "))
}

/// The usage of a process that runs; `None` if it does not. Without a /proc of this process's own: CPU time alone.
pub fn usage(pid: i32) -> Option<Usage> {
    if !super::proc::is_own() {
        return cpu_time(pid);
    }
    let process = process(pid)?;
    let status = text(format!("/proc/{pid}/status"))?;
    let max_rss = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0);
    let micros = |ticks: u64| in_time(ticks).as_micros() as u64;
    Some(Usage { user: micros(process.user), system: micros(process.system), max_rss })
}

/// The same where files cannot be read: CPU time alone, all of it as the user's, clock_getcpuclockid(3).
pub fn cpu_time(pid: i32) -> Option<Usage> {
    let clock = nix::time::ClockId::pid_cpu_clock_id(nix::unistd::Pid::from_raw(pid)).ok()?;
    let time = Duration::from(clock.now().ok()?);
    Some(Usage { user: u64::try_from(time.as_micros()).unwrap_or(u64::MAX), system: 0, max_rss: 0 })
}

/// CPU time in nanoseconds of a process that has a processor, waits for one, or for the kernel itself (a page, a lock of the
/// kernel); `None` for one that sleeps, is stopped, or of which nothing can be known.
pub fn cpu_time_of_runnable(pid: i32) -> Option<u64> {
    let stat = text(format!("/proc/{pid}/stat"))?;
    stat.rsplit_once(')')?.1.trim_start().starts_with(['R', 'D']).then_some(())?;
    let clock = nix::time::ClockId::pid_cpu_clock_id(nix::unistd::Pid::from_raw(pid)).ok()?;
    u64::try_from(Duration::from(clock.now().ok()?).as_nanos()).ok()
}

/// Whether a process runs no more: there is none of this id, or its exit status waits to be taken. Needs no /proc, which
/// may be missing, or another namespace's.
pub fn has_ended(pid: i32) -> bool {
    let Some(pid) = Pid::from_raw(pid).filter(|_| pid > 0) else { return true };
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(file) => is_over(file),
        // Nothing is known where this fails for other reasons.
        Err(error) => error == Errno::SRCH,
    }
}

/// Whether the process of a pidfd runs no more, pidfd_open(2). Half a microsecond.
pub fn is_over(process: impl AsFd) -> bool {
    // Readable once it has ended.
    let mut files = [PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)];
    poll(&mut files, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

/// Takes the exit status of a process that has ended, if it is a child of this one.
pub fn take_status(process: BorrowedFd<'_>) {
    // Most often it is none, or somebody was faster.
    let _ = waitid(WaitId::PidFd(process), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
}

/// This process, for others to see its end.
pub fn own() -> std::io::Result<std::os::fd::OwnedFd> {
    Ok(pidfd_open(rustix::process::getpid(), PidfdFlags::empty())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_full_of_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) S 1 (b)) T 42 7 7 0 -1 0 0 0 0 0 11 22 0 0 20 0 1 0 99 4096 3 0";
        let process = parse(7, stat).unwrap();
        assert_eq!((process.title.as_str(), process.state, process.parent), ("a) S 1 (b)", 'T', 42));
        assert_eq!((process.user, process.system, process.started), (11, 22, 99));
        assert_eq!(process.resident, 3 * 4096);
        assert_eq!((parse(7, "7 (x"), parse(42, "42")), (None, None));
    }

    #[test]
    fn a_process_whose_name_is_no_text_is_known_all_the_same() {
        // The kernel takes it from any process and any parent.
        let other = std::process::Command::new("sh")
            .args(["-c", r"printf '\377\376)\377' > /proc/$$/comm; echo; exec 1>&-; read line"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn();
        let mut other = other.unwrap();
        std::io::Read::read_to_end(&mut other.stdout.take().unwrap(), &mut Vec::new()).unwrap();
        let id = other.id().cast_signed();
        let (found, used) = (process(id), usage(id));
        drop(other.stdin.take());
        other.wait().unwrap();
        assert!(found.is_some_and(|found| found.title.starts_with('\u{fffd}') && found.parent > 0));
        assert!(used.is_some_and(|used| used.max_rss > 0));
    }

    #[test]
    fn this_process_has_memory_and_a_dead_one_has_nothing() {
        assert!(usage(std::process::id().cast_signed()).unwrap().max_rss > 0);
        // Larger than any process id, and small enough for the number of a clock.
        assert_eq!((usage(i32::MAX), cpu_time(1 << 27)), (None, None));
        assert!(cpu_time(std::process::id().cast_signed()).unwrap().user > 0);
        assert!(cpu_time_of_runnable(std::process::id().cast_signed()).is_none_or(|time| time > 0));
        assert!(!has_ended(std::process::id().cast_signed()) && has_ended(i32::MAX));
    }
}
