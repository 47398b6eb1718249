//! What the zygote adds to the timeline, see [`llib_core::observe::trace`]: forks, signals, and the ends of workers, which
//! cannot tell of their own.

use std::sync::atomic::Ordering;

use llib_core::observe::trace::{Args, Track};
use llib_core::shm::{SLOTS, Segment, Slot, State};
use llib_core::sys::clock;
use llib_core::sys::signal::name as signal_name;
use llib_core::wire::cause::Cause;
use llib_core::wire::kind::Kind;

use crate::end::Ending;

/// Ends on a worker's track what the worker has not; whether there was anything. `how` is told where it left no reply.
pub(crate) fn end_run(slot: Slot<'_>, how: &str) -> bool {
    // Once: the guard looks again when the zygote is gone.
    let started = slot.entry.started.swap(0, Ordering::SeqCst);
    let pid = slot.entry.pid.load(Ordering::SeqCst).cast_signed();
    // Without it there was no job.
    if started == 0 || pid <= 0 {
        return false;
    }
    let (now, reply) = (clock::now(), slot.mailbox.reply());
    // Both are the worker's word.
    let at = if reply == 0 { now } else { slot.mailbox.replied().clamp(started, now) };
    let outcome = match reply {
        0 => how,
        1 => "values",
        code => Kind::from_reply(code).unwrap_or(Kind::Encode).name(),
    };
    const MOST: u32 = 64;
    let track = Track::of(pid);
    for _ in 0..slot.mailbox.spans().swap(0, Ordering::SeqCst).min(MOST) {
        track.end(at, Args::default());
    }
    track.end(at, Args::default().text("outcome", outcome));
    true
}

/// The end of a session, for workers that run. The guard looks when the zygote has done so, too, and finds none.
pub(crate) fn end_all(segment: &Segment, ending: Ending) {
    let how = if ending == Ending::Lost { "supervisors lost" } else { "session over" };
    let mut any = ending == Ending::Over;
    for index in 0..SLOTS as u32 {
        let slot = segment.slot(index);
        if matches!(slot.entry.state(), State::Busy | State::Released) {
            any |= end_run(slot, how);
        }
    }
    if any {
        Track::own().instant("session", how, Args::default());
    }
}

/// A worker was forked, in the time since `at`. What its job is called, if it has one, it tells itself: names are not for the process
/// that forks.
pub(crate) fn forked(slot: Slot<'_>, pid: i32, at: u64) {
    Track::own().took("fork", "fork", at, Args::default().number("worker", pid).number("slot", slot.index));
    if slot.entry.started.load(Ordering::SeqCst) == 0 {
        Track::of(pid).name("spare");
    }
}

/// A signal is sent.
pub(crate) fn sends(pid: i32, signal: i32, cause: Cause) {
    let args = Args::default().number("worker", pid).text("cause", cause_name(cause));
    Track::own().instant("signal", &format!("SIG{}", signal_name(signal)), args);
}

/// A worker is gone.
pub(crate) fn died(pid: i32, how: &str) {
    Track::own().instant("death", how, Args::default().number("worker", pid));
}

pub(crate) fn cause_name(cause: Cause) -> &'static str {
    match cause {
        Cause::Itself => "no longer wanted",
        Cause::Killed => "task:kill",
        Cause::Deadline => "its deadline",
        Cause::Closed => "task:close",
        Cause::NotStarted | Cause::Refused => "not started",
    }
}

/// A wait status in words: `exit 3`, `SIGSEGV`, `SIGKILL, task:kill`.
pub(crate) fn ending(status: i32, cause: Cause) -> String {
    if !libc::WIFSIGNALED(status) {
        return format!("exit {}", libc::WEXITSTATUS(status));
    }
    let signal = signal_name(libc::WTERMSIG(status));
    if cause == Cause::Itself {
        format!("SIG{signal}")
    } else {
        format!("SIG{signal}, {}", cause_name(cause))
    }
}
