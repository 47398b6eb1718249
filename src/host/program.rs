//! Which program the workers are.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The executable that runs, where it can serve as a worker program itself.
static OWN: OnceLock<PathBuf> = OnceLock::new();

/// Makes the running executable the worker program of this process: it is one of llib's own.
pub fn serve_as_worker(program: PathBuf) {
    // A second call names the same executable.
    let _ = OWN.set(program);
}

/// Where the worker program is: `LLIB_WORKER`, else the running executable if it is one of llib's, else
/// beside the module's own file, else on the search path.
pub fn find_worker(module: Option<&Path>) -> PathBuf {
    const NAME: &str = "llib-worker";
    if let Some(path) = std::env::var_os("LLIB_WORKER").filter(|path| !path.is_empty()) {
        return path.into();
    }
    if let Some(own) = OWN.get() {
        return own.clone();
    }
    let beside = module.and_then(Path::parent).map(|folder| folder.join(NAME)).filter(|path| path.exists());
    let on_path = || {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&folders).map(|folder| folder.join(NAME)).find(|path| path.exists())
    };
    beside.or_else(on_path).unwrap_or_else(|| NAME.into())
}
