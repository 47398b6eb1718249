//! The one job of a worker's process.

use std::ops::Range;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, OnceLock};

use llib_core::shared::{attach_up_to, open_parcel, take_over};
use llib_core::shm::{Mailbox, Region, RegionError, Room, SharedBytes, Spot, Stored, handles, job_id};
use llib_core::wire::charter::{Charter, Module, Pinned};
use llib_core::wire::limits::Limits;
use llib_core::wire::sandbox::SandboxPolicy;
use llib_core::wire::settings::{PREFIX, Settings};

use crate::reader;
use llib_sandbox::limits;
use llib_supervisor::Nested;

/// A job as it stands in shared memory.
pub(crate) struct Job {
    pub(crate) mailbox: Mailbox<'static>,
    pub(crate) settings: Settings,
    pub(crate) desk: Desk,
    /// Whether this is only an exercise, whose reply nobody gets.
    pub(crate) rehearsal: bool,
    /// Why it must not run.
    pub(crate) refused: Option<String>,
    generation: u32,
    values: Mutex<Values>,
    walls: OnceLock<&'static Room>,
}

/// What a worker knows before it has a job.
#[derive(Clone)]
pub(crate) struct Desk {
    /// Names of the session's segments start with this.
    pub(crate) session: String,
    pub(crate) slot: u32,
    /// The mailbox of that slot. The job may come by another one, see [`Errand`].
    pub(crate) journal: Mailbox<'static>,
    pub(crate) doorbell: RawFd,
    /// Descriptors of preloaded modules.
    pub(crate) kept: Vec<RawFd>,
    /// Of a worker that stands behind walls already.
    pub(crate) walls: Option<&'static Room>,
    /// Of a worker for a job that a sandboxed job starts.
    pub(crate) errand: Option<Errand>,
}

/// What the zygote says of a job that a sandboxed job starts. Whatever that says itself is held to it.
#[derive(Clone)]
pub(crate) struct Errand {
    /// Slot of the job that starts it.
    pub(crate) starter: u32,
    /// What of that one's charter concerns this job; known once the request was read.
    pub(crate) charter: Charter,
    /// What that one may use.
    pub(crate) outer: Limits,
    /// What there is for this one.
    pub(crate) granted: Limits,
    /// Bytes of private memory beside twice those of Lua's heap.
    pub(crate) spare: u64,
    /// The place in its starter's nest where it came from.
    pub(crate) place: u32,
}

impl Errand {
    pub(crate) fn new(nested: Nested<'_>) -> Errand {
        /// What any job has beside twice its limit of memory, which these share; and what each needs at least.
        const TOGETHER: u64 = 16 << 20;
        const LEAST: u64 = 2 << 20;
        let Nested { room, starter, place, granted } = nested;
        let spare = (TOGETHER / u64::from(room.terms.jobs.max(1))).max(LEAST);
        Errand { starter, charter: Charter::default(), outer: room.terms.limits, granted, spare, place }
    }
}

impl Desk {
    fn room_name(&self, slot: u32) -> String {
        format!("{}.{slot}.room", self.session)
    }

    /// Makes what a worker with this charter cannot make behind its walls.
    pub(crate) fn open_room(&self, charter: &Charter) -> Result<&'static Room, RegionError> {
        let name = self.room_name(self.slot);
        Ok(Box::leak(Box::new(limits::beyond_file_limits(|| Room::create(&name, charter))?)))
    }
}

/// The job's encoded values.
struct Values {
    /// The job's payload.
    stored: Stored<'static>,
    /// Where in it they stand.
    place: Range<usize>,
    /// The objects whose handles are among them.
    ids: Vec<u64>,
}

