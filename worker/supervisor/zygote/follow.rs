//! Following the host: the zygote has the attributes that the host had when it handed over its last job.
//!
//! The host tells it of changes (`llib_host`'s `attributes`), and waits until no spare is left that has others. Mask and limits
//! are dear to look at there, so the zygote looks at those of the host itself, before it forks.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;
use std::time::Duration;

use llib_core::sys::ring::{Part, erase};
use llib_core::sys::{clock, futex, limits as system};
use llib_core::wire::attributes::{Attributes, Limit, RESOURCES};
use rustix::process::{Resource, getpriority_process};

use super::Zygote;
use crate::attributes::{Worn, take_on};
use crate::strays;
use llib_worker_sys as sys;

/// How often the zygote looks at the host's mask and limits at most; that takes some 15 µs.
const ROUND: Duration = Duration::from_millis(1);

/// What the zygote knows of the host's attributes.
pub(super) struct Follow {
    /// What its workers put on.
    pub(super) worn: Worn,
    /// What those of a template put on.
    pub(super) worn_below: Worn,
    /// Counts the changes that were followed.
    pub(super) generation: u32,
    umask: Option<u32>,
    nice: i32,
    limits: [Limit; RESOURCES],
    host: i32,
    /// The host's /proc/PID/status, if that can be read.
    status: Option<File>,
    look_at: u64,
    message: Message,
}

/// What there is of a message.
#[derive(Default)]
struct Message {
    number: u32,
    bytes: Vec<u8>,
    files: Vec<OwnedFd>,
}

impl Message {
    /// Adds a part; the whole message if this was the last one.
    fn add(&mut self, part: Part) -> Option<Message> {
        let Part { number, total, mut bytes, files } = part;
        // One that was begun and not sent to its end is over.
        if number != self.number {
            // Never longer than this, or parts of it would be left where it was.
            *self = Message { number, bytes: Vec::with_capacity(total), files };
        }
        self.bytes.extend_from_slice(&bytes);
        erase(&mut bytes);
        (self.bytes.len() >= total).then(|| std::mem::take(self))
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // The environment is no affair of sandboxed workers, whose memory is a copy of this.
        erase(&mut self.bytes);
    }
}

impl Follow {
    /// With the limits of the host when it started this process, before any of them was raised here.
    pub(super) fn new(limits: [Limit; RESOURCES], host: i32) -> Follow {
        let nice = getpriority_process(None).unwrap_or(0);
        let status = || File::open(format!("/proc/{host}/status")).ok();
        let worn = Worn::new(None, nice, &limits);
        Follow {
            worn_below: worn.clone(),
            worn,
            generation: 0,
            umask: system::umask(),
            nice,
            limits,
            host,
            status: strays::are_visible().then(status).flatten(),
            look_at: 0,
            message: Message::default(),
        }
    }

    /// The host's mask and limits now, where they can be read.
    fn look(&self) -> Option<(Option<u32>, [Limit; RESOURCES])> {
        let status = self.status.as_ref()?;
        let mut text = [0; 4096];
        let len = status.read_at(&mut text, 0).ok()?;
        Some((system::umask_in(&text[..len]).or(self.umask), sys::limits::of(self.host)?))
    }
}

impl Zygote {
    /// Takes in a part of what the host tells of its attributes.
    pub(super) fn hear_attributes(&mut self, part: Part) {
        let Some(mut message) = self.follow.message.add(part) else { return };
        let number = message.number;
        // What was handed over before has the old ones.
        self.attend();
        while !self.pending.is_empty() {
            self.start_pending(false);
        }
        if let Some(attributes) = Attributes::from_bytes(&message.bytes) {
            self.follow_host(attributes, std::mem::take(&mut message.files));
        }
        let done = &self.segment.header().attributes;
        done.store(number, Ordering::SeqCst);
        futex::wake_all(done);
    }

    fn follow_host(&mut self, mut attributes: Attributes, streams: Vec<OwnedFd>) {
        llib_core::log!(Debug, "the host's attributes have changed: spares are replaced");
        take_on(&mut attributes, streams);
        self.pass_on_attributes();
        let follow = &mut self.follow;
        follow.umask = attributes.umask.or(follow.umask);
        (follow.nice, follow.limits) = (attributes.nice, attributes.limits);
        follow.look_at = clock::after(ROUND);
        self.wear();
    }

    /// Whether the spare of a slot was forked before the last change.
    pub(super) fn is_outdated(&self, index: u32) -> bool {
        self.crew.is_outdated(index, self.follow.generation)
    }

    /// Looks at the host's mask and limits, before a worker is forked.
    pub(super) fn look_at_host(&mut self) {
        let now = clock::now();
        if now < self.follow.look_at {
            return;
        }
        self.follow.look_at = now.saturating_add(ROUND.as_nanos() as u64);
        let follow = &mut self.follow;
        let Some((umask, limits)) = follow.look() else { return };
        if (umask, limits) == (follow.umask, follow.limits) {
            return;
        }
        llib_core::log!(Debug, "the host's mask or limits have changed: spares are replaced");
        (follow.umask, follow.limits) = (umask, limits);
        self.wear();
    }

    /// From now on workers put on what is known of the host.
    fn wear(&mut self) {
        let Follow { umask, nice, limits, .. } = &self.follow;
        let worn = Worn::new(*umask, *nice, limits);
        self.follow.worn_below = Worn::everything(*umask, *nice, limits);
        self.follow.worn = worn;
        self.follow.generation = self.follow.generation.wrapping_add(1);
        self.processes.limit_user(system::to_kernel(self.follow.limits[Resource::Nproc as usize]));
        self.replace_spares();
        self.spares.start_over();
    }
}
