//! `LLIB_LOG`: what supervisors did and why, in lines of one form.

use support::{Outcome, Script, Session};

/// The lines on standard error, as level, role with process id, and text.
fn lines(text: &str) -> Vec<(String, String, String)> {
    let read = |line: &str| {
        let (time, rest) = line.split_once(' ').unwrap_or_else(|| panic!("{line}"));
        assert!(time.len() == 27 && time.ends_with('Z') && time.as_bytes()[10] == b'T', "{line}");
        let mut words = rest.trim_start().splitn(2, ' ');
        let level = words.next().unwrap_or_default().to_owned();
        let (who, text) = words.next().unwrap_or_default().trim_start().split_once(' ').unwrap_or_default();
        (level, who.to_owned(), text.to_owned())
    };
    text.lines().map(read).collect()
}

fn run(filter: &str, text: &str) -> (Session, Outcome) {
    let session = Script::new(text).env("LLIB_LOG", filter).start();
    let mut outcome = session.end();
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    // Supervisors write after their host's end, too.
    session.expect_nothing_left();
    outcome.stderr = std::fs::read_to_string(session.scratch.path().join("stderr")).unwrap();
    (session, outcome)
}

const PROGRAM: &str = "
    assert(thread.async('return 1', { name = 'fine' }):await() == 1)
    thread.async('while true do end', { name = 'late', timeout = 20 }):await()
    thread.async('os.exit(3)', { name = 'exit' }):await()
    local s = thread.stats() print(s.guard, s.zygote)";

#[test]
fn a_log_tells_of_sessions_deadlines_and_deaths() {
    let (session, outcome) = run("info", PROGRAM);
    let (guard, zygote) = outcome.stdout.trim().split_once('\t').unwrap();
    let lines = lines(&outcome.stderr);
    let has = |level: &str, who: &str, part: &str| {
        let found = lines.iter().any(|line| line.0 == level && line.1 == who && line.2.contains(part));
        assert!(found, "{level} {who} {part} in {}", outcome.stderr);
    };
    has("INFO", &format!("host[{}]", session.host.pid), &format!("started, guard {guard}, zygote {zygote}"));
    let (guard, zygote) = (format!("guard[{guard}]"), format!("zygote[{zygote}]"));
    has("INFO", &guard, "guards session llib-");
    has("INFO", &zygote, "is past its time: its deadline");
    has("INFO", &zygote, "gone without a reply: SIGKILL, its deadline");
    has("INFO", &zygote, "gone without a reply: exit 3");
    has("INFO", &zygote, "session over");
    assert!(lines.iter().all(|line| line.0 != "DEBUG" && !line.2.contains("fine")), "{}", outcome.stderr);
}

#[test]
fn each_role_has_a_level_of_its_own() {
    let (_, outcome) = run("zygote=debug", PROGRAM);
    let all = lines(&outcome.stderr);
    assert!(!all.is_empty() && all.iter().all(|line| line.1.starts_with("zygote[")), "{}", outcome.stderr);
    assert!(all.iter().any(|line| line.2.starts_with("forked worker ")), "{}", outcome.stderr);
    let (_, outcome) = run("trace,zygote=off,guard=off", PROGRAM);
    let all = lines(&outcome.stderr);
    assert!(all.iter().all(|line| line.1.starts_with("host[")), "{}", outcome.stderr);
    assert!(all.iter().any(|line| line.2.contains("'fine' g")), "{}", outcome.stderr);
    let (_, outcome) = run("off", PROGRAM);
    assert_eq!(outcome.stderr, "");
}

#[test]
fn a_job_that_left_something_running_is_told_of() {
    let (_, outcome) = run(
        "info",
        "local pid = thread.async(\"return io.popen('sleep 1000 >&- 2>&- & echo $!'):read('*n')\"):await() \
         wait(function() return gone(pid) end)",
    );
    assert!(outcome.stderr.contains("killed what a job had left running"), "{}", outcome.stderr);
}

#[test]
fn a_log_in_a_file_has_the_lines_of_workers_too_and_is_appended_to() {
    let text = "thread.async('io.stderr:write([[the job]]) return 1', { name = 'a\\nb', stderr = 'capture' }):await()
        thread.async('return 1', { name = 'boxed', sandbox = true }):await()";
    let start = || Script::new(text).env("LLIB_LOG", "debug").env("LLIB_LOG_FILE", "the.log").start();
    let session = start();
    assert_eq!(session.end().output(), "");
    session.expect_nothing_left();
    let path = session.scratch.path().join("the.log");
    let log = std::fs::read_to_string(&path).unwrap();
    let all = lines(&log);
    let worker = |part: &str| all.iter().any(|line| line.1.starts_with("worker[") && line.2.contains(part));
    // One line, whatever the name holds.
    assert!(worker(" 'a\u{fffd}b'"), "{log}");
    // And none of one behind walls: it may tell that it begins, before it raises them.
    let replies = all.iter().filter(|line| line.2.starts_with("replies to job ")).count();
    assert!(replies == 1 && worker("replies to job "), "{log}");
    let again = Script::new(text).env("LLIB_LOG", "debug").env("LLIB_LOG_FILE", &path).start();
    again.end().output();
    again.expect_nothing_left();
    assert!(std::fs::read_to_string(&path).unwrap().starts_with(&log));
}

#[test]
fn what_makes_no_sense_is_told_once_and_the_rest_is_obeyed() {
    let (_, outcome) = run("loud,zygote=info,cook=debug", "thread.async('os.exit(1)'):await()");
    let told: Vec<&str> = outcome.stderr.lines().filter(|line| line.starts_with("llib: ")).collect();
    assert_eq!(
        told,
        [
            "llib: LLIB_LOG: 'loud' is no level (off, error, warn, info, debug or trace)",
            "llib: LLIB_LOG: 'cook' is no role (host, guard, zygote or worker)"
        ]
    );
    assert!(outcome.stderr.contains("gone without a reply: exit 1"), "{}", outcome.stderr);
}
