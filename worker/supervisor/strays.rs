//! Finding and killing what jobs left behind.
//!
//! Each worker is a subreaper, so whatever its job starts stays below it, also after `setsid` and a double
//! fork. When the worker is gone, all of that reparents to the zygote (or, without one, to the guard). So any
//! child here that is not a worker was left by a job that has ended, and is killed at sight. Its own
//! children come up next.
//!
//! Which children there are only /proc tells. Where it is missing or another PID namespace's, what is found of a job is what
//! it left in its process group.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use llib_core::sys::clock;
use llib_core::sys::process::Usage;

use llib_worker_sys as sys;

/// How long killed processes may take to go at the end of a session. One in an uninterruptible system call takes as long as that
/// does, and one of another user does not go at all.
const LAST_PATIENCE: Duration = Duration::from_secs(10);

/// Kills every child and all that comes up then.
pub(crate) fn kill_all() {
    kill_all_but(&|_| false);
}

/// The same, but for some.
pub(crate) fn kill_all_but(stays: &dyn Fn(i32) -> bool) {
    let (mut strays, end) = (Strays::default(), clock::after(LAST_PATIENCE));
    while strays.kill(stays, LAST_PATIENCE) != Round::Clean && !clock::until(end).is_zero() {
        let mut any = false;
        while !strays.are_held(LAST_PATIENCE)
            && let Some((pid, ..)) = reap()
        {
            any = true;
            strays.forget(pid);
        }
        if !any {
            // Death takes a moment. There is nothing else to wait on here: the signal may be blocked or not.
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

/// Children that were killed and are not reaped yet.
///
/// Where there are many, they may be starting others as fast as the processors allow, up to a limit of processes. One that is dead and not
/// reaped counts there, and so leaves its place to nobody. So these are reaped when all of them are dead.
#[derive(Default)]
pub(crate) struct Strays {
    /// When each was killed.
    killed: BTreeMap<i32, u64>,
    /// One that was alive when it was last looked at.
    living: i32,
}

/// What came of looking for strays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Round {
    /// There are none.
    Clean,
    /// Those that there are were killed before.
    Waiting,
    /// Some were killed.
    Killed,
}

impl Strays {
    /// Kills children that `stays` does not know, a bounded number of them. One that does not go within `patience` of that counts no more.
    /// What they have started comes up when they are dead.
    pub(crate) fn kill(&mut self, stays: &dyn Fn(i32) -> bool, patience: Duration) -> Round {
        const SLICE: usize = 1000;
        let now = clock::now();
        let before = self.killed.len();
        let mut round = Round::Clean;
        for pid in children().into_iter().filter(|pid| !stays(*pid)) {
            if let Some(at) = self.killed.get(&pid) {
                if is_recent(*at, now, patience) && round == Round::Clean {
                    round = Round::Waiting;
                }
                continue;
            }
            // A child that is not reaped yet, so its id is its own. It may be a zombie already. That it is ours the kernel says
            // as well, for /proc could have been replaced.
            if sys::is_child(pid) {
                let _ = sys::kill(pid, libc::SIGKILL);
                self.killed.insert(pid, now);
                round = Round::Killed;
            }
            if self.killed.len() >= before + SLICE {
                break;
            }
        }
        round
    }

    /// Whether strays are not to be reaped now, see [`Strays::kill`] for `patience`.
    pub(crate) fn are_held(&mut self, patience: Duration) -> bool {
        /// Fewer are no matter; with more the system could run out of ids.
        const MANY: Range<usize> = 32..4096;
        if !MANY.contains(&self.killed.len()) {
            return false;
        }
        let now = clock::now();
        let lives = |pid: i32, at: u64| is_recent(at, now, patience) && !sys::has_ended(pid);
        if self.killed.get(&self.living).is_some_and(|at| lives(self.living, *at)) {
            return true;
        }
        let living = self.killed.iter().find(|(pid, at)| lives(**pid, **at));
        self.living = living.map_or(0, |(pid, _)| *pid);
        self.living != 0
    }

    /// Those that are dead.
    pub(crate) fn ended(&self) -> impl Iterator<Item = i32> {
        self.killed.keys().copied().filter(|pid| sys::has_ended(*pid))
    }

    /// A child was reaped.
    pub(crate) fn forget(&mut self, pid: i32) {
        self.killed.remove(&pid);
    }
}

fn is_recent(at: u64, now: u64, patience: Duration) -> bool {
    u128::from(now.saturating_sub(at)) < patience.as_nanos()
}

/// Kills a child, and tells whether it certainly leaves nothing; false where that cannot be seen.
///
/// A process that is being killed starts no others: fork(2) fails from then on. So if it has no children now, and is not
/// gone yet, it will leave none. What was below them has come up to it, as to a subreaper.
pub(crate) fn kill_alone(pid: i32) -> bool {
    if !are_visible() {
        let _ = sys::kill(pid, libc::SIGKILL);
        return false;
    }
    // Opened before: there is not much time.
    let folder = format!("/proc/{pid}/task");
    let list = File::open(format!("{folder}/{pid}/children"));
    let threads = File::open(&folder);
    // So that it does not take the processor from this process as soon as it is woken.
    sys::make_patient(pid);
    let _ = sys::kill(pid, libc::SIGKILL);
    let (Ok(list), Ok(threads)) = (list, threads) else { return false };
    // Each thread has children of its own, and a link to its folder.
    let has_one = threads.metadata().is_ok_and(|about| about.nlink() == 3);
    has_one && matches!(list.read_at(&mut [0], 0), Ok(0)) && !sys::has_ended(pid)
}

/// A child that ended, see [`sys::reap`]. Where children cannot be found, the rest of its process group is killed before.
pub(crate) fn reap() -> Option<(i32, i32, Usage)> {
    if !are_visible()
        && let Some(pid) = sys::next_ended()
    {
        // Not reaped, so no other group has this number.
        let _ = sys::kill(-pid, libc::SIGKILL);
        return sys::reap_one(pid);
    }
    sys::reap()
}

/// Whether there is a /proc that shows this process's children: 1 if not, 2 if there is; 0 before that was looked at.
static VISIBLE: AtomicU8 = AtomicU8::new(0);

/// Whether this process can find its children. It stays in its PID namespace.
pub(crate) fn are_visible() -> bool {
    match VISIBLE.load(Ordering::Relaxed) {
        0 => {
            let visible = llib_core::sys::proc::is_own();
            VISIBLE.store(1 + u8::from(visible), Ordering::Relaxed);
            visible
        }
        found => found == 2,
    }
}

/// This process was forked to have another root directory.
pub(crate) fn look_again() {
    VISIBLE.store(0, Ordering::Relaxed);
}

/// The children of this process, as far as they can be found.
fn children() -> Vec<i32> {
    let own = std::process::id();
    if are_visible() { read_list(own).unwrap_or_else(|| children_by_search(own)) } else { Vec::new() }
}

/// The kernel's own list, /proc/PID/task/TID/children of proc(5). Read after every death, so the file stays
/// open.
fn read_list(own: u32) -> Option<Vec<i32>> {
    static LIST: Mutex<Option<(u32, File)>> = Mutex::new(None);
    let mut list = LIST.lock().unwrap_or_else(PoisonError::into_inner);
    // That of the process which forked this one is of no use.
    if list.as_ref().is_none_or(|(owner, _)| *owner != own) {
        *list = File::open(format!("/proc/self/task/{own}/children")).ok().map(|file| (own, file));
    }
    let (_, file) = list.as_ref()?;
    /// More than one entry takes. A read gives whole entries alone, so all but the last stop a little short.
    const ENTRY: usize = 16;
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = file.read_at(&mut buffer, text.len() as u64).ok()?;
        text.extend_from_slice(&buffer[..count]);
        if count + ENTRY < buffer.len() {
            break;
        }
    }
    let text = String::from_utf8(text).ok()?;
    Some(text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect())
}

/// For kernels without CONFIG_PROC_CHILDREN: whoever names this process as parent in /proc/PID/stat.
fn children_by_search(own: u32) -> Vec<i32> {
    let is_child = |pid: i32| parent(pid) == Some(own);
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| is_child(*pid)).collect()
}

