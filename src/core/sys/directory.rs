//! The working directory, by a name that another process can enter.

use std::path::PathBuf;

/// The working directory's name. One that was removed has none, but a process of the same user can enter it by way of `/proc`, as
/// long as this one stays there: then relative names lead nowhere in both.
pub fn current() -> PathBuf {
    std::env::current_dir().unwrap_or_else(|_| PathBuf::from(format!("/proc/{}/cwd", std::process::id())))
}
