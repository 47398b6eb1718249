//! Where content lies in an object's segment.
//!
//! One sparse file. Its first page is the [`Header`](super::Header), with two small halves for content. Then come pairs of
//! halves, each pair twice as large as the one before: 4 KiB, 8 KiB, and so on to 2 GiB. Content that outgrows its
//! pair moves to a larger one of the same file, and the mapping grows by mremap(2). So growth needs no descriptor,
//! no name and no help, also in a process that may open nothing; and pages exist only where content stands.

use super::header::{SMALL_AT, SMALL_HALF};
use crate::shm::PAGE;

/// Number of the largest pair of halves, of 2 GiB each.
pub(in crate::shared) const LARGEST: u32 = 20;
/// Bytes of one half of a pair.
pub(in crate::shared) fn half_size(pair: u32) -> usize {
    if pair == 0 { SMALL_HALF } else { PAGE << (pair - 1) }
}

/// Where a half begins, counted from the end of the header. Not for pair 0, which lies in the header.
pub(super) fn half_at(pair: u32, half: usize) -> usize {
    2 * ((PAGE << (pair - 1)) - PAGE) + half * half_size(pair)
}

/// Offset of a half in the file; `None` where the numbers are none of the layout.
pub(in crate::shared) fn half_in_file(pair: u32, half: usize) -> Option<usize> {
    match pair {
        _ if half > 1 || pair > LARGEST => None,
        0 => Some(SMALL_AT + half * SMALL_HALF),
        _ => Some(PAGE + half_at(pair, half)),
    }
}
