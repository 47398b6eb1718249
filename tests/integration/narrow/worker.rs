//! Finding the worker program: what names meant when the module was loaded counts.

use std::fs;
use std::os::unix::fs::symlink;

use support::{Interpreter, Scratch, Script, binaries};

use super::calls_module;

/// The programs in a folder of the test's own, with the module under Lua's name for it.
fn installed() -> Scratch {
    let scratch = Scratch::new();
    for (from, to) in [("libllib.so", "llib.so"), ("llib-worker", "llib-worker")] {
        fs::copy(binaries::directory().join(from), scratch.path().join(to)).expect("the programs are built");
    }
    scratch
}

/// Runs a job in a stock interpreter after a change of directory; `None` where something for that is missing.
fn run(cpath: &str, directory: &std::path::Path, worker: Option<&str>) -> Option<String> {
    let calls = calls_module()?;
    if !Interpreter::all().contains(&Interpreter::Stock) {
        return None;
    }
    let text = format!(
        "local llib = require 'llib' package.cpath = '{}/?.so' require('narrow_calls').chdir('/')
        print(select(2, pcall(function() return llib.thread.async(function() return 'found' end):await() end)))",
        calls.path().display()
    );
    let script = Script::plain(&text).by(Interpreter::Stock).env("LUA_CPATH", cpath).directory(directory);
    let script = if let Some(worker) = worker { script.env("LLIB_WORKER", worker) } else { script };
    Some(script.env("PATH", "/usr/bin:/bin").run().output().trim_end().to_owned())
}

#[test]
fn a_module_that_was_found_by_a_relative_path_finds_its_worker_after_a_change_of_directory() {
    let installed = installed();
    let inner = installed.path().join("inner");
    fs::create_dir(&inner).unwrap();
    for (cpath, directory) in [("./?.so", installed.path()), ("../?.so", &inner)] {
        let Some(result) = run(cpath, directory, None) else { return };
        assert_eq!(result, "found", "{cpath}");
    }
}

#[test]
fn a_symbolic_link_to_the_module_is_followed() {
    let (installed, elsewhere) = (installed(), Scratch::new());
    symlink(installed.path().join("llib.so"), elsewhere.path().join("llib.so")).unwrap();
    let Some(result) = run("./?.so", elsewhere.path(), None) else { return };
    assert_eq!(result, "found");
    // Beside the link itself comes first.
    fs::write(elsewhere.path().join("llib-worker"), "no program").unwrap();
    let result = run("./?.so", elsewhere.path(), None).unwrap();
    assert!(
        result.contains("failed to run the worker program") && result.contains("llib-worker'"),
        "{result}"
    );
}

#[test]
fn a_relative_name_of_the_worker_program_is_meant_from_where_the_module_was_loaded() {
    let installed = installed();
    let Some(result) = run("./?.so", installed.path(), Some("./llib-worker")) else { return };
    assert_eq!(result, "found");
}

#[test]
fn where_the_worker_program_was_looked_for_is_said() {
    let (installed, elsewhere) = (installed(), Scratch::new());
    fs::remove_file(installed.path().join("llib-worker")).unwrap();
    symlink(installed.path().join("llib.so"), elsewhere.path().join("llib.so")).unwrap();
    let Some(result) = run("./?.so", elsewhere.path(), None) else { return };
    assert!(result.contains("there is no worker program; looked for '"), "{result}");
    let places = [elsewhere.path(), installed.path(), "/usr/bin".as_ref(), "/bin".as_ref()];
    assert!(places.iter().all(|place| result.contains(&*place.to_string_lossy())), "{result}");
}