/// The parent of a process, field 4 there. Names of processes are on the way to it, which jobs choose: nothing of them stays.
fn parent(pid: i32) -> Option<u32> {
    let mut stat = [0; 512];
    let count = File::open(format!("/proc/{pid}/stat")).ok()?.read_at(&mut stat, 0).ok()?;
    let end = stat[..count].iter().rposition(|byte| *byte == b')');
    let rest = end.and_then(|end| std::str::from_utf8(&stat[end + 1..count]).ok());
    let parent = rest.and_then(|rest| rest.split_ascii_whitespace().nth(1)?.parse().ok());
    stat.fill(0);
    std::hint::black_box(&mut stat);
    parent
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    #[test]
    fn only_of_a_process_without_children_it_is_certain_that_it_leaves_nothing() {
        let start =
            |text: &str| Command::new("sh").args(["-c", text]).stdout(Stdio::piped()).spawn().unwrap();
        let alone = || {
            let mut child = start("echo; exec sleep 60");
            let alone = kill_alone(child.id() as i32);
            child.wait().unwrap();
            assert!(!kill_alone(child.id() as i32), "it is gone");
            alone
        };
        // It may be dead before it was looked at.
        assert!((0..100).any(|_| alone()));
        for _ in 0..10 {
            let mut parent = start("sleep 60 & echo $!; wait");
            let mut line = String::new();
            BufReader::new(parent.stdout.take().unwrap()).read_line(&mut line).unwrap();
            assert!(!kill_alone(parent.id() as i32));
            parent.wait().unwrap();
            sys::kill(line.trim().parse().unwrap(), libc::SIGKILL).unwrap();
        }
    }

    #[test]
    fn both_ways_to_find_children_find_the_same() {
        let mut child = Command::new("sleep").arg("60").stdout(Stdio::null()).spawn().unwrap();
        let pid = child.id() as i32;
        // The test harness has threads; the main thread's list is that of another thread's children.
        assert!(children_by_search(std::process::id()).contains(&pid));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!children_by_search(std::process::id()).contains(&pid));
    }
}
