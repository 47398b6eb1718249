//! What a process may use and how it makes files, as it is: setrlimit(2), umask(2).

use rustix::process::{Resource, Rlimit, getrlimit};

use crate::wire::attributes::{Limit, RESOURCES};

/// All resources, by their numbers.
pub const ALL: [Resource; RESOURCES] = [
    Resource::Cpu,
    Resource::Fsize,
    Resource::Data,
    Resource::Stack,
    Resource::Core,
    Resource::Rss,
    Resource::Nproc,
    Resource::Nofile,
    Resource::Memlock,
    Resource::As,
    Resource::Locks,
    Resource::Sigpending,
    Resource::Msgqueue,
    Resource::Nice,
    Resource::Rtprio,
    Resource::Rttime,
];

/// The limits of this process. Some 5 µs.
pub fn all() -> [Limit; RESOURCES] {
    ALL.map(|resource| from_kernel(getrlimit(resource)))
}

/// A limit as a pair of numbers.
pub fn from_kernel(limit: Rlimit) -> Limit {
    (limit.current.unwrap_or(u64::MAX), limit.maximum.unwrap_or(u64::MAX))
}

/// The inverse of [`from_kernel`].
pub fn to_kernel((current, maximum): Limit) -> Rlimit {
    let value = |number: u64| Some(number).filter(|number| *number != u64::MAX);
    Rlimit { current: value(current), maximum: value(maximum) }
}

/// The mask of the calling thread, which umask(2) tells by changing it alone; none without a /proc.
pub fn umask() -> Option<u32> {
    umask_in(&std::fs::read("/proc/thread-self/status").ok()?)
}

/// The mask in a file /proc/PID/status, proc(5); none before Linux 4.7.
pub fn umask_in(status: &[u8]) -> Option<u32> {
    let line = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"Umask:"))?;
    u32::from_str_radix(std::str::from_utf8(line).ok()?.trim(), 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_resource_stands_at_its_number_and_a_mask_is_read_as_an_octal_number() {
        for (number, resource) in ALL.into_iter().enumerate() {
            assert_eq!(resource as usize, number);
            assert_eq!(to_kernel(from_kernel(getrlimit(resource))), getrlimit(resource));
        }
        assert_eq!(umask_in(b"Name:\tUmask:\nUmask:\t0027\nState:\tR"), Some(0o27));
        assert_eq!(umask_in(b"Name:\tx\n"), None);
        assert!(umask().is_some());
    }
}
