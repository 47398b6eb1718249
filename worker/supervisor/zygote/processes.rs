//! Where few processes are allowed: `ulimit -u` (RLIMIT_NPROC of setrlimit(2), for all of a user), and cgroups' `pids.max`.
//!
//! Spares are a luxury. One is made only if some more processes would fit beside it, for what the host and jobs run
//! themselves; they go again when those want the room; and a job for which no process can be made gets that of a spare.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use llib_core::shm::State;
use llib_core::sys::clock;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::Zygote;
use super::templates::Newborn;
use crate::birth::with_limit;
use crate::timeline;
use llib_worker_sys::{self as sys, Forked};

/// Processes for which spares leave room: a shell with what it runs, for the host and for a job.
const RESERVE: u64 = 4;

/// Limits above this are taken to be out of reach for a host alone: nobody looks whether spares are in the way.
const NARROW: u64 = 512;

/// How often that is looked at.
const ROUND: Duration = Duration::from_secs(1);

/// What limits the number of processes.
pub(super) struct Processes {
    user: Option<Rlimit>,
    groups: Vec<Group>,
    look_at: u64,
}

/// A cgroup, or one above.
struct Group {
    current: File,
    most: u64,
}

impl Processes {
    pub(super) fn find() -> Processes {
        let limit = getrlimit(Resource::Nproc);
        let groups = groups(&fs::read_to_string("/proc/self/cgroup").unwrap_or_default());
        let groups = groups.into_iter().filter_map(|folder| Group::open(&folder)).collect();
        Processes { user: Some(limit).filter(|limit| limit.current.is_some()), groups, look_at: 0 }
    }

    /// The host's limit is this from now on.
    pub(super) fn limit_user(&mut self, limit: Rlimit) {
        let _ = setrlimit(Resource::Nproc, limit);
        self.user = Some(limit).filter(|limit| limit.current.is_some());
    }

    /// How many processes the user may have.
    pub(super) fn limit(&self) -> Option<u64> {
        self.user.and_then(|limit| limit.current)
    }

    /// The limit of processes with which a fork leaves the reserve, if there is one; an error where nothing would be left.
    fn limit_in_reserve(&self) -> io::Result<Option<u64>> {
        if !self.groups.iter().all(Group::has_room) {
            return Err(io::Error::from_raw_os_error(libc::EAGAIN));
        }
        // How many processes the user has nobody tells; the kernel compares it with the limit of the process that forks.
        Ok(self.limit().map(|current| current.saturating_sub(RESERVE)))
    }

    /// Whether the reserve is there.
    fn have_room(&self) -> bool {
        let forked = self.limit_in_reserve().and_then(|limit| with_limit(limit, sys::fork));
        match forked {
            Ok(Forked::Child) => sys::exit_now(0),
            Ok(Forked::Parent(pid)) => {
                sys::reap_child(pid);
                true
            }
            Err(_) => false,
        }
    }

    fn are_narrow(&self) -> bool {
        self.limit().into_iter().chain(self.groups.iter().map(|group| group.most)).any(|most| most <= NARROW)
    }
}

impl Group {
    fn open(folder: &Path) -> Option<Group> {
        // "max" is no number.
        let most = fs::read_to_string(folder.join("pids.max")).ok()?.trim().parse().ok()?;
        Some(Group { current: File::open(folder.join("pids.current")).ok()?, most })
    }

    fn has_room(&self) -> bool {
        let mut text = [0; 24];
        let count = self.current.read_at(&mut text, 0).unwrap_or(0);
        let current =
            std::str::from_utf8(&text[..count]).ok().and_then(|text| text.trim().parse::<u64>().ok());
        // A group that is gone limits nothing.
        current.is_none_or(|current| current.saturating_add(1 + RESERVE) <= self.most)
    }
}

/// The folders of the cgroups that count a process's processes, and of those above; from what /proc/PID/cgroup says of it,
/// cgroups(7). In a container the path may be one outside: then its own group is where the root is.
fn groups(text: &str) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for line in text.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let root = match controllers {
            "" => "/sys/fs/cgroup",
            controllers if controllers.split(',').any(|name| name == "pids") => "/sys/fs/cgroup/pids",
            _ => continue,
        };
        let own: PathBuf = Path::new(root).join(path.trim_start_matches('/')).components().collect();
        folders.extend(own.ancestors().take_while(|folder| folder.starts_with(root)).map(Path::to_owned));
    }
    folders
}

impl Zygote {
    /// Forks a spare, if that leaves room for others.
    pub(super) fn fork_spare(&mut self, newborn: &mut Newborn<'_>) -> io::Result<i32> {
        newborn.birth.processes = self.processes.limit_in_reserve()?;
        self.bear(newborn)
    }

    /// Forks for a job; if need be in place of spares.
    pub(super) fn fork_for_job(&mut self, newborn: &mut Newborn<'_>) -> io::Result<i32> {
        loop {
            match self.bear(newborn) {
                Err(error) if is_shortage(&error) && self.end_spare() => {}
                forked => return forked,
            }
        }
    }

    /// Whether workers are about to end whose processes others could have.
    pub(super) fn anybody_ends(&self) -> bool {
        self.crew.members().any(|(_, slot)| self.segment.slot(slot).entry.state() == State::Released)
    }

    /// Lets spares go that take up the last processes, where there are few; looks now and then.
    pub(super) fn keep_reserve(&mut self, now: u64) {
        let header = self.segment.header();
        let spares = || header.ready.count() + header.walled.count() > 0;
        if now < self.processes.look_at || !spares() || !self.processes.are_narrow() {
            return;
        }
        self.processes.look_at = clock::after(ROUND);
        while spares() && !self.processes.have_room() && self.end_spare() {}
    }

    /// When to look again, if ever.
    pub(super) fn next_look(&self) -> Option<u64> {
        let header = self.segment.header();
        let any = header.ready.count() + header.walled.count() > 0;
        (any && self.processes.are_narrow()).then_some(self.processes.look_at)
    }

    /// Ends a spare, for its process; false if there is none.
    pub(super) fn end_spare(&mut self) -> bool {
        let header = self.segment.header();
        let taken = header.walled.take_first(|_| true).or_else(|| header.ready.take_first(|_| true));
        let Some(index) = taken else { return false };
        self.segment.slot(index).entry.swap(State::Released);
        if let Some(pid) = self.crew.at(index) {
            llib_core::log!(Debug, "the spare {pid} gives way: few processes are allowed");
            let _ = sys::kill(pid, libc::SIGKILL);
            // It runs no code but llib's, so it is gone in a moment, and has left nothing.
            sys::reap_child(pid);
            self.crew.remove(pid);
            self.bury(index);
            timeline::died(pid, "gives way");
        }
        self.finish(index);
        true
    }
}

/// Whether fork(2) failed for want of processes or memory.
pub(super) fn is_shortage(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENOMEM))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_groups_of_a_process_are_its_own_and_those_above() {
        let folders =
            |text: &str| groups(text).iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
        assert_eq!(folders("0::/\n"), ["/sys/fs/cgroup"]);
        let nested = "0::/system.slice/x.service\n";
        let expected =
            ["/sys/fs/cgroup/system.slice/x.service", "/sys/fs/cgroup/system.slice", "/sys/fs/cgroup"];
        assert_eq!(folders(nested), expected);
        let old = "4:memory:/a\n3:cpu,pids:/b\n1:name=systemd:/c\n";
        assert_eq!(folders(old), ["/sys/fs/cgroup/pids/b", "/sys/fs/cgroup/pids"]);
        assert!(folders("nonsense\n").is_empty());
    }
}
