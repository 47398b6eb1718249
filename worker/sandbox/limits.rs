//! Limits of memory, CPU time and files: setrlimit(2) and a timer on the CPU clock of the process.
//!
//! What Lua's heap may have is counted by Lua's own allocator, see `lua::memory`; the limit of private memory here
//! stands above it, for everything that does not come from there.
//!
//! Limits are set when the job is there, which may be behind walls that were raised before. What is still open then
//! can only make limits tighter: without privileges a maximum is never raised, and timers are armed with a
//! number that nobody knows any more.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use llib_core::wire::limits::Limits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use llib_worker_sys as sys;
use llib_worker_sys::timer::CpuTimer;

/// Descriptors beyond a job's own limit that llib may open to hand over a large result.
const OWN_FILES: u64 = 4;

/// CPU time after which a process that has not died of SIGXCPU gets SIGKILL.
const GRACE: Duration = Duration::from_millis(50);

/// Bytes of private memory that this worker had before its job.
static BEFORE: OnceLock<u64> = OnceLock::new();

/// The timers for SIGXCPU and SIGKILL, or the error number of creating them.
static TIMERS: OnceLock<Result<[CpuTimer; 2], i32>> = OnceLock::new();

/// The number that a filter wants to see to arm a timer; 0 once it was used.
static KEY: AtomicU32 = AtomicU32::new(0);

/// Finds out, while there is time, what setting limits will need to know.
pub fn prepare() {
    BEFORE.get_or_init(private_memory);
}

/// Creates the timers before walls that forbid it, and returns the number with which alone they let timers be
/// armed.
pub(super) fn prepare_behind_walls() -> u32 {
    prepare();
    // What went wrong is told when there is a limit to set.
    let _ = timers();
    let mut bytes = [0; 4];
    if rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).is_err() {
        sys::exit_now(1);
    }
    // Never 0, and without the bit that has a meaning.
    let key = (u32::from_ne_bytes(bytes) | 2) & !1;
    KEY.store(key, Ordering::SeqCst);
    key
}

/// Whether a worker was held to its job's memory and CPU time before it read anything of the job.
static BEGUN: OnceLock<()> = OnceLock::new();

/// Holds a worker to what its job may use, before it reads what somebody wrote whom nobody trusts: [`apply`] can make that
/// tighter. `spare` is what it may have of private memory beside twice that of Lua.
pub fn begin(limits: &Limits, spare: u64) -> io::Result<()> {
    prepare();
    if let Some(memory) = limits.memory {
        let bytes =
            BEFORE.get_or_init(private_memory).saturating_add(memory.saturating_mul(2)).saturating_add(spare);
        lower(Resource::Data, bytes);
    }
    if let Some(micros) = limits.cpu {
        // No grace: what one job takes beyond its time another lacks.
        limit_cpu(Duration::from_micros(micros), Duration::from_millis(1))?;
    }
    let _ = BEGUN.set(());
    Ok(())
}

/// Whether llib itself may pass the limits of files later, see [`beyond_file_limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lid {
    /// In a job without a sandbox.
    Loose,
    /// In a sandbox.
    Tight,
}

/// Sets what a job may use, from now on and for good. The error names what cannot be limited.
pub fn apply(limits: &Limits, lid: Lid) -> io::Result<()> {
    let set = |resource: Resource, value: u64, maximum: u64| match lid {
        Lid::Loose => set_loosely(resource, value, maximum),
        Lid::Tight => lower(resource, value),
    };
    if let Some(bytes) = limits.private_memory() {
        let bytes = BEFORE.get_or_init(private_memory).saturating_add(bytes);
        lower(Resource::Data, bytes);
    }
    if let Some(files) = limits.files {
        set(Resource::Nofile, files, files + OWN_FILES);
    }
    if lid == Lid::Tight {
        // The host's soft one.
        lower(Resource::Fsize, u64::MAX);
    }
    if let Some(bytes) = limits.fsize {
        // Ignored, writing more is an error; by default it would kill.
        sys::set_signal(libc::SIGXFSZ, true);
        set(Resource::Fsize, bytes, u64::MAX);
    }
    if let Some(micros) = limits.cpu.filter(|_| BEGUN.get().is_none()) {
        limit_cpu(Duration::from_micros(micros), GRACE)?;
    }
    KEY.store(0, Ordering::SeqCst);
    Ok(())
}

