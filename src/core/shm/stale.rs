//! Names of sessions, and the removal of what a dead one left.
//!
//! A session's segment carries a lock (`flock(2)`) that its supervisors hold as long as they live, a tree's one of its hosts
//! ([`super::presence`]). The kernel drops it with the last of them, however they end, so "is it alive" needs no process ids, which
//! mean nothing across PID namespaces.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{FlockOperation, flock, fstat};
use rustix::io::Errno;

use super::file::{SharedFile, unlink};

const PREFIX: &str = "llib-";
const TREE: &str = "llib-tree-";
pub(super) const DIRECTORY: &str = "/dev/shm";

/// A session's claim to life. Dropping it, or dying, gives it up.
pub struct SessionLock {
    file: SharedFile,
}

impl AsFd for SessionLock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// A fresh session name.
pub fn new_name() -> io::Result<String> {
    Ok(format!("{PREFIX}{:016x}", random()?))
}

/// A fresh name of a tree.
pub(super) fn new_tree_name() -> io::Result<String> {
    Ok(tree_name(random()?))
}

fn random() -> io::Result<u64> {
    let mut bytes = [0u8; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(u64::from_ne_bytes(bytes))
}

/// The name of the tree with a number.
pub(super) fn tree_name(number: u64) -> String {
    format!("{TREE}{number:016x}")
}

/// The inverse.
pub fn tree_number(name: &str) -> Option<u64> {
    u64::from_str_radix(name.strip_prefix(TREE)?, 16).ok()
}

/// Locks a segment that was just created. `None`: a sweep was faster and removed it; create another.
pub fn claim(name: &str) -> io::Result<Option<SessionLock>> {
    let file = match SharedFile::open(name) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    flock(&file, FlockOperation::LockExclusive)?;
    let still_there = fstat(&file)?.st_nlink > 0;
    Ok(still_there.then_some(SessionLock { file }))
}

/// Removes every segment of one session, the session's own last: as long as that exists, the others are
/// not taken for leftovers.
pub fn remove_session(name: &str) {
    let extra = format!("{name}.");
    for other in names().filter(|other| other.starts_with(&extra)) {
        unlink(&other);
    }
    unlink(name);
}

/// Removes everything of a tree, or of a session, unless it lives; whether nothing is left.
pub(super) fn remove_if_dead(name: &str) -> bool {
    match SharedFile::open(name) {
        Ok(file) => {
            let is_dead = flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
            if is_dead {
                remove_session(name);
            }
            is_dead
        }
        Err(error) => error == Errno::NOENT,
    }
}

/// Removes the segments of every session that is dead. `before` gets the name of each, while its segments are
/// still there.
pub fn sweep(before: impl Fn(&str)) {
    for name in names() {
        let session = name.split('.').next().unwrap_or(&name);
        match SharedFile::open(session) {
            Ok(file) => {
                if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
                    crate::log!(Info, "{session} is a leftover, and is removed");
                    before(session);
                    remove_session(session);
                }
            }
            Err(Errno::NOENT) => unlink(&name),
            // Another user's, or no descriptors left: not ours to judge.
            Err(_) => {}
        }
    }
}

/// Names of everything of llib in shared memory, with those that only a monitor sees.
pub(crate) fn names() -> impl Iterator<Item = String> {
    listed().chain(super::monitor::names())
}

/// Those in the folder, as this process sees it.
pub(super) fn listed() -> impl Iterator<Item = String> {
    let entries = std::fs::read_dir(Path::new(DIRECTORY)).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| is_ours(name))
}

/// Whether a name of ours is that of a session's own segment.
pub(super) fn is_session(name: &str) -> bool {
    !name.starts_with(TREE) && !name.contains('.')
}

/// Whether a name is one that this module makes, alone or with something after a dot. Others may like names that
/// begin with `llib-`, too.
pub(super) fn is_ours(name: &str) -> bool {
    let session = name.split('.').next().unwrap_or(name);
    let digits = session.strip_prefix(TREE).or_else(|| session.strip_prefix(PREFIX));
    digits.is_some_and(|digits| {
        digits.len() == 16 && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    })
}

#[cfg(test)]
mod tests {
    use super::super::region::Region;
    use super::*;

    fn create(name: &str) {
        Region::write_new(name, &&b"something"[..]).unwrap();
    }

    fn exists(name: &str) -> bool {
        Path::new(DIRECTORY).join(name).exists()
    }

    #[test]
    fn a_sweep_removes_a_dead_session_whole_and_leaves_a_live_one() {
        let (live, dead) = (new_name().unwrap(), new_name().unwrap());
        create(&live);
        create(&format!("{live}.7.1.job"));
        let lock = claim(&live).unwrap().expect("nobody else removes a session of this test");
        // The lock is what tells the dead from the living, so the dead one is born with it.
        create(&dead);
        let claimed = claim(&dead).unwrap().expect("nobody else removes a session of this test");
        create(&format!("{dead}.7.1.reply"));
        drop(claimed);
        sweep(|_| ());
        assert!(exists(&live) && exists(&format!("{live}.7.1.job")));
        assert!(!exists(&dead) && !exists(&format!("{dead}.7.1.reply")));
        remove_session(&live);
        assert!(!exists(&live) && !exists(&format!("{live}.7.1.job")));
        drop(lock);
    }

    #[test]
    fn names_of_others_are_not_taken_for_ours() {
        let ours =
            ["llib-0123456789abcdef", "llib-0123456789abcdef.7.1.job", "llib-tree-0123456789abcdef.77"];
        assert!(ours.iter().all(|name| is_ours(name)));
        let others =
            ["llib-", "llib-cache", "llib-cache.0123456789abcdef", "llib-0123456789ABCDEF", "llib-tree-1"];
        assert!(!others.iter().any(|name| is_ours(name)));
        assert!(is_ours(&new_name().unwrap()) && is_ours(&new_tree_name().unwrap()));
    }

    #[test]
    fn claiming_a_name_that_a_sweep_removed_asks_for_another() {
        assert!(claim(&new_name().unwrap()).unwrap().is_none());
    }
}
