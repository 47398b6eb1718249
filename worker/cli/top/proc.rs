//! What the system says of a process: proc(5). Nothing here asks for more than reading.

use std::fs;
use std::time::Duration;

/// A process, as its files in /proc say.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Process {
    pub(super) pid: i32,
    pub(super) title: String,
    /// One letter: R runs, S sleeps, T is stopped, Z has ended.
    pub(super) state: char,
    pub(super) parent: i32,
    /// In clock ticks since the system was started; with the id it names a process for good.
    pub(super) started: u64,
    /// CPU time used, in clock ticks.
    pub(super) ticks: u64,
    /// Bytes of memory in its page tables.
    pub(super) resident: u64,
}

/// The process of this id, unless there is none.
pub(super) fn process(pid: i32) -> Option<Process> {
    parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok().filter(|_| pid > 0)?)
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
        ticks: number(14)? + number(15)?,
        resident: number(24)? * 4096,
    })
}

impl Process {
    /// How long it has been there.
    pub(super) fn age(&self, uptime: Duration) -> Duration {
        uptime.saturating_sub(in_time(self.started))
    }

    /// CPU time used.
    pub(super) fn cpu(&self) -> Duration {
        in_time(self.ticks)
    }
}

fn in_time(ticks: u64) -> Duration {
    Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second().max(1) as f64)
}

/// How long the system has run.
pub(super) fn uptime() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}

/// Its share of memory: of pages that several processes have, each counts its part. What a fork shares with its parent
/// would count in full for each otherwise. None where this may not be read.
pub(super) fn proportional(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.split_ascii_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// The words that it was started with; its title where there are none.
pub(super) fn command_line(process: &Process) -> String {
    let words = fs::read(format!("/proc/{}/cmdline", process.pid)).unwrap_or_default();
    let mut words = words.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    let Some(program) = words.next() else { return process.title.clone() };
    let name = program.rsplit(|byte| *byte == b'/').next().unwrap_or(program);
    let words: Vec<String> =
        [name].into_iter().chain(words).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    words.join(" ")
}

/// Whether the process has the shared memory of this name mapped.
pub(super) fn maps(pid: i32, name: &str) -> bool {
    let path = format!("/dev/shm/{name}");
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    maps.lines().any(|line| line.ends_with(&path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_full_of_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) S 1 (b)) T 42 7 7 0 -1 0 0 0 0 0 11 22 0 0 20 0 1 0 99 4096 3 0";
        let process = parse(7, stat).unwrap();
        assert_eq!((process.title.as_str(), process.state, process.parent), ("a) S 1 (b)", 'T', 42));
        assert_eq!((process.ticks, process.started, process.resident), (33, 99, 3 * 4096));
        assert_eq!(parse(7, "7 (x"), None);
    }

    #[test]
    fn this_process_is_there() {
        let own = process(std::process::id() as i32).unwrap();
        assert!(own.resident > 0 && own.age(uptime()) < Duration::from_secs(3600));
        assert!(proportional(own.pid).is_some_and(|bytes| bytes > 0));
        assert!(!maps(own.pid, "llib-0000000000000000") && process(0).is_none());
    }
}
