//! The one job of a worker's process.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, OnceLock};

use llib::shared::{ObjectError, attach_up_to, split_in_memory, take_over};
use llib::shm::{Mailbox, Region, RegionError, Spot, handles};
use llib::wire::settings::{PREFIX, Settings};

/// A job as it stands in shared memory.
pub(crate) struct Job {
    pub(crate) mailbox: Mailbox<'static>,
    pub(crate) settings: Settings,
    pub(crate) desk: Desk,
    /// Whether this is only an exercise, whose reply nobody gets.
    pub(crate) rehearsal: bool,
    generation: u32,
    values: Mutex<Values>,
    walls: OnceLock<Walls>,
}

/// What a worker knows before it has a job.
#[derive(Clone)]
pub(crate) struct Desk {
    /// Names of the session's segments start with this.
    pub(crate) session: String,
    pub(crate) slot: u32,
    pub(crate) doorbell: RawFd,
    /// Of a worker that stands behind walls already.
    pub(crate) walls: Option<Walls>,
}

/// What a sandboxed worker has for itself.
#[derive(Clone, Copy)]
pub(crate) struct Walls {
    /// Where a reply goes that is too long for the mailbox.
    pub(crate) room: Option<&'static Region>,
}

impl Desk {
    /// Maps a segment for a reply of at most `longest` bytes, which a worker behind walls could neither create nor
    /// make longer.
    pub(crate) fn open_room(&self, longest: u64) -> Result<Walls, RegionError> {
        let longest = usize::try_from(longest).unwrap_or(usize::MAX);
        if Spot::of(longest) == Spot::Inline {
            return Ok(Walls { room: None });
        }
        let name = format!("{}.{}.room", self.session, self.slot);
        let mut room = Region::create(&name, longest)?;
        // Whoever frees the slot removes the name.
        room.set_owner(false);
        Ok(Walls { room: Some(Box::leak(Box::new(room))) })
    }
}

/// The job's encoded values, and what keeps them mapped.
#[derive(Default)]
struct Values {
    address: usize,
    len: usize,
    /// The objects whose handles are among them.
    ids: Vec<u64>,
    apart: Option<Region>,
}

/// Where a job's payload stands.
struct Place {
    start: *const u8,
    length: usize,
    /// Whether it ends with the ids of objects.
    carries: bool,
    /// What keeps it mapped.
    apart: Option<Region>,
}

static CURRENT: AtomicPtr<Job> = AtomicPtr::new(std::ptr::null_mut());

/// Makes `job` the one that this process runs.
pub(crate) fn enter(job: Job) -> &'static Job {
    let job = Box::leak(Box::new(job));
    CURRENT.store(job, Ordering::SeqCst);
    job
}

/// Ends a rehearsal.
pub(crate) fn leave() {
    CURRENT.store(std::ptr::null_mut(), Ordering::SeqCst);
}

/// The job that this process runs, if it has begun one.
#[allow(unsafe_code)]
pub(crate) fn current() -> Option<&'static Job> {
    // SAFETY: null, or a job that `enter` leaked.
    unsafe { CURRENT.load(Ordering::SeqCst).as_ref() }
}

impl Job {
    /// Finds a job that was announced in `mailbox`.
    pub(crate) fn receive(mailbox: Mailbox<'static>, desk: Desk) -> Result<Job, RegionError> {
        let generation = mailbox.generation();
        let length = usize::try_from(mailbox.length()).unwrap_or(0);
        let (start, apart) = match Spot::of(length) {
            Spot::Inline => (mailbox.payload(), None),
            Spot::Apart => {
                let mut region = Region::open(&format!("{}.{}.{generation}.job", desk.session, desk.slot))?;
                region.set_owner(true);
                (region.as_ptr(), Some(region))
            }
        };
        let carries = mailbox.handles().load(Ordering::SeqCst) == handles::JOB;
        let place = Place { start, length, carries, apart };
        Ok(Job::read(mailbox, desk, generation, place))
    }

