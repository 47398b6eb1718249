//! The segment in which the zygote keeps what a job printed. Only zygote and host map it; workers that are forked meanwhile have
//! nothing there.

use std::sync::atomic::{AtomicU64, Ordering};

use super::bytes::Atomics;
use super::error::RegionError;
use super::region::Region;

/// One of the two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

#[repr(C)]
struct Lengths {
    stored: [AtomicU64; 2],
}

// SAFETY: it is made of atomic integers.
unsafe impl Atomics for Lengths {}

const START: usize = 64;

/// Both streams, each up to a limit.
pub struct CaptureSegment {
    region: Region,
    limit: usize,
}

impl CaptureSegment {
    /// Creates the segment for `limit` bytes a stream; pages exist once written.
    pub fn create(name: &str, limit: u32) -> Result<CaptureSegment, RegionError> {
        let limit = limit as usize;
        let region = Region::create(name, START + 2 * limit)?;
        region.reserve(0..START)?;
        let apart = region.mapping().keep_from_children();
        apart.map_err(|error| RegionError::map("set apart", name, error))?;
        Ok(CaptureSegment { region, limit })
    }

    /// Opens what the zygote created.
    pub fn open(name: &str, limit: u32) -> Result<CaptureSegment, RegionError> {
        let limit = limit as usize;
        let region = Region::open_exactly(name, START + 2 * limit)?;
        Ok(CaptureSegment { region, limit })
    }

    fn stored(&self, stream: Stream) -> &AtomicU64 {
        &self.region.bytes().words::<Lengths>(0).stored[stream as usize]
    }

    /// Keeps the beginning of `bytes` that still fits under the limit, or as much as shared memory has
    /// room for; the rest is dropped.
    pub fn append(&self, stream: Stream, bytes: &[u8]) {
        let stored = self.stored(stream).load(Ordering::SeqCst) as usize;
        let kept = bytes.len().min(self.limit.saturating_sub(stored));
        let at = START + stream as usize * self.limit + stored;
        if kept == 0 || self.region.reserve(at..at + kept).is_err() {
            return;
        }
        self.region.bytes().put(at, &bytes[..kept]);
        self.stored(stream).store((stored + kept) as u64, Ordering::SeqCst);
    }

    /// What was kept so far.
    pub fn read(&self, stream: Stream) -> Vec<u8> {
        let stored = (self.stored(stream).load(Ordering::SeqCst) as usize).min(self.limit);
        self.region.bytes().after(START + stream as usize * self.limit).first(stored).copy()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stream_keeps_its_beginning_up_to_the_limit() {
        let name = super::super::new_name().unwrap();
        let capture = CaptureSegment::create(&name, 10).unwrap();
        capture.append(Stream::Output, b"hello ");
        capture.append(Stream::Error, b"oops");
        capture.append(Stream::Output, b"wide world");
        let reader = CaptureSegment::open(&name, 10).unwrap();
        assert_eq!(reader.read(Stream::Output), b"hello wide");
        assert_eq!(reader.read(Stream::Error), b"oops");
        assert!(CaptureSegment::open(&name, 11).is_err());
    }
}
