//! Looking at sessions and trees from outside, for a process that has no part in them.
//!
//! They are read as [`super::seen`] says. Nothing in the copies is trusted:
//! anybody who may write to `/dev/shm` as this user can have put it there. Numbers are held to their ranges here; whether
//! a process id is that of a worker the caller finds out.

mod session;
mod tree;

pub use session::{SessionView, SlotView, sessions};
pub use tree::TreeView;

#[cfg(test)]
mod tests {
    use super::super::region::Region;
    use super::super::seen::Seen;
    use super::super::{Segment, new_name, remove_session};
    use super::*;
    use crate::shm::State;

    #[test]
    fn a_session_is_seen_as_it_stands_in_memory() {
        let name = new_name().unwrap();
        let segment = Segment::create(&name, 0xabc).unwrap();
        segment.reserve(7, 100).unwrap();
        assert!(segment.header().free.take(7));
        segment.header().processes[2].store(42, std::sync::atomic::Ordering::SeqCst);
        let slot = segment.slot(7);
        slot.entry.swap(State::Busy);
        let settings = crate::wire::settings::Settings { name: "a job".to_owned(), ..Default::default() };
        let bytes = settings.to_bytes();
        slot.mailbox.write(&&bytes[..]);
        slot.mailbox.publish_job(3, bytes.len());
        let view = sessions().find(|view| view.name == name).unwrap();
        assert_eq!((view.tree.as_str(), view.zygote), ("llib-tree-0000000000000abc", 42));
        assert_eq!(view.slots.len(), 1);
        assert_eq!((view.slots[0].index, view.slots[0].state), (7, State::Busy));
        assert_eq!(view.slots[0].name.as_deref(), Some("a job"));
        // Nonsense in the mailbox is no name.
        slot.mailbox.write(&&[0xff; 64][..]);
        let view = sessions().find(|view| view.name == name).unwrap();
        assert_eq!(view.slots[0].name, None);
        remove_session(&name);
    }

    #[test]
    fn whatever_stands_in_a_session_it_is_looked_at_without_harm() {
        let name = new_name().unwrap();
        let segment = Region::create(&name, super::super::layout::LEN).unwrap();
        // A guard that starts elsewhere takes a segment without a lock for a leftover.
        let _lock = super::super::claim(&name).unwrap();
        let bytes = 64 << 10;
        segment.reserve(0..bytes).unwrap();
        for round in 0..20u64 {
            let mut state = round.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let mut noise = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                if round == 0 { 0xff } else { (state >> 56) as u8 }
            };
            let noise: Vec<u8> = std::iter::repeat_with(&mut noise).take(bytes).collect();
            segment.bytes().put(0, &noise);
            for view in sessions().filter(|view| view.name == name) {
                assert!(view.slots.iter().all(|slot| (slot.index as usize) < crate::shm::SLOTS));
                assert!(view.pool(u32::MAX).is_none() && TreeView::of(&view.tree).is_none());
            }
        }
    }

    #[test]
    fn a_file_of_a_sessions_name_that_is_none_is_not_seen() {
        let name = new_name().unwrap();
        let _region = Region::create(&name, 4096).unwrap();
        assert!(sessions().all(|view| view.name != name));
        assert!(Seen::open(&name).unwrap().read_bytes(4000, 100).is_none());
        assert!(Seen::open("..").is_none());
    }
}
