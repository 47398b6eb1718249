//! What an encoding gives.

use super::{Buffers, SPARE};
use llib_core::shm::Payload;

/// An encoded message. Long strings are still in Lua's memory, see [`encode`](super::encode()).
pub struct Message {
    /// Taken when it is dropped, for the next one.
    buffers: Option<Box<Buffers>>,
    /// Whether all of them may have been used, and not the stream alone.
    walked: bool,
}

impl Message {
    pub(super) fn new(buffers: Box<Buffers>, walked: bool) -> Message {
        Message { buffers: Some(buffers), walked }
    }
}

impl Payload for Message {
    fn each<'a>(&'a self, take: &mut dyn FnMut(&'a [u8])) {
        if let Some(buffers) = &self.buffers {
            // SAFETY: the value that `encode` leaves on the stack keeps them reachable as long as the message is used.
            unsafe { buffers.sink.each(take) }
        }
    }

    fn len(&self) -> usize {
        self.buffers.as_ref().map_or(0, |buffers| buffers.sink.total())
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        if let Some(mut buffers) = self.buffers.take() {
            if self.walked {
                buffers.reset();
            }
            SPARE.set(Some(buffers));
        }
    }
}
