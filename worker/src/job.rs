//! The one job of a worker's process.

use std::os::fd::RawFd;
use std::sync::OnceLock;

use llib::shm::{Mailbox, Region, RegionError, Spot};
use llib::wire::settings::{PREFIX, Settings};

/// A job as it stands in shared memory.
pub(crate) struct Job {
    pub(crate) mailbox: Mailbox<'static>,
    pub(crate) settings: Settings,
    /// Names of the session's segments start with this.
    session: String,
    slot: u32,
    generation: u32,
    pub(crate) doorbell: RawFd,
    // Keeps a job apart mapped, and removes its name when the values are decoded.
    apart: std::sync::Mutex<Option<Region>>,
    start: usize,
    len: usize,
}

static CURRENT: OnceLock<Job> = OnceLock::new();

/// Makes `job` the one that this process runs.
pub(crate) fn enter(job: Job) -> &'static Job {
    CURRENT.get_or_init(|| job)
}

/// The job that this process runs, if it has begun one.
pub(crate) fn current() -> Option<&'static Job> {
    CURRENT.get()
}

impl Job {
    /// Finds a job that was announced in `mailbox`.
    pub(crate) fn receive(
        mailbox: Mailbox<'static>,
        session: String,
        slot: u32,
        doorbell: RawFd,
    ) -> Result<Job, RegionError> {
        let generation = mailbox.generation();
        let length = usize::try_from(mailbox.length()).unwrap_or(0);
        let (start, apart) = match Spot::of(length) {
            Spot::Inline => (mailbox.payload(), None),
            Spot::Apart => {
                let mut region = Region::open(&format!("{session}.{slot}.{generation}.job"))?;
                region.set_owner(true);
                (region.as_ptr(), Some(region))
            }
        };
        let bytes = |from: usize, count: usize| llib::shm::copy_out(start.wrapping_add(from), count);
        let prefix = bytes(0, PREFIX.min(length));
        let count = prefix.first_chunk::<PREFIX>().map_or(0, |prefix| u32::from_le_bytes(*prefix) as usize);
        let head = bytes(0, (PREFIX + count).min(length));
        let (settings, used) = Settings::from_bytes(&head).unwrap_or_default();
        Ok(Job {
            mailbox,
            settings,
            session,
            slot,
            generation,
            doorbell,
            apart: std::sync::Mutex::new(apart),
            start: start.expose_provenance() + used,
            len: length - used,
        })
    }

    /// Address and length of its encoded values.
    pub(crate) fn values(&self) -> (*const u8, usize) {
        (std::ptr::with_exposed_provenance(self.start), self.len)
    }

    /// Forgets the encoded values; they have been decoded.
    pub(crate) fn drop_values(&self) {
        if let Ok(mut apart) = self.apart.lock() {
            *apart = None;
        }
    }

    /// Number that no other job of the session has.
    pub(crate) fn id(&self) -> u64 {
        llib::shm::job_id(self.slot, self.generation)
    }

    /// Name of the segment for a reply that is too long for the mailbox.
    pub(crate) fn reply_name(&self) -> String {
        format!("{}.{}.{}.reply", self.session, self.slot, self.generation)
    }
}
