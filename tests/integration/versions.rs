//! A worker program of another Lua than the host's is refused in words.

use std::path::PathBuf;
use std::process::Command;

use support::{Interpreter, Script, version};

const SCRIPT: &str = "say(select(2, pcall(thread.async, function() return 1 end)))";

/// Worker programs of other versions, in `LLIB_TEST_FOREIGN_WORKERS` separated by colons. One build makes one
/// version alone, so only whoever has several can name them; CI does.
fn foreign_workers() -> Vec<PathBuf> {
    let given = std::env::var_os("LLIB_TEST_FOREIGN_WORKERS").unwrap_or_default();
    std::env::split_paths(&given).filter(|path| !path.as_os_str().is_empty()).collect()
}

/// Which Lua a worker program has, as the command beside it says: `Lua 5.3`, `LuaJIT`.
fn lua_of(worker: &std::path::Path) -> String {
    let command = worker.with_file_name("llib");
    let output =
        Command::new(&command).arg("--version").output().expect("the command lies beside the worker");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().nth(1).expect("the second line is Lua's");
    if line.starts_with("LuaJIT") { "LuaJIT".to_owned() } else { line[..7].to_owned() }
}

#[test]
fn a_worker_of_another_version_is_refused_in_words() {
    let workers = foreign_workers();
    if workers.is_empty() {
        eprintln!("skipped: LLIB_TEST_FOREIGN_WORKERS names no worker program of another version");
    }
    let own =
        if version::FEATURE == "luajit" { "LuaJIT".to_owned() } else { format!("Lua {}", version::NUMBER) };
    for worker in workers {
        for interpreter in Interpreter::all() {
            let outcome = Script::new(SCRIPT).by(interpreter).env("LLIB_WORKER", &worker).run();
            let expected = format!(
                "the worker program '{}' has {}, which cannot run functions of this interpreter's {own}\n",
                worker.display(),
                lua_of(&worker)
            );
            assert_eq!(outcome.output(), expected, "{interpreter:?}");
        }
    }
}
