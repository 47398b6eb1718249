//! Limits of other processes, prlimit(2).

use llib_core::wire::attributes::{Limit, RESOURCES};

/// The limits of a process; none where they cannot be read, as of one that has other user ids than this process.
pub fn of(pid: i32) -> Option<[Limit; RESOURCES]> {
    let mut limits = [(0, 0); RESOURCES];
    for (resource, limit) in (0..).zip(&mut limits) {
        let mut found = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the call takes numbers, sets nothing, and fills the record in.
        if unsafe { libc::prlimit64(pid, resource, std::ptr::null(), &mut found) } != 0 {
            return None;
        }
        *limit = (found.rlim_cur, found.rlim_max);
    }
    Some(limits)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_limits_of_this_process_are_the_same_from_outside() {
        let own = std::process::id().cast_signed();
        assert_eq!(super::of(own), Some(llib_core::sys::limits::all()));
        assert_eq!(super::of(-1), None);
    }
}
