//! What stays open: nothing to read from, the standard streams to print to, and the way to ring the zygote.

use std::os::fd::RawFd;

use crate::sys;

/// Closes everything else. `doorbell` is the highest number that stays.
pub(super) fn enforce(doorbell: RawFd) {
    sys::silence(libc::STDIN_FILENO);
    sys::close_from(doorbell + 1);
}