impl Default for Values {
    fn default() -> Values {
        Values { stored: Stored::Copy(Vec::new()), place: 0..0, ids: Vec::new() }
    }
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
        let stored = match mailbox.spot(length) {
            // An honest one is in its mailbox.
            Spot::Apart if desk.errand.is_some() => return Err(RegionError::Full { bytes: length }),
            Spot::Inline => Stored::Inline(mailbox.payload().first(length)),
            Spot::Apart => {
                let name = format!("{}.{}.{generation}.job", desk.session, desk.slot);
                Stored::Apart(Region::take(&name)?, length)
            }
        };
        let carries = mailbox.handles().load(Ordering::SeqCst) == handles::JOB;
        Ok(Job::read(mailbox, desk, generation, stored, carries))
    }

    /// A job that the zygote wrote for practice.
    pub(crate) fn rehearse(mailbox: Mailbox<'static>, desk: Desk, bytes: &[u8]) -> Job {
        let job = Job::read(mailbox, desk, 0, Stored::Copy(bytes.to_vec()), false);
        Job { rehearsal: true, ..job }
    }

    fn read(
        mailbox: Mailbox<'static>,
        mut desk: Desk,
        generation: u32,
        stored: Stored<'static>,
        carries: bool,
    ) -> Job {
        let payload = stored.bytes();
        let (settings, used, refused) = match desk.errand.take() {
            None => {
                let prefix = payload.first(PREFIX).copy();
                let count =
                    prefix.first_chunk::<PREFIX>().map_or(0, |prefix| u32::from_le_bytes(*prefix) as usize);
                let head = payload.first(PREFIX.saturating_add(count)).copy();
                let (settings, used) = Settings::from_bytes(&head).unwrap_or_default();
                (settings, used, None)
            }
            Some(errand) => {
                let (answer, used) = reader::ask(payload, &desk.room_name(errand.starter), &errand);
                // What is said of a job that was refused stands in its mailbox, as the reply of any sandboxed one may.
                let refused = |reason| {
                    let sandbox = Some(SandboxPolicy::default());
                    ((Settings { sandbox, ..Settings::default() }, Charter::default()), Some(reason))
                };
                let ((settings, charter), refused) =
                    answer.map_or_else(refused, |(settings, charter)| ((settings, charter), None));
                desk.errand = Some(Errand { charter, ..errand });
                (settings, used, refused)
            }
        };
        let (values, ids) = open_parcel(payload, carries);
        let place = used.min(values.len())..values.len();
        let values = Values { stored, place, ids };
        Job {
            mailbox,
            settings,
            desk,
            rehearsal: false,
            refused,
            generation,
            values: Mutex::new(values),
            walls: OnceLock::new(),
        }
    }

    /// Hands its encoded values to `decode`, and forgets them afterwards.
    pub(crate) fn take_values<R>(&self, decode: impl FnOnce(SharedBytes<'_>) -> R) -> R {
        let values = self.values.lock().map(|mut values| std::mem::take(&mut *values)).unwrap_or_default();
        let decoded = decode(values.stored.bytes().part(values.place));
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
    fn attach_objects(&self, ids: Vec<u64>) -> Result<(), String> {
        let most = self.settings.limits.memory.and_then(|bytes| usize::try_from(bytes).ok());
        for id in &ids {
            // Held until the process ends: decoding looks for it. Its mapping cannot grow behind walls, and what is
            // written there counts for no limit of memory but this one.
            let attached = limits::beyond_file_limits(|| attach_up_to(*id, most.unwrap_or(usize::MAX)));
            let object = attached.map_err(|error| error.to_string())?;
            std::mem::forget(object);
        }
        self.take_handles(ids);
        Ok(())
    }

    /// Does while files can be opened what a sandboxed job needs of them later: removes the name of its own
    /// segment, maps the objects that its values name, and what it can make no more then.
    pub(crate) fn open_segments(&self, paths: Vec<Pinned>, modules: Vec<Module>) -> Result<(), String> {
        let ids = match self.values.lock() {
            Ok(mut values) => {
                if let Stored::Apart(region, _) = &mut values.stored {
                    region.remove_name();
                }
                std::mem::take(&mut values.ids)
            }
            Err(_) => Vec::new(),
        };
        if self.desk.errand.as_ref().is_some_and(|errand| !errand.charter.has_all(&ids)) {
            return Err("it names an object that the sandbox was not given".to_owned());
        }
        let (settings, starter) = (self.settings.clone(), self.desk.errand.as_ref());
        let writes = settings.sandbox.as_ref().is_some_and(|policy| !policy.write.is_empty())
            || starter.is_some_and(|errand| errand.charter.writes);
        let nested = starter.is_some();
        let mut objects = ids.clone();
        objects.sort_unstable();
        objects.dedup();
        let charter = Charter { settings, objects, paths, modules, nested, writes };
        let room = self.desk.open_room(&charter).map_err(|error| error.to_string())?;
        let _ = self.walls.set(room);
        self.attach_objects(ids)
    }

    /// What a sandboxed job has of its own in shared memory.
    pub(crate) fn room(&self) -> Option<&'static Room> {
        self.desk.walls.or(self.walls.get().copied())
    }

    /// Number that no other job of whoever started it has.
    pub(crate) fn id(&self) -> u64 {
        let slot = self.desk.errand.as_ref().map_or(self.desk.slot, |errand| errand.place);
        job_id(slot, self.generation)
    }

    /// Name of the segment for a reply that is too long for the mailbox.
    pub(crate) fn reply_name(&self) -> String {
        format!("{}.{}.{}.reply", self.desk.session, self.desk.slot, self.generation)
    }
}
