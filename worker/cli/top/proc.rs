//! What the system says of a process: proc(5). Nothing here asks for more than reading.

use std::fs;
use std::time::Duration;

pub(super) use llib_core::sys::process::{Process, command_line, process};

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
    fn this_process_is_there() {
        let own = process(std::process::id() as i32).unwrap();
        assert!(own.resident > 0 && own.age(uptime()) < Duration::from_secs(3600));
        assert!(proportional(own.pid).is_some_and(|bytes| bytes > 0));
        assert!(!maps(own.pid, "llib-0000000000000000") && process(0).is_none());
    }
}
