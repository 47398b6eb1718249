//! Whether this process may open and remove segments by their names: one that stands behind walls would be ended for the
//! mere try.

use std::sync::atomic::{AtomicBool, Ordering};

static CONFINED: AtomicBool = AtomicBool::new(false);

/// From now on this process opens no more segments: it cannot, or must not.
pub(super) fn confine() {
    CONFINED.store(true, Ordering::SeqCst);
    super::monitor::forget();
}

/// Whether it may open none, and give back no pages of those that it has.
pub(crate) fn is_confined() -> bool {
    CONFINED.load(Ordering::SeqCst)
}
