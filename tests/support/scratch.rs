//! Directories that vanish with their test.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory that is removed with its files.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// A fresh and empty directory, which every user may enter: some scripts run as nobody.
    pub fn new() -> Scratch {
        let path = std::env::temp_dir().join(format!("llib-test-{}", unique()));
        fs::create_dir_all(&path).expect("a scratch directory can be made");
        Scratch(path)
    }

    /// One with a `script.lua` in it.
    pub fn with_script(text: &str) -> Scratch {
        let scratch = Scratch::new();
        scratch.write("script.lua", text);
        scratch
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file; returns its path.
    pub fn write(&self, name: &str, contents: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, contents).expect("a scratch file can be written");
        path
    }

    /// Writes an executable file; returns its path.
    pub fn write_program(&self, name: &str, contents: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.write(name, contents);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
        path
    }
}

impl Default for Scratch {
    fn default() -> Scratch {
        Scratch::new()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A word that no other call in any process returns.
pub(crate) fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}
