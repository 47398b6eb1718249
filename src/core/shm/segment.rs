//! A session's segment: creating, opening, and what a worker keeps of it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering;

use shared_memory::{Shmem, ShmemConf, ShmemError};

use super::bitmap::SLOTS;
use super::bytes::SharedBytesMut;
use super::error::RegionError;
use super::file::{SharedFile, check_length, unlink};
use super::fresh::Places;
use super::layout::{self, Entry, Header, Slot};
use super::mailbox::Mailbox;
use super::mapping::Mapping;
use super::monitor;
use super::region::Region;
use super::stale;

/// Slots below this keep the pages of large payloads, which spares the next job the faults (unless it is a sandboxed one): the first free slot
/// is always taken first. The others are used in a crowd alone, and would take up 64 KiB each for ever.
const WARM: u32 = 64;

/// The mapped segment of a session. The crate `shared_memory` makes it and maps it; its name is removed when the session
/// ends, and not when one of its processes drops a mapping.
pub struct Segment {
    region: Region,
    pub(super) places: Places,
}

impl Segment {
    /// Creates the segment of a new session; all slots are free.
    pub fn create(name: &str, tree: u64) -> Result<Segment, RegionError> {
        check_length(layout::LEN).map_err(|error| RegionError::map("create", name, error))?;
        let memory = ShmemConf::new().os_id(name).size(layout::LEN).create();
        let segment = Segment::of("create", name, memory, || {
            SharedFile::create(name, |file| {
                file.grow(layout::LEN)?;
                file.map(0..layout::LEN).map_err(file.failed("create"))
            })
        })?;
        segment.region.reserve(0..layout::TRUSTED).inspect_err(|_| unlink(name))?;
        segment.header().tree.store(tree, Ordering::SeqCst);
        (0..SLOTS as u32).for_each(|slot| segment.header().free.give(slot));
        Ok(segment)
    }

    /// Maps the segment of a session that another process created.
    pub fn open(name: &str) -> Result<Segment, RegionError> {
        let memory = ShmemConf::new().os_id(name).open();
        Segment::of("open", name, memory, || {
            let file = SharedFile::open(name).map_err(|error| RegionError::map("open", name, error))?;
            file.len().and_then(|len| file.map(0..len)).map_err(file.failed("open"))
        })
    }

    /// `otherwise` is tried where the crate's way fails and there is a monitor.
    fn of(
        action: &'static str,
        name: &str,
        memory: Result<Shmem, ShmemError>,
        otherwise: impl FnOnce() -> Result<Mapping, RegionError>,
    ) -> Result<Segment, RegionError> {
        let failed = |source: io::Error| RegionError::map(action, name, source);
        let mapping = match memory {
            Ok(mut memory) => {
                memory.set_owner(false);
                Mapping::of_session(memory)
            }
            Err(_) if monitor::end().is_some() => Some(otherwise()?),
            Err(error) => return Err(failed(as_io(error))),
        };
        let mapping = mapping.filter(|mapping| mapping.bytes().len() == layout::LEN);
        let mapping = mapping.ok_or_else(|| failed(io::Error::other("it has an unexpected length")))?;
        Ok(Segment { region: Region::of_session(name, mapping), places: Places::new() })
    }

