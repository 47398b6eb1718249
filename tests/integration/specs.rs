//! The specs, Lua as a user writes it: each file of `tests/specs` alone, in every interpreter there is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use support::{Interpreter, Script, version};

/// Read by the specs, and no spec itself.
const HELPER: &str = "support.lua";

fn files() -> Vec<PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/specs");
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = entries
        .filter(|path| {
            path.extension().is_some_and(|extension| extension == "lua") && !path.ends_with(HELPER)
        })
        .collect();
    files.sort();
    files
}

/// The oldest Lua that a spec runs in, if its first lines say so: `-- Needs Lua 5.4.`
fn needs(file: &Path) -> Option<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().take(5).find_map(|line| line.strip_prefix("-- Needs Lua "))?;
    Some(line.trim_end_matches('.').to_owned())
}

fn check(interpreter: Interpreter) {
    let mut failed = Vec::new();
    for file in files() {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // Versions have one digit on either side: as texts they compare as they should.
        if let Some(oldest) = needs(&file).filter(|oldest| oldest.as_str() > version::NUMBER) {
            println!("{name}: skipped, it needs Lua {oldest}");
            continue;
        }
        let session = Script::file(&file)
            .by(interpreter)
            .env("SPEC_TIMES", "1")
            .limit(Duration::from_secs(120))
            .start();
        let outcome = session.end();
        println!("{name}: {:?}, {:.1} s", outcome.code, outcome.time.as_secs_f64());
        if outcome.code != Some(0) {
            println!("{outcome:?}");
            failed.push(name);
            continue;
        }
        session.expect_nothing_left();
    }
    assert!(failed.is_empty(), "{interpreter:?}: {failed:?}");
}

#[test]
fn specs_hold_in_the_built_in_interpreter() {
    check(Interpreter::Builtin);
}

#[test]
fn specs_hold_in_the_stock_interpreter() {
    if Interpreter::all().contains(&Interpreter::Stock) {
        check(Interpreter::Stock);
    }
}
