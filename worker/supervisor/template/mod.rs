//! A template: a process that has loaded modules and forks workers that have them. The first one is forked by the zygote when
//! there is a first module to load; each further module is loaded by a new template, which the last one forks.
//!
//! Modules are code of users, so the zygote expects nothing of a template: it may hang, die, or be ended at any time. Its
//! workers are children of the zygote, clone(2) with CLONE_PARENT, and none of them needs it any more. Once a module is
//! loaded only the code in this folder runs here. The page that explains it is `docs/preloading.md`.

mod load;
mod wire;

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

use llib_core::shm::{RoomFile, Stream, monitor};
use llib_core::wire::attributes::Attributes;
use llib_core::wire::control::Preload;
use rustix::fs::{Mode, OFlags, open};
use rustix::io::{DupFlags, fcntl_dupfd_cloexec};
use rustix::process::{
    Pid, Signal, getpid, getppid, set_child_subreaper, set_parent_process_death_signal, setpgid,
};

use crate::attributes::take_on;
use crate::birth::{Birth, Common, with_limit};
use crate::seat::{Ends, Nested};
use llib_worker_sys::sibling::{Note, fork_sibling};
use llib_worker_sys::{self as sys, Forked};

pub(crate) use load::REFUSED;
pub(crate) use wire::{Captured, Line, Order};

/// Numbers of a template's own descriptors: the doorbell where workers have it as well, the segment's file, the socket to the
/// zygote, the directory where workers start, and the end of the monitor's socket, or the directory again.
const OWN: [RawFd; 5] = [3, 4, 5, 6, 7];

/// All from here on are the modules'.
const FIRST: RawFd = OWN[OWN.len() - 1] + 1;

/// Lives as a template that loads `wanted` first; the process ends here. `kept` are descriptors of modules that are loaded
/// already.
pub(crate) fn run(common: Common<'_>, line: Line, note: &Note, kept: &[RawFd], wanted: &Preload) -> ! {
    let Some([doorbell, segment_file, socket, start, _monitor]) = settle_in(&common, &line, kept) else {
        sys::exit_now(1)
    };
    let common = Common { doorbell: &doorbell, segment_file: &segment_file, ..common };
    let line = Line { socket };
    let kept = load::load(&common, &start, wanted);
    line.answer(0);
    while let Some((order, files)) = line.next() {
        line.answer(match order {
            Order::Worker(birth, captured, worn) => {
                fork_worker(&Common { worn: &worn, ..common }, note, &birth, captured, files, &kept)
            }
            Order::Inherit(attributes) => inherit(attributes, files),
            Order::Template(wanted) => fork_template(common, note, &wanted, files, &kept),
        });
    }
    // Another one has taken over. What modules have started stays below this process as long as it runs.
    sys::wait_for_children();
    sys::exit_now(0)
}

/// Everything between the zygote's process, or another template's, and this one's own.
fn settle_in(common: &Common<'_>, line: &Line, kept: &[RawFd]) -> Option<[OwnedFd; 5]> {
    sys::set_title("llib-template", "");
    let _ = setpgid(None, None);
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    if getppid() != Pid::from_raw(common.zygote) {
        // It died before the call above could take effect.
        return None;
    }
    // What modules start stays below.
    let _ = set_child_subreaper(Some(getpid()));
    let _ = nix::sys::signal::SigSet::empty().thread_set_mask();
    // Out of the way first: each may have the number that another is to get.
    let out_of_the_way = |file: BorrowedFd<'_>| fcntl_dupfd_cloexec(file, FIRST).ok();
    let here = |name| open(name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    let start = here(".").or_else(|_| here("/")).ok()?;
    let own = [common.doorbell.as_fd(), common.segment_file.as_fd(), line.as_fd(), start.as_fd()];
    let [doorbell, segment_file, socket, directory] = own;
    // Asked for before its number is another file's.
    let end = monitor::end();
    let files = [doorbell, segment_file, socket, directory, end.unwrap_or(directory)];
    let files = files.map(out_of_the_way);
    let mut own = [const { None }; OWN.len()];
    for ((file, number), own) in files.iter().zip(OWN).zip(&mut own) {
        sys::duplicate_to(file.as_ref()?, number, DupFlags::CLOEXEC).ok()?;
        *own = Some(sys::inherited(number));
    }
    std::mem::forget((files, start));
    sys::descriptors::close_all_but(FIRST, kept);
    llib_core::observe::after_fork();
    if end.is_some() {
        monitor::moved_to(OWN[4]);
    }
    let [Some(doorbell), Some(segment_file), Some(socket), Some(start), Some(monitor)] = own else {
        return None;
    };
    Some([doorbell, segment_file, socket, start, monitor])
}

/// Forks a worker; returns its id, or the number of an error, negative.
fn fork_worker(
    common: &Common<'_>,
    note: &Note,
    birth: &Birth,
    captured: Captured,
    files: Vec<OwnedFd>,
    kept: &[RawFd],
) -> i32 {
    match with_limit(birth.processes, || fork_sibling(note)) {
        Ok(Forked::Parent(pid)) => pid,
        Err(error) => -error.raw_os_error().unwrap_or(libc::EAGAIN),
        Ok(Forked::Child) => {
            let streams = [(captured.output, Stream::Output), (captured.error, Stream::Error)];
            let streams = streams.into_iter().filter(|(captured, _)| *captured).map(|(_, stream)| stream);
            let ends: Ends = streams.zip(files).collect();
            let Some(nested) = &birth.nested else { common.live(birth, ends, None, kept) };
            // Its starter may have ended, and the room with it: then nobody wants this job any more.
            let room = RoomFile::open(&common.segment.room_name(nested.starter));
            let Ok(Some(mut room)) = room else { sys::exit_now(1) };
            room.terms.limits = nested.outer;
            let nested =
                Nested { room: &room, starter: nested.starter, place: nested.place, granted: nested.granted };
            common.live(birth, ends, Some(nested), kept)
        }
    }
}

/// Takes attributes of the host on, as the zygote has them; returns 0, or the number of an error, negative.
fn inherit(mut attributes: Attributes, files: Vec<OwnedFd>) -> i32 {
    let mut files = files.into_iter();
    let Some(mut environment) = files.next().map(File::from) else { return -libc::EBADF };
    if let Err(error) = environment.read_to_end(&mut attributes.environment) {
        return -error.raw_os_error().unwrap_or(libc::EIO);
    }
    take_on(&mut attributes, files.collect());
    0
}

/// Forks the next template, likewise.
fn fork_template(
    common: Common<'_>,
    note: &Note,
    wanted: &Preload,
    files: Vec<OwnedFd>,
    kept: &[RawFd],
) -> i32 {
    let Some(socket) = files.into_iter().next() else { return -libc::EBADF };
    match fork_sibling(note) {
        Ok(Forked::Parent(pid)) => pid,
        Err(error) => -error.raw_os_error().unwrap_or(libc::EAGAIN),
        Ok(Forked::Child) => run(common, Line { socket }, note, kept, wanted),
    }
}
