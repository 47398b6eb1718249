//! Which programs there are, which Lua they have, and how they are started.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use support::wait::until_true;
use support::{Script, Session, binaries, version};

/// How long a program may take for anything on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A program or library, if this machine has it, with the Lua that the module under test is built for.
pub(crate) fn find(file: &Path) -> Option<PathBuf> {
    let linked = Command::new("ldd").arg(file).output().map(|output| output.stdout).unwrap_or_default();
    let there = file.exists() && String::from_utf8_lossy(&linked).contains(library(file));
    if !there {
        missing(&format!("there is no {} with {}", file.display(), library(file)));
    }
    there.then(|| file.to_owned())
}

/// The shared library of this Lua.
fn library(program: &Path) -> &'static str {
    if program.ends_with("texlua") {
        return "libtexlua53.so";
    }
    match version::FEATURE {
        "luajit" => "libluajit-5.1.so",
        "lua55" => "liblua5.5.so",
        "lua54" => "liblua5.4.so",
        "lua53" => "liblua5.3.so",
        "lua52" => "liblua5.2.so",
        _ => "liblua5.1.so.0",
    }
}

/// Says what is not there.
pub(crate) fn missing(what: &str) {
    let required = std::env::var("LLIB_TEST_REQUIRE_HOSTS").is_ok_and(|value| value == "1");
    assert!(!required, "LLIB_TEST_REQUIRE_HOSTS=1, but {what}");
    eprintln!("skipped: {what}");
}

/// Whether the user is root, as most of these programs are started.
pub(crate) fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root() && support::shm::can_be_private();
    if !root {
        eprintln!("skipped: only root starts a server that gives up its privileges");
    }
    root
}

/// A file of a host in this folder.
pub(crate) fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("hosts").join(name)
}

/// Has a program run, with a shared memory of its own.
pub(crate) fn program(program: &Path, arguments: &[&str]) -> Script {
    Script::program(program, arguments).private_shm("256M").limit(Duration::from_secs(120))
}

/// The text of a configuration with `@SCRATCH@`, `@MODULE@` and others replaced.
pub(crate) fn configured(name: &str, words: &[(&str, &str)]) -> String {
    let text = std::fs::read_to_string(file(name)).expect("it is part of these tests");
    let module = format!("{}/lib?.so", binaries::directory().display());
    // What stands for a word may have others in it.
    let own = [("@MODULE@", module.as_str())];
    words.iter().rev().chain(&own).fold(text, |text, (word, value)| text.replace(word, value))
}

/// Waits until no process is left that the program started, and no shared memory.
pub(crate) fn expect_nothing_left(session: &Session) {
    let calm = until_true(PATIENCE, || session.processes().is_empty() && session.shm_files().is_empty());
    assert!(calm, "left: {:#?}, {:?}", session.processes(), session.shm_files());
}
