//! What workers ring. Anybody can who runs in one, as often as he likes, so it is heard a few times in a millisecond at most.

use std::os::fd::OwnedFd;
use std::time::Duration;

use llib_core::sys::clock;

/// A time, and how often the bell is heard in it at most. Each costs some microseconds, and more with many who wait.
const ROUND: Duration = Duration::from_millis(1);
const MOST: u32 = 4;

/// The end of the bell's sockets where the zygote hears it.
pub(super) struct Bell {
    pub(super) file: OwnedFd,
    /// End of the time that is counted in.
    until: u64,
    heard: u32,
}

impl Bell {
    pub(super) fn new(file: OwnedFd) -> Bell {
        Bell { file, until: 0, heard: 0 }
    }

    /// When it may be heard again; `None` now.
    pub(super) fn pause(&self) -> Option<u64> {
        (self.heard >= MOST && clock::now() < self.until).then_some(self.until)
    }

    /// Silences it. What workers wrote passes through `buffer`, which is not for others to see.
    pub(super) fn hear(&mut self, buffer: &mut [u8]) {
        if clock::now() >= self.until {
            (self.until, self.heard) = (clock::after(ROUND), 0);
        }
        self.heard += 1;
        // Non-blocking; what was written does not matter.
        let _ = rustix::io::read(&self.file, buffer);
    }
}
