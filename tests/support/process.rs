//! The process table as /proc shows it, proc(5).

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::wait::until_true;

/// The variable that marks every process of one session, as far as they inherit the environment.
pub const MARK: &str = "LLIB_TEST_MARK";

/// One process at one moment. Two are equal if they are the same process.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    /// Its name, at most 15 bytes.
    pub name: String,
    /// `R`, `S`, `T`, `Z`, …
    pub state: char,
    /// Its parent.
    pub parent: i32,
    /// Its process group.
    pub group: i32,
    /// Its session, in the kernel's sense.
    pub session: i32,
    /// When it started, in clock ticks: tells it from an earlier process of the same id.
    pub started: u64,
}

impl PartialEq for Process {
    fn eq(&self, other: &Process) -> bool {
        (self.pid, self.started) == (other.pid, other.started)
    }
}

impl Eq for Process {}

impl Process {
    /// The process of this id, zombies included.
    pub fn find(pid: i32) -> Option<Process> {
        let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
        let stat = String::from_utf8_lossy(&stat);
        let (front, rest) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse().ok();
        Some(Process {
            pid,
            name: front.split_once('(')?.1.to_owned(),
            state: fields.first()?.chars().next()?,
            parent: number(1)?,
            group: number(2)?,
            session: number(3)?,
            started: fields.get(19)?.parse().ok()?,
        })
    }

    /// Whether it runs still: neither gone nor a zombie.
    pub fn lives(&self) -> bool {
        Process::find(self.pid).is_some_and(|now| now == *self && now.state != 'Z')
    }

    /// Sends it a signal, unless it is gone. Tests call this for processes that they started.
    pub fn signal(&self, signal: Signal) {
        if self.lives() {
            // It can end in between; its id is not given away as quickly as that.
            let _ = kill(Pid::from_raw(self.pid), signal);
        }
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&self) {
        self.signal(Signal::SIGKILL);
        assert!(until_true(Duration::from_secs(5), || !self.lives()), "{self:?} survived SIGKILL for 5 s");
    }
}

/// Kills processes such that none of them can do anything about the death of another.
pub fn kill_at_once(processes: &[&Process]) {
    let parent_of = |process: &Process| processes.iter().find(|other| other.pid == process.parent).copied();
    let depth =
        |process: &&Process| std::iter::successors(parent_of(process), |above| parent_of(above)).count();
    let mut ordered = processes.to_vec();
    // Parents first: a guard that runs lets its zygote go on, a zygote that runs hears of a worker's death.
    ordered.sort_by_key(depth);
    for process in &ordered {
        process.signal(Signal::SIGSTOP);
    }
    let stays = |process: &&&Process| process.name != "llib-zygote" || parent_of(process).is_some();
    let stopped = |process: &&Process| Process::find(process.pid).is_none_or(|now| "TZX".contains(now.state));
    assert!(
        until_true(Duration::from_secs(5), || ordered.iter().filter(stays).all(stopped)),
        "{processes:?} do not stop"
    );
    for process in &ordered {
        process.signal(Signal::SIGKILL);
    }
}

/// Every process but zombies.
pub fn all() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(Process::find).filter(|process| process.state != 'Z').collect()
}

/// The processes that carry a mark.
pub fn marked(mark: &str) -> Vec<Process> {
    let wanted = format!("{MARK}={mark}").into_bytes();
    let carries = |process: &Process| {
        let environment = fs::read(format!("/proc/{}/environ", process.pid)).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == wanted)
    };
    all().into_iter().filter(carries).collect()
}

/// The children of a process.
pub fn children(pid: i32) -> Vec<Process> {
    all().into_iter().filter(|process| process.parent == pid).collect()
}

/// The newest guard of a process, whose command line names that: it is nobody's child.
pub fn guard_of(host: i32) -> Option<Process> {
    let words = |pid: i32| fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let guards = all().into_iter().filter(|process| process.name == "llib-guard");
    let its = |pid: i32| words(pid).split(|byte| *byte == 0).nth(2) == Some(host.to_string().as_bytes());
    guards.filter(|process| its(process.pid)).max_by_key(|process| (process.started, process.pid))
}

/// Everything below a process.
pub fn descendants(pid: i32) -> Vec<Process> {
    let all = all();
    let mut found: Vec<Process> = Vec::new();
    let mut parents = vec![pid];
    while let Some(parent) = parents.pop() {
        for process in all.iter().filter(|process| process.parent == parent) {
            parents.push(process.pid);
            found.push(process.clone());
        }
    }
    found
}

/// What the open descriptors of a process lead to, by number.
pub fn descriptors(pid: i32) -> Vec<(i32, PathBuf)> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let mut found: Vec<(i32, PathBuf)> = entries
        .filter_map(|entry| {
            Some((entry.file_name().to_str()?.parse().ok()?, fs::read_link(entry.path()).ok()?))
        })
        .collect();
    found.sort();
    found
}

/// How many threads a process has.
pub fn threads(pid: i32) -> usize {
    fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count)
}

/// A line of /proc/PID/status.
pub fn status(pid: i32, field: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| Some(line.strip_prefix(field)?.strip_prefix(':')?.trim().to_owned()))
}

/// Names of llib's sessions whose segment a process has mapped: `llib-` and 16 hexadecimal digits.
pub fn mapped_sessions(pid: i32) -> BTreeSet<String> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let files = maps.lines().filter_map(|line| line.split_once("/dev/shm/"));
    files.filter_map(|(_, name)| crate::shm::session_of(name)).map(str::to_owned).collect()
}
