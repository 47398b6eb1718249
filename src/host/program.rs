//! Which program the workers are. What that depends on is noted when the module is loaded: later its host may be in another
//! directory, to which a relative name of the module does not lead any more.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

const NAME: &str = "llib-worker";

/// What was noted.
#[derive(Debug, Default)]
struct Start {
    /// The working directory.
    directory: Option<PathBuf>,
    /// Folders that may have the program: the one of the module's file, and that to which a symbolic link leads.
    beside: Vec<PathBuf>,
}

/// The executable that runs, where it can serve as a worker program itself.
static OWN: OnceLock<PathBuf> = OnceLock::new();

/// Makes the running executable the worker program of this process: it is one of llib's own.
pub fn serve_as_worker(program: PathBuf) {
    // A second call names the same executable.
    let _ = OWN.set(program);
}

static START: OnceLock<Start> = OnceLock::new();

/// Notes where the module lies. The first call counts.
pub fn note_module(file: Option<&Path>) {
    START.get_or_init(|| Start::of(std::env::current_dir().ok(), file));
}

/// No worker program was found.
#[derive(Clone, Debug)]
pub struct NotFound {
    looked: Vec<PathBuf>,
}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no worker program; looked for ")?;
        for (position, path) in self.looked.iter().enumerate() {
            write!(f, "{}'{}'", if position == 0 { "" } else { ", " }, path.display())?;
        }
        write!(f, " (the environment variable LLIB_WORKER can name it)")
    }
}

/// The worker program: `LLIB_WORKER`, else the running executable if it is one of llib's, else beside the module, else on the
/// search path. One that `LLIB_WORKER` names is not looked for.
pub fn find_worker() -> Result<PathBuf, NotFound> {
    let start = START.get_or_init(Start::default);
    if let Some(path) = std::env::var_os("LLIB_WORKER").filter(|path| !path.is_empty()) {
        return Ok(start.whole(path.as_ref()));
    }
    match OWN.get() {
        Some(own) => Ok(own.clone()),
        None => start.look(&std::env::var_os("PATH").unwrap_or_default()),
    }
}

impl Start {
    fn of(directory: Option<PathBuf>, file: Option<&Path>) -> Start {
        let mut start = Start { directory, beside: Vec::new() };
        if let Some(file) = file.map(|file| start.whole(file)) {
            let real = file.canonicalize().ok();
            start.beside = [Some(file), real]
                .iter()
                .flatten()
                .filter_map(|file| file.parent())
                .map(Path::to_owned)
                .collect();
        }
        start
    }

    /// A path as it was meant at the start.
    fn whole(&self, path: &Path) -> PathBuf {
        self.directory.as_ref().map_or_else(|| path.to_owned(), |directory| directory.join(path))
    }

    fn look(&self, search_path: &OsStr) -> Result<PathBuf, NotFound> {
        let on_path = std::env::split_paths(search_path).filter(|folder| !folder.as_os_str().is_empty());
        let folders = self.beside.iter().cloned().chain(on_path.map(|folder| self.whole(&folder)));
        let mut looked: Vec<PathBuf> = Vec::new();
        for path in folders.map(|folder| folder.join(NAME)) {
            if !looked.contains(&path) {
                looked.push(path);
            }
        }
        looked.iter().find(|path| path.is_file()).cloned().ok_or(NotFound { looked })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_names_are_meant_as_they_were_at_the_start_and_an_error_lists_them_all() {
        let start = Start::of(Some("/nowhere/start".into()), Some(Path::new("./llib.so")));
        assert_eq!(start.whole(Path::new("w")), Path::new("/nowhere/start/w"));
        assert_eq!(start.whole(Path::new("/w")), Path::new("/w"));
        let problem = start.look(OsStr::new("/nowhere/a:b::/nowhere/a")).unwrap_err().to_string();
        let looked = "'/nowhere/start/llib-worker', '/nowhere/a/llib-worker', '/nowhere/start/b/llib-worker'";
        assert!(problem.contains(&format!("looked for {looked} (")), "{problem}");
    }
}
