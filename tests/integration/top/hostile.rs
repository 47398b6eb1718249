//! Files in shared memory that are not what their names say: they are not shown, and nothing is done to them.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::PathBuf;

use nix::fcntl::{Flock, FlockArg};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::{jobs, named, processes, snapshot};

/// A file that vanishes with the test. Its lock keeps others from taking it for a leftover.
struct Planted {
    path: PathBuf,
    lock: Option<Flock<File>>,
}

impl Planted {
    fn path(name: &str) -> PathBuf {
        PathBuf::from("/dev/shm").join(name)
    }

    fn file(name: &str, bytes: &[u8], len: u64) -> Planted {
        let path = Planted::path(name);
        let file = File::create_new(&path).unwrap();
        let mut lock = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error).unwrap();
        lock.write_all(bytes).unwrap();
        lock.set_len(len).unwrap();
        Planted { path, lock: Some(lock) }
    }

    fn other(name: &str, make: impl FnOnce(&PathBuf)) -> Planted {
        let path = Planted::path(name);
        make(&path);
        Planted { path, lock: None }
    }
}

impl Drop for Planted {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path).or_else(|_| fs::remove_dir(&self.path));
        drop(self.lock.take());
    }
}

#[test]
fn what_only_looks_like_a_session_is_not_shown() {
    let (session, owner) = jobs("hear()");
    session.learn_sessions();
    let files = session.shm_files();
    let real = files.iter().find(|name| name.len() == 21).expect("the session has a segment").clone();
    let len = fs::metadata(Planted::path(&real)).unwrap().len();
    let before = fs::metadata(Planted::path(&real)).unwrap();
    let mut start = vec![0; 1 << 20];
    File::open(Planted::path(&real)).unwrap().read_exact(&mut start).unwrap();
    let noise: Vec<u8> = (0..1u32 << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let name = |number: u32| format!("llib-{:08x}{number:08x}", std::process::id());
    let tree = |number: u32| format!("llib-tree-{:08x}{number:08x}", std::process::id());
    let _planted = [
        Planted::file(&name(1), &start, len),
        Planted::file(&name(2), &noise, len),
        Planted::file(&name(3), &[], len),
        Planted::file(&name(4), &[], 0),
        Planted::file(&name(5), &noise[..100], 1 << 40),
        Planted::file(&tree(1), &noise, 1 << 20),
        Planted::other(&name(6), |path| mkfifo(path, Mode::S_IRWXU).unwrap()),
        Planted::other(&name(7), |path| fs::create_dir(path).unwrap()),
        Planted::other(&name(8), |path| std::os::unix::fs::symlink(Planted::path(&real), path).unwrap()),
    ];
    let snapshot = snapshot(session.host.pid);
    let sessions = snapshot["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 1, "{snapshot:#}");
    assert_eq!(sessions[0]["name"].as_str(), Some(real.as_str()));
    assert_eq!(named(&snapshot, "the owner")["pid"].as_i64(), Some(owner.into()));
    // Looking creates no pages, and what the files say of processes is held against the process table.
    use std::os::unix::fs::MetadataExt;
    assert_eq!(fs::metadata(Planted::path(&real)).unwrap().mtime(), before.mtime());
    let zygote = i64::from(session.zygote().pid);
    for process in processes(&snapshot).iter().filter(|it| it["role"] == "worker") {
        let pid = process["pid"].as_i64().unwrap() as i32;
        let parent = support::Process::find(pid).map(|process| i64::from(process.parent));
        assert!(parent.is_none_or(|parent| parent == zygote), "{process}");
    }
    session.say("");
    assert_eq!(session.end().code, Some(0));
    session.expect_nothing_left();
}