    fn bytes(&self) -> SharedBytesMut<'_> {
        self.region.bytes()
    }

    pub(super) fn region(&self) -> &Region {
        &self.region
    }

    /// Name of the segment, and prefix of every other segment of the session.
    pub fn name(&self) -> &str {
        self.region.name()
    }

    /// Name of the tree that the session belongs to.
    pub fn tree_name(&self) -> String {
        stale::tree_name(self.header().tree.load(Ordering::SeqCst))
    }

    /// The session's header.
    pub fn header(&self) -> &Header {
        layout::header(self.bytes())
    }

    /// What host and zygote know of a slot.
    pub fn entry(&self, index: u32) -> &Entry {
        layout::entry(self.bytes(), index)
    }

    /// One slot. Its mailbox is where its entry says; if that cannot be mapped, as when the slot's last job is over, it is one
    /// that nobody else has.
    pub fn slot(&self, index: u32) -> Slot<'_> {
        if !self.places.is(index, self.entry(index).own_file()) && self.follow(index).is_err() {
            self.map_nothing(index);
        }
        layout::slot(self.bytes(), index)
    }

    /// What is mapped as the mailbox of a slot.
    pub(super) fn mailbox(&self, index: u32) -> Mailbox<'_> {
        layout::mailbox(self.bytes(), index)
    }

    /// Makes sure that `payload` bytes can be written into a slot's mailbox, and its words.
    pub fn reserve(&self, index: u32, payload: usize) -> Result<(), RegionError> {
        let entry = self.slot(index).entry;
        if entry.own_file() != 0 {
            return self.reserve_own(index, entry.own_file(), Mailbox::PAYLOAD_AT + payload);
        }
        if payload <= Mailbox::READY && entry.is_reserved() {
            return Ok(());
        }
        let start = layout::mailbox_range(index).start;
        let reserved = self.region.reserve(start..start + Mailbox::PAYLOAD_AT + payload);
        if reserved.is_err() {
            // Some pages were there until none was left; others need them.
            self.region.mapping().release(layout::large_payload(index));
        } else if payload >= Mailbox::READY {
            entry.set_reserved();
        }
        reserved
    }

    /// Keeps the segment from the children that this process forks from now on: they have nothing at its
    /// addresses until they [`adopt`](Segment::adopt) a mailbox, with the file that this returns. That is not the
    /// one of the session's lock: a mapping keeps its file open, and so would keep the lock.
    pub fn keep_from_children(&self) -> io::Result<OwnedFd> {
        self.places.hidden.store(true, Ordering::SeqCst);
        self.region.mapping().keep_from_children()?;
        Ok(SharedFile::open(self.name())?.into())
    }

    /// In such a child, before it runs code that is not llib's: keeps the addresses free for [`adopt`](Segment::adopt).
    pub fn hold_place(&self) -> io::Result<()> {
        self.region.mapping().hold_place()
    }

    /// In such a child: maps the mailbox of slot `index`, and that alone, where the parent has it. `file` is
    /// the segment's. For one with a file of its own there is [`Segment::adopt_own`].
    pub fn adopt(&self, index: u32, file: impl AsFd) -> io::Result<Mailbox<'_>> {
        let range = layout::mailbox_range(index);
        self.region.mapping().map_in_place(range.clone(), file, range.start)?;
        Ok(self.mailbox(index))
    }

    /// Gives back what the last job of a slot took up if its payloads were large: segments apart, and pages.
    pub fn clear(&self, slot: Slot<'_>) {
        let own = slot.entry.own_file();
        if slot.entry.room.swap(0, Ordering::SeqCst) != 0 {
            unlink(&self.room_name(slot.index));
        }
        if own != 0 {
            unlink(&self.own_name(slot.index, own));
        }
        if slot.mailbox.large().swap(0, Ordering::SeqCst) == 0 {
            return;
        }
        let generation = slot.entry.generation.load(Ordering::SeqCst);
        unlink(&self.job_name(slot.index, generation));
        unlink(&self.reply_name(slot.index, generation));
        if slot.index >= WARM || own != 0 {
            self.region.mapping().release(layout::large_payload(slot.index));
        }
    }

    /// Name of the segment for a job that is too long for its mailbox.
    pub fn job_name(&self, index: u32, generation: u32) -> String {
        format!("{}.{index}.{generation}.job", self.name())
    }

    /// Name of the segment for a reply that is too long for its mailbox.
    pub fn reply_name(&self, index: u32, generation: u32) -> String {
        format!("{}.{index}.{generation}.reply", self.name())
    }

    /// Name of the segment for a reply from a sandbox, which has to be there before its walls are.
    pub fn room_name(&self, index: u32) -> String {
        format!("{}.{index}.room", self.name())
    }

    /// Name of the segment with the reason why a module could not be loaded.
    pub fn preload_name(&self, number: u32) -> String {
        format!("{}.preload-{number}", self.name())
    }

    /// Name of the segment for a job's captured output.
    pub fn output_name(&self, index: u32, generation: u32) -> String {
        format!("{}.{index}.{generation}.output", self.name())
    }
}

fn as_io(error: ShmemError) -> io::Error {
    match error {
        ShmemError::MapCreateFailed(code)
        | ShmemError::MapOpenFailed(code)
        | ShmemError::UnknownOsError(code) => io::Error::from_raw_os_error(code.cast_signed()),
        other => io::Error::other(other),
    }
}
