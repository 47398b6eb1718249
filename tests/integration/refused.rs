//! A worker program that is none: `async` says so, and the host goes on.

use std::path::Path;
use std::time::Duration;

use support::{Interpreter, Outcome, Scratch, Script};

/// The first job's error, and whether another start works once the program is the right one.
const SCRIPT: &str = r#"
    for _ = 1, 2 do
        local ok, err = pcall(thread.async, function() return 1 end)
        say(ok, err)
    end
    local stats = thread.stats()
    say(next(stats))
    hear()
"#;

/// Runs it with this program as worker; what it says of the start, once for each interpreter.
fn start_with(worker: &Path) -> Vec<String> {
    let run = |interpreter| {
        let session = Script::new(SCRIPT).by(interpreter).env("LLIB_WORKER", worker).start();
        let lines = [session.line(), session.line()];
        assert_eq!(lines[0], lines[1], "the second attempt ends like the first");
        session.expect("nil");
        let message = lines[0].strip_prefix("false\t").expect("no session was started").to_owned();
        let calm = support::wait::until_true(Duration::from_secs(5), || {
            session.processes() == [session.host.clone()]
        });
        assert!(calm, "left: {:#?}", session.processes());
        let outcome: Outcome = session.end();
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        session.expect_nothing_left();
        message
    };
    Interpreter::all().into_iter().map(run).collect()
}

#[test]
fn a_missing_program_is_named_with_the_systems_reason() {
    for message in start_with(Path::new("/nowhere/llib-worker")) {
        let expected = "failed to run the worker program '/nowhere/llib-worker': No such file or directory";
        assert!(message.starts_with(expected), "{message}");
    }
}

#[test]
fn a_file_that_is_no_program_is_named_with_the_systems_reason() {
    let scratch = Scratch::new();
    let file = scratch.write("llib-worker", "not executable");
    for message in start_with(&file) {
        let expected = format!("failed to run the worker program '{}': Permission denied", file.display());
        assert!(message.starts_with(&expected), "{message}");
    }
    for message in start_with(scratch.path()) {
        let expected =
            format!("failed to run the worker program '{}': Permission denied", scratch.path().display());
        assert!(message.starts_with(&expected), "{message}");
    }
}

#[test]
fn a_program_that_ends_at_once_is_named() {
    for program in ["/bin/true", "/bin/false"] {
        for message in start_with(Path::new(program)) {
            assert_eq!(message, format!("the worker program '{program}' ended before it was ready"));
        }
    }
}

#[test]
fn a_program_that_prints_garbage_is_named() {
    let scratch = Scratch::new();
    let program =
        scratch.write_program("garbage", "#!/bin/sh\nhead -c 65536 /dev/urandom | od >&2\nexit 3\n");
    for message in start_with(&program) {
        assert_eq!(message, format!("the worker program '{}' ended before it was ready", program.display()));
    }
}

#[test]
fn a_program_that_never_answers_is_given_up_and_killed() {
    let scratch = Scratch::new();
    let program = scratch.write_program("sleeper", "#!/bin/sh\nexec sleep 1000\n");
    let script = "local ok, err = pcall(thread.async, function() return 1 end) say(err) hear()";
    let session = Script::new(script).env("LLIB_WORKER", &program).start();
    session.expect(&format!("the worker program '{}' was not ready within 20 s", program.display()));
    let calm =
        support::wait::until_true(Duration::from_secs(5), || session.processes() == [session.host.clone()]);
    assert!(calm, "left: {:#?}", session.processes());
    session.end().output();
}

#[test]
fn the_worker_program_is_found_beside_the_module() {
    // Neither variable nor search path lead to it.
    for interpreter in Interpreter::all() {
        let script = "say(thread.async(function() return 1 end):await())";
        let outcome = Script::new(script).by(interpreter).env("PATH", "/nowhere").run();
        assert_eq!(outcome.output(), "1\n");
    }
}
