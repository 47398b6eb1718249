//! Finding and killing what jobs left behind.
//!
//! Each worker is a subreaper, so whatever its job starts stays below it, also after `setsid` and a double
//! fork. When the worker is gone, all of that reparents to the zygote (or, without one, to the guard). So any
//! child here that is not a worker was left by a job that has ended, and is killed at sight. Its own
//! children come up next.
//!
//! Which children there are only /proc tells. Where it is missing or another PID namespace's, what is found of a job is what
//! it left in its process group.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use llib_core::sys::clock;
use llib_core::sys::process::Usage;

use llib_worker_sys as sys;

/// How long killed processes may take to go. One in an uninterruptible system call takes as long as that
/// does; then a later round gets it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// The same at the end of a session, after which there is no later round.
const LAST_PATIENCE: Duration = Duration::from_secs(10);

/// Kills every child and all that comes up then.
pub(crate) fn kill_all() {
    kill_all_but(&|_| false);
}

/// The same, but for some.
pub(crate) fn kill_all_but(stays: &dyn Fn(i32) -> bool) {
    kill(LAST_PATIENCE, stays, &mut |_, _, _| {});
}

/// Kills every child, and in turn its children, that `is_worker` does not know; returns whether there was any.
/// Workers that are reaped on the way go to `reaped`.
pub(crate) fn kill(
    patience: Duration,
    is_worker: &dyn Fn(i32) -> bool,
    reaped: &mut dyn FnMut(i32, i32, Usage),
) -> bool {
    let end = clock::after(patience);
    let mut found = false;
    loop {
        let strays: Vec<i32> = children().into_iter().filter(|pid| !is_worker(*pid)).collect();
        if strays.is_empty() || clock::until(end).is_zero() {
            return found;
        }
        found = true;
        // A child that is not reaped yet, so its id is its own. It may be a zombie already. That it is ours the kernel says
        // as well, for /proc could have been replaced.
        for pid in strays.iter().filter(|pid| sys::is_child(**pid)) {
            let _ = sys::kill(*pid, libc::SIGKILL);
        }
        let mut any = false;
        while let Some((pid, status, usage)) = reap() {
            any = true;
            reaped(pid, status, usage);
        }
        if !any {
            // Death takes a moment. There is nothing else to wait on here: the signal may be blocked or not.
            std::thread::sleep(Duration::from_micros(200));
        }
    }
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
    use std::process::{Command, Stdio};

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
