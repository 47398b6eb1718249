//! The files of shared memory.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const DIRECTORY: &str = "/dev/shm";
const PREFIX: &str = "llib-";
const TREE: &str = "llib-tree-";

/// Whether this user can give a script a shared memory of its own: mount namespaces need privileges.
pub fn can_be_private() -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    *CAN.get_or_init(|| {
        let probe = Command::new("unshare").args(["-m", "mount", "-t", "tmpfs", "tmpfs", DIRECTORY]).output();
        let can = probe.is_ok_and(|output| output.status.success());
        if !can {
            eprintln!("skipped: no mount namespaces for this user, so no test has a /dev/shm of its own");
        }
        can
    })
}

/// The session or tree of sessions to which a file belongs.
pub(crate) fn session_of(file: &str) -> Option<&str> {
    let session = file.split(['.', ' ']).next()?;
    let digits = session.strip_prefix(TREE).or_else(|| session.strip_prefix(PREFIX))?;
    (digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(session)
}

/// Whether a file is the one that a tree of sessions has as long as its host lives.
pub(crate) fn is_tree(file: &str) -> bool {
    file.starts_with(TREE) && !file.contains('.')
}

/// What a script sees as /dev/shm.
pub enum Shm {
    /// Its own. The open directory keeps the file system after the last process in it.
    Private(File),
    /// Everybody's.
    Shared,
}

impl Shm {
    /// The one of a process, which has it for itself.
    pub fn private(pid: i32) -> Option<Shm> {
        let path = PathBuf::from(format!("/proc/{pid}/root{DIRECTORY}"));
        let device = |path: &Path| fs::metadata(path).ok().map(|data| data.dev());
        // Before the wrapper has mounted it, it is still everybody's.
        if device(&path)? == device(Path::new(DIRECTORY))? {
            return None;
        }
        File::open(path).ok().map(Shm::Private)
    }

    fn path(&self) -> PathBuf {
        match self {
            Shm::Private(directory) => format!("/proc/self/fd/{}", directory.as_raw_fd()).into(),
            Shm::Shared => DIRECTORY.into(),
        }
    }

    /// llib's files there: all in a private one, those of `sessions` in everybody's.
    pub fn files(&self, sessions: &BTreeSet<String>) -> Vec<String> {
        let entries = fs::read_dir(self.path()).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut files: Vec<String> = names
            .filter(|name| match self {
                Shm::Private(_) => name.starts_with(PREFIX),
                Shm::Shared => session_of(name).is_some_and(|session| sessions.contains(session)),
            })
            .collect();
        files.sort();
        files
    }

    /// Bytes that llib's files take up there.
    pub fn bytes(&self, sessions: &BTreeSet<String>) -> u64 {
        let size = |name: &String| fs::metadata(self.path().join(name)).map_or(0, |data| data.blocks() * 512);
        self.files(sessions).iter().map(size).sum()
    }

    /// A file in it, by name.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }
}
