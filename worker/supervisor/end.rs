//! The end of a session, whichever supervisor sees to it.

use std::sync::atomic::Ordering;

use llib_core::observe::trace;
use llib_core::shm::{SLOTS, Segment, State};
use llib_core::sys::futex;

use crate::timeline;

/// Why a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The host is gone or wants no more.
    Over,
    /// A supervisor was killed.
    Lost,
}

/// Ends what runs, and lets every waiting host know that nothing more will come.
pub(crate) fn publish(segment: &Segment, ending: Ending, kill: impl FnOnce()) {
    let header = segment.header();
    kill();
    if trace::on() {
        timeline::end_all(segment, ending);
    }
    if ending == Ending::Lost {
        header.lost.store(1, Ordering::SeqCst);
        futex::wake_all(&header.acknowledged);
        for index in 0..SLOTS as u32 {
            let slot = segment.slot(index);
            // The mailbox of a free slot may have no pages yet, and nobody waits there.
            if slot.entry.state() != State::Free {
                slot.mailbox.ring();
            }
        }
    }
}

/// Removes what dead sessions left. Those of this tree are the supervisors' of jobs that were hosts themselves: what these
/// could not end, since they were killed with their job, ends here.
pub(crate) fn sweep(tree: &str) {
    llib_core::shared::sweep(|segment| {
        if trace::on() && segment.tree_name() == tree {
            timeline::end_all(segment, Ending::Lost);
        }
    });
    // If the tree lives on: hosts that were forked, or have forked others, may have died with the session.
    llib_core::shared::bury_hosts(tree);
    llib_core::shared::end_unheld(tree);
}
