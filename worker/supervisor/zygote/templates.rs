//! Where workers are forked: in the zygote, or once modules were preloaded, by a template.
//!
//! A template is asked and waited for: a fork takes it as long as it would take the zygote. So whenever the zygote looks for
//! what jobs left behind it knows all its workers. One that does not answer is ended; what it had forked by then the kernel
//! has noted.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use llib_core::shm::Stream;
use llib_core::sys::ring::erase;
use llib_core::sys::{clock, environ};
use llib_core::wire::attributes::Attributes;
use llib_core::wire::control::Preload;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::stdio::{stderr, stdin, stdout};
use rustix::thread::{CpuSet, sched_getaffinity};

use super::Zygote;
use crate::birth::{Birth, Common, with_limit};
use crate::seat::{Ends, Nested};
use crate::template::{self, Captured, Line, Order};
use llib_worker_sys::sibling::Note;
use llib_worker_sys::{self as sys, Forked};

/// How long a template may take to fork. It runs no code but llib's then.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is looked meanwhile whether it was stopped.
const ROUND: Duration = Duration::from_millis(20);

/// Templates, and what they are made from.
#[derive(Default)]
pub(super) struct Templates {
    /// The one that forks workers.
    pub(super) current: Option<Template>,
    pub(super) loading: Option<Loading>,
    /// Modules to be loaded after that.
    pub(super) waiting: VecDeque<Wanted>,
    /// What was loaded, in this order.
    pub(super) loaded: Vec<Preload>,
    /// Those that others took over from, and which run on because of what modules started there.
    retired: Vec<i32>,
    note: Option<Note>,
    /// When a dead one was last replaced.
    pub(super) restored: u64,
    /// Whether one has ended since it was last looked for what such may have left.
    pub(super) ended: bool,
}

/// A process that forks workers.
pub(super) struct Template {
    pub(super) pid: i32,
    pub(super) line: Line,
}

/// One that is loading its module.
pub(super) struct Loading {
    pub(super) template: Template,
    pub(super) wanted: Wanted,
    /// When it has to be done, on the monotonic clock.
    pub(super) end: u64,
    /// Whether it was not.
    pub(super) late: bool,
    /// Whether it may still say something.
    pub(super) heard: bool,
    /// Which attributes of the host it was forked with, see [`super::follow::Follow::generation`].
    pub(super) generation: u32,
}

/// A module that somebody asked for, or that is loaded again for want of the template that had it.
pub(super) struct Wanted {
    pub(super) module: Preload,
    pub(super) again: bool,
}

impl Templates {
    /// Ids of all of them.
    pub(super) fn pids(&self) -> impl Iterator<Item = i32> {
        let current = self.current.iter().map(|template| template.pid);
        let loading = self.loading.iter().map(|loading| loading.template.pid);
        current.chain(loading).chain(self.retired.iter().copied())
    }

    pub(super) fn has(&self, pid: i32) -> bool {
        self.pids().any(|known| known == pid)
    }

    /// When to look whether a module takes too long, if one is being loaded.
    pub(super) fn next(&self) -> Option<u64> {
        self.loading.as_ref().filter(|loading| !loading.late).map(|loading| loading.end)
    }

    /// What becomes readable when the one that loads a module has something to say.
    pub(super) fn file(&self) -> Option<BorrowedFd<'_>> {
        self.loading.as_ref().filter(|loading| loading.heard).map(|loading| loading.template.line.as_fd())
    }

    /// Lets another one fork from now on.
    pub(super) fn take_over(&mut self, template: Template) {
        // Its end of the line closes, by which the old one knows.
        self.retired.extend(self.current.replace(template).map(|old| old.pid));
    }

    /// Whether there is something to do for them at once.
    pub(super) fn are_due(&self) -> bool {
        self.ended || (self.loading.is_none() && !self.waiting.is_empty())
    }

    /// One is no longer there that had no work.
    pub(super) fn forget(&mut self, pid: i32) {
        self.retired.retain(|retired| *retired != pid);
    }
}

/// A worker that is about to be forked.
pub(super) struct Newborn<'a> {
    pub(super) birth: Birth,
    pub(super) ends: Ends,
    pub(super) nested: Option<Nested<'a>>,
}