    /// A job that the zygote wrote for practice.
    pub(crate) fn rehearse(mailbox: Mailbox<'static>, desk: Desk, bytes: &[u8]) -> Job {
        let place = Place { start: bytes.as_ptr(), length: bytes.len(), carries: false, apart: None };
        let job = Job::read(mailbox, desk, 0, place);
        Job { rehearsal: true, ..job }
    }

    #[allow(unsafe_code)]
    fn read(mailbox: Mailbox<'static>, desk: Desk, generation: u32, place: Place) -> Job {
        let Place { start, length, carries, apart } = place;
        // SAFETY: `length` bytes are mapped there, and the copies take no more.
        let copy = |len: usize| unsafe { llib::shm::copy_out(start, len.min(length)) };
        let count =
            copy(PREFIX).first_chunk::<PREFIX>().map_or(0, |prefix| u32::from_le_bytes(*prefix) as usize);
        let head = copy(PREFIX + count);
        let (settings, used) = Settings::from_bytes(&head).unwrap_or_default();
        // SAFETY: as above.
        let split = if carries { unsafe { split_in_memory(start, length) } } else { None };
        let (end, ids) = split.unwrap_or((length, Vec::new()));
        let len = end.saturating_sub(used);
        let values = Values { address: start.expose_provenance() + used, len, ids, apart };
        Job {
            mailbox,
            settings,
            desk,
            rehearsal: false,
            generation,
            values: Mutex::new(values),
            walls: OnceLock::new(),
        }
    }

    /// Hands address and length of its encoded values to `decode`, and forgets them afterwards.
    pub(crate) fn take_values<R>(&self, decode: impl FnOnce(*const u8, usize) -> R) -> R {
        let values = self.values.lock().map(|mut values| std::mem::take(&mut *values)).unwrap_or_default();
        let decoded = decode(std::ptr::with_exposed_provenance(values.address), values.len);
        self.take_handles(values.ids);
        decoded
    }

    /// Gives up the message's hold on objects, which this process holds itself now.
    fn take_handles(&self, ids: Vec<u64>) {
        if !ids.is_empty() {
            take_over(self.mailbox, ids);
        }
    }

    /// Maps the objects that the values name, while that is possible.
    pub(crate) fn attach_objects(&self) -> Result<(), ObjectError> {
        let ids = self.values.lock().map(|mut values| std::mem::take(&mut values.ids)).unwrap_or_default();
        let most = self.settings.limits.memory.and_then(|bytes| usize::try_from(bytes).ok());
        for id in &ids {
            // Held until the process ends: decoding looks for it. Its mapping cannot grow behind walls, and what is
            // written there counts for no limit of memory but this one.
            std::mem::forget(attach_up_to(*id, most.unwrap_or(usize::MAX))?);
        }
        self.take_handles(ids);
        Ok(())
    }

    /// Does while files can be opened what a sandboxed job needs of them later: removes the name of its own
    /// segment, and maps one for a reply as long as the limit allows, which it could neither create nor make
    /// longer then.
    pub(crate) fn open_segments(&self) -> Result<(), RegionError> {
        if let Ok(mut values) = self.values.lock()
            && let Some(apart) = &mut values.apart
        {
            apart.remove_name();
        }
        let walls = self.desk.open_room(self.settings.limits.result.unwrap_or(0))?;
        let _ = self.walls.set(walls);
        Ok(())
    }

    /// Where a sandboxed job's long reply goes.
    pub(crate) fn room(&self) -> Option<&Region> {
        self.desk.walls.as_ref().or(self.walls.get())?.room
    }

    /// Number that no other job of the session has.
    pub(crate) fn id(&self) -> u64 {
        llib::shm::job_id(self.desk.slot, self.generation)
    }

    /// Name of the segment for a reply that is too long for the mailbox.
    pub(crate) fn reply_name(&self) -> String {
        format!("{}.{}.{}.reply", self.desk.session, self.desk.slot, self.generation)
    }
}
