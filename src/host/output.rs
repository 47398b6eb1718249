//! Captured output, as the zygote leaves it in a segment of its own.

use llib_core::shm::{CaptureSegment, Stream};
use llib_core::wire::settings::Capture;

/// What a job wrote to its standard streams; `None` for one that was not captured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Standard output.
    pub stdout: Option<Vec<u8>>,
    /// Standard error.
    pub stderr: Option<Vec<u8>>,
}

/// Reads what a capture segment holds. It does not exist before something was written.
pub(super) fn read(name: &str, capture: Capture) -> Output {
    let segment = CaptureSegment::open(name, capture.limit).ok();
    let read = |wanted: bool, stream| {
        wanted.then(|| segment.as_ref().map(|segment| segment.read(stream)).unwrap_or_default())
    };
    Output { stdout: read(capture.stdout, Stream::Output), stderr: read(capture.stderr, Stream::Error) }
}
