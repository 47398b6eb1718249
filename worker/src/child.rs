//! A worker's life, step by step: from fork to the job's reply.

use std::os::fd::{AsRawFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::time::Duration;

use llib_core::observe::trace;
use llib_core::shm::{Go, Mailbox, Stream, Tree, monitor};
use llib_core::sys::{clock, futex};
use rustix::io::DupFlags;
use rustix::process::{
    Pid, Signal, getpid, getppid, set_child_subreaper, set_parent_process_death_signal, setpgid,
};

use crate::job::{self, Desk, Errand, Job};
use crate::{LuaWorker, lua};
use llib_sandbox::limits;
use llib_supervisor::Seat;
use llib_worker_sys as sys;

/// Where a worker keeps the zygote's doorbell.
const DOORBELL: RawFd = 3;
/// Where it keeps an end of the monitor's socket, if its host has changed; every descriptor above is closed that is not a preloaded module's.
const MONITOR: RawFd = 4;

/// Lives as a worker; the process ends here.
pub(crate) fn run(worker: &LuaWorker, seat: Seat<'_>) -> ! {
    sys::heap::open_scratch();
    let born = clock::now();
    let session = seat.segment.name().to_owned();
    // The zygote keeps the segment from its children: a job that runs wild finds its own mailbox alone.
    let adopted = match seat.own {
        0 => seat.segment.adopt(seat.index, seat.segment_file),
        own => seat.segment.adopt_own(seat.index, own),
    };
    let Ok(journal) = adopted else { sys::exit_now(1) };
    let mailbox = match seat.nested {
        None => journal,
        Some(nested) => match nested.room.mailbox(nested.place as usize) {
            Ok(mailbox) => mailbox,
            Err(_) => sys::exit_now(1),
        },
    };
    let errand = seat.nested.map(|nested| {
        let errand = Errand::new(nested);
        // Before a byte is read that its starter wrote, and which may be made to keep it busy.
        if limits::begin(&errand.granted, errand.spare).is_err() {
            sys::exit_now(1);
        }
        errand
    });
    settle_in(&seat);
    Tree::join(seat.tree, seat.owner, journal);
    lua::state::reseed(worker.lua);
    let mut desk = Desk {
        session,
        slot: seat.index,
        journal,
        doorbell: DOORBELL,
        kept: seat.kept.to_vec(),
        walls: None,
        errand,
    };
    let is_there = || mailbox.go().load(Ordering::SeqCst) == Go::Job as u32;
    if desk.errand.is_some() && !is_there() {
        // Its starter has thought better of it.
        sys::exit_now(1);
    }
    if !is_there() {
        sys::set_title("llib-worker", "");
        job::enter(Job::rehearse(mailbox, desk.clone(), &worker.rehearsal));
        lua::state::rehearse(worker.lua);
        job::leave();
        limits::prepare();
        if seat.walled {
            desk.walls = Some(lua::confine::wall_in(worker.lua, &desk));
            // What the walls have changed is met once more before a job meets it.
            job::enter(Job::rehearse(mailbox, desk.clone(), &worker.rehearsal));
            lua::state::rehearse(worker.lua);
            job::leave();
        }
        wait_for_job(&seat, mailbox);
    }
    match Job::receive(mailbox, desk) {
        Ok(job) => {
            // Else its host has told of it.
            if trace::on() && !seat.spare {
                let name = if job.settings.name.is_empty() { "job" } else { &job.settings.name };
                trace::Track::own().begin_job(name, job.id(), seat.zygote, born);
            }
            if job.desk.errand.is_some() {
                // For whoever looks on: the job's name, where that of any other stands.
                let settings = job.settings.to_bytes();
                if settings.len() <= Mailbox::READY {
                    journal.write(&&settings[..]);
                }
            }
            lua::job::run(worker.lua, job::enter(job))
        }
        // The host wrote it, so this is a segment that vanished with its session.
        Err(_) => sys::exit_now(1),
    }
}

/// Everything between the zygote's process and a worker's own.
fn settle_in(seat: &Seat<'_>) {
    // A group of its own: signals for the job's processes reach them all and nobody else.
    let _ = setpgid(None, None);
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    if getppid() != Pid::from_raw(seat.zygote) {
        // It died before the call above could take effect, perhaps before this process ran at all.
        sys::exit_now(1);
    }
    // What the job starts stays below it, see `zygote::strays`.
    let _ = set_child_subreaper(Some(getpid()));
    let _ = seat.signals.thread_set_mask();
    for (stream, end) in &seat.ends {
        let target = if *stream == Stream::Output { libc::STDOUT_FILENO } else { libc::STDERR_FILENO };
        let _ = sys::duplicate_to(end, target, DupFlags::empty());
    }
    if seat.doorbell.as_raw_fd() != DOORBELL {
        // Not for the programs that the job runs.
        let _ = sys::duplicate_to(seat.doorbell, DOORBELL, DupFlags::CLOEXEC);
    }
    let kept = match monitor::end() {
        Some(end) => {
            let _ = sys::duplicate_to(end, MONITOR, DupFlags::CLOEXEC);
            monitor::moved_to(MONITOR);
            MONITOR
        }
        None => DOORBELL,
    };
    sys::descriptors::close_all_but(kept + 1, seat.kept);
    llib_core::observe::after_fork();
    seat.worn.put_on();
}

fn wait_for_job(seat: &Seat<'_>, mailbox: Mailbox<'_>) {
    // Pages that only a longer payload needs.
    mailbox.touch();
    let go = mailbox.go();
    // A job may be there already.
    let _ = go.compare_exchange(Go::Cold as u32, Go::Warm as u32, Ordering::SeqCst, Ordering::SeqCst);
    loop {
        match go.load(Ordering::SeqCst) {
            there if there == Go::Job as u32 => return,
            // A sandboxed job: what others may have written stays behind.
            there if there == Go::Moved as u32 => {
                if seat.segment.adopt_own(seat.index, mailbox.generation()).is_err() {
                    sys::exit_now(1);
                }
            }
            other => {
                futex::wait(go, other, Duration::from_secs(3600));
            }
        }
    }
}

/// The directory that workers start in.
pub(crate) static START: OnceLock<PathBuf> = OnceLock::new();

/// Goes to the job's directory, unless this is where the worker started.
pub(crate) fn enter_directory(directory: &Path) {
    if START.get().is_none_or(|start| start != directory) {
        // Without /proc one that was removed cannot be entered.
        let _ = std::env::set_current_dir(directory);
    }
}
