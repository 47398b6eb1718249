//! A session's segment, seen from outside.

use std::sync::atomic::Ordering;

use super::super::bitmap::SLOTS;
use super::super::fresh::own_name;
use super::super::layout::{self, Entry, Header, State};
use super::super::mailbox::{Mailbox, Words};
use super::super::pool::{PoolSeat, PoolSeen, pool_name};
use super::super::seen::Seen;
use super::super::stale;
use super::super::waiting::Awaited;
use crate::sync::Owner;
use crate::wire::settings::{PREFIX, Settings};

/// What a session's segment says.
#[derive(Debug)]
pub struct SessionView {
    /// Name of the segment.
    pub name: String,
    /// Name of the tree that it belongs to.
    pub tree: String,
    /// The user whose it is.
    pub user: u32,
    /// The process that started it.
    pub host: i32,
    /// The supervisors.
    pub guard: i32,
    /// The supervisors.
    pub zygote: i32,
    /// What the host waits for, unless it is a worker.
    pub waiting: Option<Awaited>,
    /// The slots that are in use.
    pub slots: Vec<SlotView>,
}

/// What stands in a slot's entry and in its mailbox; the latter is the worker's word.
#[derive(Debug)]
pub struct SlotView {
    /// Its place in the table.
    pub index: u32,
    /// Where it stands.
    pub state: State,
    /// Number of its job.
    pub generation: u32,
    /// The worker; 0 without one.
    pub pid: i32,
    /// When its job was made, on the monotonic clock; 0 for a spare.
    pub started: u64,
    /// When it will be killed, on the same clock.
    pub deadline: Option<u64>,
    /// Who it is in the table of owners.
    pub owner: Option<Owner>,
    /// Number of the pool that it serves, and its seat.
    pub pool: Option<(u32, usize)>,
    /// The reply's code; 0 while there is none.
    pub reply: u32,
    /// Whether it was asked to end.
    pub closing: bool,
    /// What it waits for.
    pub waiting: Option<Awaited>,
    /// The job's name, where it still stands there.
    pub name: Option<String>,
    /// Whether it is a sandboxed job's, or a spare's behind walls.
    pub sandboxed: bool,
}

/// The sessions whose segments this process may read.
pub fn sessions() -> impl Iterator<Item = SessionView> {
    stale::names().filter(|name| stale::is_session(name)).filter_map(|name| view(&name))
}

fn view(name: &str) -> Option<SessionView> {
    let seen = Seen::open(name).filter(|seen| seen.len == layout::LEN as u64)?;
    let header: Header = seen.read_one(0)?;
    let pid = |index: usize| header.processes[index].load(Ordering::Relaxed).cast_signed();
    let used: Vec<u32> = (0..SLOTS as u32).filter(|slot| !header.free.has(*slot)).collect();
    let count = used.last().map_or(0, |last| *last as usize + 1);
    let entries: Vec<Entry> = seen.read(layout::ENTRIES_AT, count)?;
    let slots = used.into_iter().filter_map(|index| slot(name, &seen, index, entries.get(index as usize)?));
    Some(SessionView {
        name: name.to_owned(),
        tree: stale::tree_name(header.tree.load(Ordering::Relaxed)),
        user: seen.user,
        host: pid(0),
        guard: pid(1),
        zygote: pid(2),
        waiting: header.waiting.awaited(),
        slots: slots.collect(),
    })
}

fn slot(session: &str, seen: &Seen, index: u32, entry: &Entry) -> Option<SlotView> {
    let state = entry.state();
    // A sandboxed worker's mailbox is in a file of its own.
    let own = Some(entry.own_file()).filter(|number| *number != 0 && state != State::Free);
    let own = own.map(|number| Seen::open(&own_name(session, index, number)));
    let (seen, at) = match &own {
        Some(file) => (file.as_ref(), 0),
        None => (Some(seen), layout::mailbox_range(index).start),
    };
    let words: Option<Words> =
        if state == State::Free { None } else { seen.and_then(|seen| seen.read_one(at)) };
    let spare = state == State::Spare;
    let number = |word: u64| Some(((word >> 16) as u32, ((word & 0xffff) as usize).checked_sub(1)?));
    Some(SlotView {
        index,
        state,
        generation: entry.generation.load(Ordering::Relaxed),
        pid: entry.pid.load(Ordering::Relaxed).cast_signed(),
        started: entry.started.load(Ordering::Relaxed),
        deadline: Some(entry.deadline.load(Ordering::Relaxed)).filter(|deadline| *deadline != 0 && !spare),
        owner: entry.owner(),
        pool: number(entry.pool.load(Ordering::Relaxed)).filter(|_| !spare),
        reply: words.as_ref().map_or(0, Words::replied_code),
        closing: words.as_ref().is_some_and(Words::is_closing),
        waiting: words.as_ref().and_then(Words::awaited),
        name: if spare {
            None
        } else {
            seen.zip(words.as_ref()).and_then(|(seen, words)| name(seen, at, words))
        },
        sandboxed: entry.room.load(Ordering::Relaxed) != 0,
    })
}

/// The name in the settings with which the job's payload begins. The reply takes their place.
fn name(seen: &Seen, mailbox: usize, words: &Words) -> Option<String> {
    if words.replied_code() != 0 {
        return None;
    }
    let payload = mailbox + Mailbox::PAYLOAD_AT;
    let prefix = seen.read_bytes(payload, PREFIX)?;
    let len = u32::from_le_bytes(*prefix.first_chunk()?) as usize;
    if len == 0 || PREFIX + len > Mailbox::READY {
        return None;
    }
    let bytes = seen.read_bytes(payload, PREFIX + len)?;
    Some(Settings::from_bytes(&bytes)?.0.name)
}

impl SessionView {
    /// How many jobs of a pool wait for a worker, and its seats; none if it has no such pool.
    pub fn pool(&self, number: u32) -> Option<(u64, Vec<PoolSeat>)> {
        PoolSeen::read(&Seen::open(&pool_name(&self.name, number))?)
    }
}
