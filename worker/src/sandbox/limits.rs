//! Limits of memory, CPU time and files: setrlimit(2) and a timer on the CPU clock of the process.
//!
//! What Lua's heap may have is counted by Lua's own allocator, see `lua::memory`; the limit of private memory here
//! stands above it, for everything that does not come from there.

use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use llib::wire::limits::Limits;
use nix::sys::signal::{SigEvent, SigevNotify, Signal};
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::sys;

/// Descriptors beyond a job's own limit that llib may open to hand over a large result.
const OWN_FILES: u64 = 4;

/// CPU time after which a process that has not died of SIGXCPU gets SIGKILL.
const GRACE: Duration = Duration::from_millis(50);

/// Bytes of private memory that this worker had before its job.
static BEFORE: OnceLock<u64> = OnceLock::new();

/// Finds out, while there is time, what setting limits will need to know.
pub(crate) fn prepare() {
    BEFORE.get_or_init(private_memory);
}

/// Sets what a job may use, from now on and for good. The error names what cannot be limited.
pub(crate) fn apply(limits: &Limits) -> io::Result<()> {
    if let Some(bytes) = limits.private_memory() {
        let bytes = BEFORE.get_or_init(private_memory).saturating_add(bytes);
        set(Resource::Data, bytes, bytes);
    }
    if let Some(files) = limits.files {
        set(Resource::Nofile, files, files + OWN_FILES);
    }
    if let Some(bytes) = limits.fsize {
        // Ignored, writing more is an error; by default it would kill.
        sys::set_signal(libc::SIGXFSZ, true);
        set(Resource::Fsize, bytes, u64::MAX);
    }
    if let Some(micros) = limits.cpu {
        let time = Duration::from_micros(micros);
        // In whole seconds, and for whatever the job starts: the timers are this process's alone. Some time was used
        // before the job began.
        let seconds = time.as_secs().saturating_add(2);
        set(Resource::Cpu, seconds, seconds);
        let late = arm(Signal::SIGKILL, time.saturating_add(GRACE));
        // The limit in seconds stands behind it.
        let _ = late;
        arm(Signal::SIGXCPU, time)
            .map_err(|error| io::Error::other(format!("its CPU time cannot be limited: {error}")))?;
    }
    Ok(())
}

/// Lets llib itself pass the limits of files where they are those of an ordinary job, to hand over its result.
pub(crate) fn lift_file_limits() {
    for resource in [Resource::Nofile, Resource::Fsize] {
        let most = getrlimit(resource).maximum;
        // Raising up to the maximum is always allowed.
        let _ = setrlimit(resource, Rlimit { current: most, maximum: most });
    }
}

/// Lowers a limit, or sets as much of it as the present maximum leaves.
fn set(resource: Resource, current: u64, maximum: u64) {
    let most = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let value = |wanted: u64| Some(wanted.min(most)).filter(|value| *value != u64::MAX);
    // Lowering a limit is always allowed.
    let _ = setrlimit(resource, Rlimit { current: value(current), maximum: value(maximum) });
}

/// Has `signal` sent once this process has used `time` more of the CPU, user and system: timer_create(2). It
/// comes also in the middle of a long call of a C function, where no hook of Lua runs.
fn arm(signal: Signal, time: Duration) -> nix::Result<()> {
    let event = SigEvent::new(SigevNotify::SigevSignal { signal, si_value: 0 });
    let mut timer = Timer::new(ClockId::CLOCK_PROCESS_CPUTIME_ID, event)?;
    timer.set(Expiration::OneShot(time.into()), TimerSetTimeFlags::empty())?;
    // Dropping it would disarm it.
    std::mem::forget(timer);
    Ok(())
}

/// What counts towards RLIMIT_DATA now: the field `data` of /proc/PID/statm, which has stacks in it besides.
fn private_memory() -> u64 {
    const PAGE: u64 = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split_ascii_whitespace().nth(5).and_then(|pages| pages.parse::<u64>().ok());
    // Without /proc: more than a worker ever has at its start.
    pages.map_or(64 << 20, |pages| pages * PAGE)
}
