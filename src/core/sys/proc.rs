//! Whether /proc shows this process's own PID namespace, proc(5).
//!
//! It may be missing (a small container), or be that of another namespace: `unshare --pid` alone leaves the outer one in
//! place. The numbers in that are others' there, and a signal to one of them would hit whatever has the number here.

use std::fs;
use std::path::Path;

/// Whether numbers found in /proc mean what they mean to this process.
pub fn is_own() -> bool {
    let own = std::process::id().to_string();
    let link = fs::read_link("/proc/self").is_ok_and(|target| target == Path::new(&own));
    // A process has a number in each namespace from that of /proc down to its own. The two may happen to be the same.
    link && fs::read_to_string("/proc/self/status").is_ok_and(|status| {
        status
            .lines()
            .find_map(|line| line.strip_prefix("NSpid:"))
            // Linux 4.1 began to show them.
            .is_none_or(|numbers| numbers.split_whitespace().count() == 1)
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_proc_of_this_machine_is_its_own() {
        assert!(super::is_own());
    }
}
