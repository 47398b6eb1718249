//! Where the programs under test lie.
//!
//! `cargo test` builds a package's own programs for its tests, and those of other packages only as tests.
//! So the first test that asks has them built, into the place and with the profile of this test program;
//! a build with nothing to do takes some tenths of a second.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::{Scratch, version};

/// The directory of `llib`, `llib-worker` and `libllib.so`: `LLIB_TEST_BIN_DIR`, or else what is built here.
pub fn directory() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| match std::env::var_os("LLIB_TEST_BIN_DIR") {
        Some(given) => std::path::absolute(given).expect("LLIB_TEST_BIN_DIR is a path"),
        None => build(),
    })
}

/// The command `llib`.
pub fn llib() -> PathBuf {
    directory().join("llib")
}

/// The stock interpreter, where there is one. Without it the calling tests cover less, which is said; or,
/// with LLIB_TEST_REQUIRE_STOCK_LUA=1, is an error.
pub fn stock_lua() -> Option<PathBuf> {
    static PATH: OnceLock<Option<PathBuf>> = OnceLock::new();
    PATH.get_or_init(|| {
        let name = version::stock();
        let found = find_program(&name);
        if found.is_none() {
            let required = std::env::var("LLIB_TEST_REQUIRE_STOCK_LUA").is_ok_and(|value| value == "1");
            assert!(!required, "LLIB_TEST_REQUIRE_STOCK_LUA=1, but there is no {name} on the search path");
            eprintln!("skipped: there is no {name} on the search path, so no test runs in it");
        }
        found
    })
    .clone()
}

/// A program on the search path.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

fn build() -> PathBuf {
    // TARGET[/TRIPLE]/PROFILE/deps/TEST
    let test = std::env::current_exe().expect("this program has a path");
    let directory = test.ancestors().nth(2).expect("tests lie in target/PROFILE/deps").to_path_buf();
    let above = directory.parent().expect("PROFILE lies in TARGET");
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    // Of these the first is only written where cargo makes the folder itself.
    let is_target = ["CACHEDIR.TAG", ".rustc_info.json"].iter().any(|file| above.join(file).exists());
    let triple = Some(name(above)).filter(|_| !is_target);
    let target = if triple.is_some() { above.parent().unwrap_or(above) } else { above };

    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--workspace", "--lib", "--bins"]);
    command.args(["--no-default-features", "--features", version::FEATURE]);
    command.arg("--manifest-path").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    command.arg("--target-dir").arg(target);
    if let Some(triple) = triple {
        command.arg("--target").arg(triple);
    }
    match name(&directory).as_str() {
        "debug" => {}
        profile => {
            command.arg("--profile").arg(profile);
        }
    }
    // What cargo told this test of its own package is not meant for the build.
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("CARGO_PKG_") || name_text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    let status = command.status().expect("cargo can be run");
    assert!(status.success(), "the programs under test cannot be built ({status}): {command:?}");
    directory
}

/// A folder with a C module of this name, built from a file; `None`, and a line that says so, without a C compiler.
pub fn c_module(source: &Path, name: &str) -> Option<Scratch> {
    let Some(compiler) = find_program("cc") else {
        eprintln!("skipped: there is no C compiler for what Lua cannot do");
        return None;
    };
    let scratch = Scratch::new();
    let output = Command::new(compiler)
        .args(["-Wall", "-Werror", "-shared", "-fPIC", "-pthread", "-o"])
        .arg(scratch.path().join(format!("{name}.so")))
        .arg(source)
        .output()
        .expect("the compiler can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(scratch)
}
