//! A file to which several processes append lines.
//!
//! Each line is one write(2) to a file opened with O_APPEND, which Linux does as one step: the lines of all processes stand
//! there whole, in the order in which they were written, and each is in the file at once, whatever happens to its writer.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::mem::ManuallyDrop;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use crate::sys::fork::PerProcess;
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Resource, getrlimit};

/// See the module's header.
pub(super) struct Sink {
    path: OnceLock<PathBuf>,
    file: PerProcess<Mutex<Option<Arc<Opened>>>>,
}

/// The file, and which one it is: a program may close descriptors that it does not know, and open its own under their
/// numbers. So it is never closed here either.
struct Opened {
    file: ManuallyDrop<File>,
    identity: (u64, u64),
}

impl Sink {
    pub(super) const fn new() -> Sink {
        Sink { path: OnceLock::new(), file: PerProcess::new() }
    }

    fn file(&self) -> MutexGuard<'_, Option<Arc<Opened>>> {
        self.file.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the file, and makes it anew with `head` in it, if there is one, unless a program that lives writes to it. That
    /// is told by a lock (flock(2)), which such programs hold together. Their supervisors have none: one program can begin
    /// while those of the last one still tell of its end.
    pub(super) fn open(&self, path: PathBuf, head: Option<&[u8]>) -> io::Result<()> {
        let file = match head {
            Some(head) => begin(&path, head)?,
            None => to_append(&path)?,
        };
        // A second thread that comes here opens the same file.
        let _ = self.path.set(path);
        *self.file() = Opened::new(file);
        Ok(())
    }

    /// Where the file is.
    pub(super) fn path(&self) -> Option<&PathBuf> {
        self.path.get()
    }

    /// Says that this process was forked, and has no descriptors of its parent's.
    pub(super) fn forget(&self) {
        *self.file() = None;
    }

    /// Appends a line. What cannot be written is left out: whoever is looked at goes on.
    pub(super) fn append(&self, line: &[u8]) {
        if let Some(opened) = self.current()
            && opened.has_room(line.len())
        {
            let _ = (&*opened.file).write(line);
        }
    }

    fn current(&self) -> Option<Arc<Opened>> {
        let mut file = self.file();
        if let Some(opened) = file.as_ref().filter(|opened| opened.is_still_there()) {
            return Some(Arc::clone(opened));
        }
        let opened = Opened::new(OpenOptions::new().append(true).open(self.path.get()?).ok()?)?;
        *file = Some(Arc::clone(&opened));
        Some(opened)
    }
}

fn to_append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// The file for a program that begins. One of an earlier program is replaced and not emptied, since others may still
/// write to it.
fn begin(path: &Path, head: &[u8]) -> io::Result<File> {
    /// How many milliseconds others may take that begin at the same time.
    const PATIENCE: u32 = 100;
    for _ in 0..PATIENCE {
        let mut file = to_append(path)?;
        let about = file.metadata()?;
        if !about.is_file() {
            // A pipe, or a terminal.
            file.write_all(head)?;
            return Ok(file);
        }
        let is_there = || std::fs::metadata(path).is_ok_and(|now| identity(&now) == identity(&about));
        let shared = |file: &File| flock(file, FlockOperation::NonBlockingLockShared).is_ok();
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() && is_there() {
            if file.metadata()?.len() > 0 {
                if std::fs::remove_file(path).is_ok() {
                    continue;
                }
                file.set_len(0)?;
            }
            file.write_all(head)?;
        }
        // Between the two locks there is none, so the file may be another's by now.
        if shared(&file) && is_there() && file.metadata()?.len() > 0 {
            return Ok(file);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    to_append(path)
}

fn identity(about: &Metadata) -> (u64, u64) {
    (about.dev(), about.ino())
}

impl Opened {
    fn new(file: File) -> Option<Arc<Opened>> {
        let about = file.metadata().ok()?;
        let identity = identity(&about);
        Some(Arc::new(Opened { file: ManuallyDrop::new(file), identity }))
    }

    fn is_still_there(&self) -> bool {
        self.file.metadata().is_ok_and(|about| identity(&about) == self.identity)
    }

    /// Whether this process may make the file longer: past its limit that would be a signal, setrlimit(2).
    fn has_room(&self, bytes: usize) -> bool {
        let Some(limit) = getrlimit(Resource::Fsize).current else { return true };
        // Others write meanwhile.
        const MARGIN: u64 = 1 << 20;
        self.file.metadata().is_ok_and(|about| about.len() + bytes as u64 + MARGIN <= limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_made_anew_unless_somebody_writes_to_it() {
        let path = std::env::temp_dir().join(format!("llib-sink-{}", std::process::id()));
        std::fs::write(&path, "of an earlier program\n").unwrap();
        let (first, second) = (Sink::new(), Sink::new());
        first.open(path.clone(), Some(b"head\n")).unwrap();
        first.append(b"one\n");
        second.open(path.clone(), Some(b"head\n")).unwrap();
        second.append(b"two\n");
        first.forget();
        first.append(b"three\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "head\none\ntwo\nthree\n");
        std::fs::remove_file(&path).unwrap();
        assert!(Sink::new().open("/nowhere/at/all".into(), None).is_err());
    }
}
