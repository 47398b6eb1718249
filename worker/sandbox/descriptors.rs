//! What stays open: nothing to read from, the standard streams to print to, and the way to ring the zygote.

use std::os::fd::RawFd;

use llib_worker_sys as sys;

/// Takes away what there is to read. While files can be opened.
pub(super) fn silence() {
    sys::silence(libc::STDIN_FILENO);
}

/// Closes everything else. `doorbell` is the highest number that stays.
pub(super) fn close(doorbell: RawFd) {
    sys::close_from(doorbell + 1);
}