impl Zygote {
    fn common(&self) -> Common<'_> {
        Common {
            segment: self.segment,
            segment_file: &self.segment_file,
            tree: &self.tree,
            zygote: std::process::id().cast_signed(),
            doorbell: &self.doorbell,
            worn: &self.follow.worn,
            signals: &self.no_signals,
            worker: &*self.worker,
        }
    }

    /// Forks a worker; returns its process id.
    pub(super) fn bear(&mut self, newborn: &mut Newborn<'_>) -> io::Result<i32> {
        if self.templates.current.is_some() {
            let has = |stream| newborn.ends.iter().any(|(found, _)| *found == stream);
            let captured = Captured { output: has(Stream::Output), error: has(Stream::Error) };
            // In the order in which these are named.
            let files = [Stream::Output, Stream::Error].into_iter();
            let files = files.filter_map(|stream| newborn.ends.iter().find(|(found, _)| *found == stream));
            let files: Vec<BorrowedFd<'_>> = files.map(|(_, end)| end.as_fd()).collect();
            let mut birth = newborn.birth.clone();
            birth.processes = birth.processes.or(self.processes.limit());
            let order = Order::Worker(birth, captured, self.follow.worn_below.clone());
            if let Some(pid) = self.order(&order, &files)? {
                return Ok(pid);
            }
        }
        let common = self.common();
        match with_limit(newborn.birth.processes, sys::fork)? {
            Forked::Parent(pid) => Ok(pid),
            Forked::Child => {
                common.live(&newborn.birth, std::mem::take(&mut newborn.ends), newborn.nested, &[])
            }
        }
    }

    /// Forks a template that loads a module.
    pub(super) fn fork_template(&mut self, module: &Preload) -> io::Result<Template> {
        let (line, theirs) = Line::pair()?;
        let asked = self.order(&Order::Template(module.clone()), &[theirs.as_fd()])?;
        if let Some(pid) = asked {
            return Ok(Template { pid, line });
        }
        if self.templates.note.is_none() {
            self.templates.note = Some(Note::new()?);
        }
        let common = self.common();
        match (sys::fork()?, &self.templates.note) {
            (Forked::Parent(pid), _) => Ok(Template { pid, line }),
            (Forked::Child, Some(note)) => template::run(common, theirs, note, &[], module),
            (Forked::Child, None) => sys::exit_now(1),
        }
    }

    /// Has the template take on what this process has of the host, if there is one. One that cannot ends, and another one is
    /// made from here.
    pub(super) fn pass_on_attributes(&mut self) {
        let Some(pid) = self.templates.current.as_ref().map(|template| template.pid) else { return };
        let passed = attributes_of_this_process().and_then(|(attributes, environment)| {
            let streams = [stdin(), stdout(), stderr()];
            let files: Vec<_> = [environment.as_fd()].into_iter().chain(streams).collect();
            self.order(&Order::Inherit(attributes), &files)
        });
        if let Err(error) = passed {
            llib_core::log!(Warn, "template {pid} cannot follow the host: {error}");
            let _ = sys::kill(pid, libc::SIGKILL);
        }
    }

    /// Has the template fork, and returns the new process's id; none if there is no template, or it is no more.
    fn order(&mut self, order: &Order, files: &[BorrowedFd<'_>]) -> io::Result<Option<i32>> {
        let (Some(template), Some(note)) = (&self.templates.current, &self.templates.note) else {
            return Ok(None);
        };
        note.clear();
        let given = template.line.order(order, files);
        if let Err(error) = &given
            && error.raw_os_error() == Some(libc::EMSGSIZE)
        {
            return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
        }
        let (mut answer, end) = (None, clock::after(PATIENCE));
        while given.is_ok()
            && answer.is_none()
            && !clock::until(end).is_zero()
            && !sys::has_stopped(template.pid)
        {
            answer = template.line.hear(ROUND);
        }
        // Both are a template's word.
        let is_new =
            |pid: &i32| sys::is_child(*pid) && self.crew.slot_of(*pid).is_none() && !self.templates.has(*pid);
        if let Some(pid) = answer.filter(is_new) {
            return Ok(Some(pid));
        }
        if answer == Some(0) && matches!(order, Order::Inherit(_)) {
            return Ok(None);
        }
        if let Some(error) = answer.filter(|number| *number < 0) {
            return Err(io::Error::from_raw_os_error(error.saturating_neg()));
        }
        // Dead or stopped. What it did before is in the note.
        let pid = template.pid;
        let _ = sys::kill(pid, libc::SIGKILL);
        let status = sys::reap_child(pid);
        let newest = Some(note.last()).filter(is_new);
        self.end_template(pid, status);
        Ok(newest)
    }
}

/// What [`take_on`](crate::attributes::take_on) took on here, and a file with the environment.
fn attributes_of_this_process() -> io::Result<(Attributes, File)> {
    let mut environment = File::from(memfd_create("llib-environment", MemfdFlags::CLOEXEC)?);
    for string in environ::strings() {
        let mut string = string.into_bytes_with_nul();
        environment.write_all(&string)?;
        erase(&mut string);
    }
    environment.rewind()?;
    let set = sched_getaffinity(None)?;
    let processors = (0..CpuSet::MAX_CPU as u16).filter(|number| set.is_set(usize::from(*number))).collect();
    Ok((Attributes { processors, open: [true; 3], ..Attributes::default() }, environment))
}

/// When a module that begins to be loaded now has to be loaded.
pub(super) fn end_of(module: &Preload) -> u64 {
    clock::after(Duration::from_nanos(module.time))
}
