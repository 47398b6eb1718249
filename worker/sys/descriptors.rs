//! Descriptors that are not llib's: those that preloaded modules have opened.

use std::os::fd::{AsRawFd, RawFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::DupFlags;
use rustix::process::{Resource, getrlimit};

use super::{close_between, duplicate_to};

/// The numbers that are open from `first` on, ascending.
pub fn open_from(first: RawFd) -> Vec<RawFd> {
    /// Where there is no /proc, higher ones are not looked for.
    const MOST: u64 = 1 << 16;
    let mut open: Vec<RawFd> = match std::fs::read_dir("/proc/self/fd") {
        Ok(entries) => {
            let names = entries.flatten().map(|entry| entry.file_name());
            names.filter_map(|name| name.to_str()?.parse().ok()).collect()
        }
        Err(_) => (0..getrlimit(Resource::Nofile).current.unwrap_or(MOST).min(MOST) as RawFd).collect(),
    };
    open.sort_unstable();
    // The one with which the folder was read is closed by now.
    open.retain(|fd| *fd >= first && is_open(*fd));
    open
}

fn is_open(fd: RawFd) -> bool {
    // SAFETY: the call takes numbers.
    unsafe { libc::fcntl(fd, libc::F_GETFD) != -1 }
}

/// What tells the file that a number stands for from others; none if it is not open.
pub fn identity(number: RawFd) -> Option<(u64, u64)> {
    // SAFETY: an all-zero record is a value; the call fills it in.
    unsafe {
        let mut about: libc::stat = std::mem::zeroed();
        (libc::fstat(number, &mut about) == 0).then_some((about.st_dev, about.st_ino))
    }
}

/// Closes every descriptor from `first` on but those in `kept`, ascending numbers.
pub fn close_all_but(first: RawFd, kept: &[RawFd]) {
    let mut next = first;
    for fd in kept.iter().filter(|fd| **fd >= first) {
        if *fd > next {
            close_between(next, *fd - 1);
        }
        next = fd + 1;
    }
    close_between(next, RawFd::MAX);
}

/// Takes from these numbers what they stand for. They stay in use, so that a module that still knows one does not meet another
/// file there: every read and write fails, open(2) with O_PATH.
pub fn disarm(numbers: &[RawFd]) {
    if numbers.is_empty() {
        return;
    }
    let Ok(nothing) = rustix::fs::open("/dev/null", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) else {
        return numbers.iter().for_each(|fd| close_between(*fd, *fd));
    };
    for fd in numbers.iter().filter(|fd| **fd != nothing.as_raw_fd()) {
        if duplicate_to(&nothing, *fd, DupFlags::CLOEXEC).is_err() {
            close_between(*fd, *fd);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::FromRawFd;

    #[test]
    fn what_is_open_is_found_and_a_disarmed_number_stays_in_use_and_gives_nothing() {
        let file = std::mem::ManuallyDrop::new(std::fs::File::open("/proc/self/status").unwrap());
        let number = file.as_raw_fd();
        assert!(open_from(number).contains(&number) && !open_from(number + 1).contains(&number));
        disarm(&[number]);
        assert!(is_open(number));
        // SAFETY: the number is this test's, which has given it up.
        let mut file = unsafe { std::fs::File::from_raw_fd(number) };
        assert_eq!(file.read(&mut [0]).unwrap_err().raw_os_error(), Some(libc::EBADF));
    }
}
