//! Reading what jobs print, for those whose output is captured.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use crate::seat::Ends;
use llib_core::shm::{CaptureSegment, Stream};
use llib_core::wire::settings::Capture;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

/// The reading ends of one job's pipes, and where their contents go.
pub(super) struct Captured {
    segment: CaptureSegment,
    pipes: Vec<(Stream, OwnedFd)>,
}

impl Captured {
    /// Makes pipes and segment. The segment's name goes with this.
    pub(super) fn new(name: &str, capture: Capture) -> io::Result<(Captured, Ends)> {
        let no_space = |_| io::Error::from_raw_os_error(libc::ENOSPC);
        let segment = CaptureSegment::create(name, capture.limit).map_err(no_space)?;
        let mut captured = Captured { segment, pipes: Vec::new() };
        let mut ends = Vec::new();
        for (wanted, stream) in [(capture.stdout, Stream::Output), (capture.stderr, Stream::Error)] {
            if wanted {
                let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
                // Only the reading end: a job's writes wait for room as they would anywhere.
                rustix::io::ioctl_fionbio(&reader, true)?;
                captured.pipes.push((stream, reader));
                ends.push((stream, writer));
            }
        }
        Ok((captured, ends))
    }

    /// Another writing end of a stream's pipe, for a worker that prints where this one's does; none if all are closed. It is
    /// opened by way of /proc/self/fd: one that is kept would keep the pipe from its end.
    pub(super) fn another_end(&self, stream: Stream) -> Option<io::Result<OwnedFd>> {
        let (_, pipe) = self.pipes.iter().find(|(found, _)| *found == stream)?;
        let name = format!("/proc/self/fd/{}", pipe.as_raw_fd());
        let opened = rustix::fs::open(name, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
        Some(opened.map_err(io::Error::from))
    }

    /// What to poll for.
    pub(super) fn files(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.pipes.iter().map(|(_, pipe)| pipe.as_fd())
    }

    /// Takes what is there now, and forgets pipes that nobody writes to any more. It passes through `buffer`, which is not
    /// for workers to see.
    pub(super) fn drain(&mut self, buffer: &mut [u8]) {
        let segment = &self.segment;
        self.pipes.retain(|(stream, pipe)| {
            // A job that never stops printing must not keep the zygote: at most what a pipe holds.
            for _ in 0..64 {
                match rustix::io::read(pipe, &mut *buffer) {
                    Ok(0) => return false,
                    Ok(count) => segment.append(*stream, &buffer[..count]),
                    Err(Errno::INTR) => {}
                    Err(Errno::AGAIN) => return true,
                    Err(_) => return false,
                }
            }
            true
        });
    }
}