fn limit_cpu(time: Duration, grace: Duration) -> io::Result<()> {
    // In whole seconds, and for whatever the job starts: the timers are this process's alone. Some time was used
    // before the job began.
    let seconds = time.as_secs().saturating_add(2);
    lower(Resource::Cpu, seconds);
    timers()
        .and_then(|timers| arm(timers, time, time.saturating_add(grace)))
        .map_err(|error| io::Error::other(format!("its CPU time cannot be limited: {error}")))
}

/// Has SIGXCPU sent once this process has used `time` more of the CPU, user and system, and SIGKILL at `last`.
/// They come also in the middle of a long call of a C function, where no hook of Lua runs.
fn arm([signal, kill]: [CpuTimer; 2], time: Duration, last: Duration) -> io::Result<()> {
    let key = KEY.load(Ordering::SeqCst);
    kill.arm(last, key)?;
    signal.arm(time, key)
}

fn timers() -> io::Result<[CpuTimer; 2]> {
    let made = *TIMERS.get_or_init(|| {
        let timer =
            |signal| CpuTimer::new(signal).map_err(|error| error.raw_os_error().unwrap_or(libc::EINVAL));
        Ok([timer(libc::SIGXCPU)?, timer(libc::SIGKILL)?])
    });
    made.map_err(io::Error::from_raw_os_error)
}

/// Takes away what no sandboxed job needs.
pub(super) fn deny_rest() {
    for resource in [Resource::Core, Resource::Memlock, Resource::Msgqueue] {
        lower(resource, 0);
    }
    // A stack counts for no limit of memory, so its own must not be raised.
    let stack = getrlimit(Resource::Stack).current.unwrap_or(8 << 20);
    lower(Resource::Stack, stack);
}

/// Runs `make` with the limits of files as wide as this process may have them: for a file that is llib's own, and not the
/// job's.
pub fn beyond_file_limits<R>(make: impl FnOnce() -> R) -> R {
    let limits = [Resource::Nofile, Resource::Fsize].map(|resource| (resource, getrlimit(resource)));
    for (resource, Rlimit { maximum, .. }) in limits {
        // Raising up to the maximum is always allowed.
        let _ = setrlimit(resource, Rlimit { current: maximum, maximum });
    }
    let made = make();
    for (resource, limit) in limits {
        let _ = setrlimit(resource, limit);
    }
    made
}

/// Makes a limit at most this, for good: what the host has it to stays if that is less.
fn lower(resource: Resource, value: u64) {
    let least = Some(getrlimit(resource).current.map_or(value, |current| current.min(value)));
    let limit = least.filter(|limit| *limit != u64::MAX);
    // Lowering a limit is always allowed.
    let _ = setrlimit(resource, Rlimit { current: limit, maximum: limit });
}

/// Sets a limit, or as much of it as the present maximum leaves.
fn set_loosely(resource: Resource, current: u64, maximum: u64) {
    let try_set = |most: u64| {
        let value = |wanted: u64| Some(wanted.min(most)).filter(|value| *value != u64::MAX);
        setrlimit(resource, Rlimit { current: value(current), maximum: value(maximum) })
    };
    if try_set(u64::MAX).is_err() {
        let _ = try_set(getrlimit(resource).maximum.unwrap_or(u64::MAX));
    }
}

/// A limit of CPU time that is set anew for each job of a worker.
#[derive(Clone, Copy)]
pub struct JobTime {
    timers: [CpuTimer; 2],
    time: Duration,
}

impl JobTime {
    /// For jobs of at most so many microseconds.
    pub fn new(micros: u64) -> io::Result<JobTime> {
        Ok(JobTime { timers: timers()?, time: Duration::from_micros(micros) })
    }

    /// A job begins.
    pub fn start(self) {
        self.set(self.time, self.time.saturating_add(GRACE));
    }

    /// It is over.
    pub fn stop(self) {
        self.set(Duration::ZERO, Duration::ZERO);
    }

    fn set(self, first: Duration, last: Duration) {
        // These timers have been armed before, or can be; no time that a job may have is refused.
        let _ = arm(self.timers, first, last);
    }
}

/// What counts towards RLIMIT_DATA now.
fn private_memory() -> u64 {
    // Without /proc: more than a worker ever has at its start.
    sys::private_memory().unwrap_or(64 << 20)
}
