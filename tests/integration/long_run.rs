//! The long run, `tests/soak/long_run.lua`: many jobs, of which some crash, exit, fail, hang or get killed.
//!
//! Here in a short form; the full one is
//! `cargo test --release -p llib-tests --test integration -- --ignored --nocapture million`.

use std::path::Path;
use std::time::Duration;

use support::{Interpreter, Script};

/// Runs it with these arguments; what it printed, once nothing of it is left.
fn long_run(interpreter: Interpreter, arguments: &[&str], limit: Duration) -> String {
    let file = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/soak/long_run.lua"));
    let script = Script::file(file).by(interpreter).limit(limit);
    let session = arguments.iter().fold(script, |script, argument| script.argument(argument)).start();
    // The names of its sessions are to be had only while it runs.
    session.line();
    session.learn_sessions();
    let output = session.end().output().to_owned();
    session.expect_nothing_left();
    output
}

#[test]
fn of_many_jobs_with_every_kind_of_end_none_is_lost_and_nothing_is_left() {
    for interpreter in Interpreter::all() {
        // The limit of time is one that a busy machine keeps.
        let arguments = ["--pool=2000", "--fresh=200", "--samples=12", "--limit=1000"];
        let output = long_run(interpreter, &arguments, Duration::from_secs(120));
        let verdict = output.lines().last().unwrap_or_default();
        assert!(verdict.starts_with("all is well: 2000 pool jobs and 200 fresh jobs"), "{output}");
    }
}

#[test]
#[ignore = "takes a quarter of an hour"]
fn of_a_million_jobs_none_is_lost_nothing_is_left_and_memory_is_flat() {
    let output = long_run(Interpreter::Builtin, &["--limit=1000"], Duration::from_secs(2 * 3600));
    println!("{output}");
    assert!(output.lines().last().is_some_and(|verdict| verdict.starts_with("all is well")), "{output}");
}
