//! Signals to `llib run`, and what is left when it has ended.

use nix::sys::signal::Signal;
use serde_json::json;
use support::Process;
use support::session::PATIENCE;
use support::wait::until_true;

use super::{document, reason, script};

#[test]
fn a_signal_ends_job_and_command_by_its_code() {
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143), (Signal::SIGHUP, 129)] {
        for text in ["print('ready') while true do end", "print('ready') os.execute('exec sleep 1000')"] {
            let session = script("", &format!("io.stdout:setvbuf('no') {text}")).start();
            session.expect("ready");
            session.host.signal(signal);
            let outcome = session.end();
            assert_eq!((outcome.code, outcome.signal), (Some(code), None), "{outcome:?}");
            assert_eq!(reason(&outcome), format!("killed: llib run was told to end by {signal}\n"));
            session.expect_nothing_left();
        }
    }
    let session =
        script("--json", "io.open(os.getenv('SCRATCH') .. '/ready', 'w'):close() while true do end").start();
    let ready = session.scratch.path().join("ready");
    assert!(until_true(PATIENCE, || ready.exists()));
    session.host.signal(Signal::SIGTERM);
    let outcome = session.end();
    let told = document(&outcome);
    assert_eq!(
        (outcome.code, &told["failure"]["kind"], &told["failure"]["signal"]),
        (Some(143), &json!("killed"), &json!("TERM"))
    );
}

#[test]
fn a_signal_that_the_parent_ignores_stays_ignored() {
    let session =
        script("", "io.stdout:setvbuf('no') print('ready') print(io.read())").wrapped(&["nohup"]).start();
    session.expect("ready");
    session.host.signal(Signal::SIGHUP);
    session.say("still here");
    session.expect("still here");
    assert_eq!(session.end().code, Some(0));
}

#[test]
fn ctrl_z_stops_job_and_command_until_they_are_continued() {
    let text = "io.stdout:setvbuf('no') print(res.pid) io.read() print('on')";
    // A group of its own: the system does not stop a process that nobody could continue.
    let session = script("", text).in_own_group().start();
    let job = session.number();
    let stopped = |pid| Process::find(pid).is_some_and(|process| process.state == 'T');
    session.host.signal(Signal::SIGTSTP);
    assert!(until_true(PATIENCE, || stopped(session.host.pid) && stopped(job)));
    session.host.signal(Signal::SIGCONT);
    assert!(until_true(PATIENCE, || !stopped(session.host.pid) && !stopped(job)));
    session.say("");
    session.expect("on");
    assert_eq!(session.end().code, Some(0));
}

#[test]
fn a_job_that_somebody_else_stops_is_waited_for() {
    let text = "io.stdout:setvbuf('no') print(res.pid) io.read() print('on') return 1";
    let session = script("", text).start();
    let job = Process::find(session.number()).expect("the job runs");
    job.signal(Signal::SIGSTOP);
    assert!(until_true(PATIENCE, || Process::find(job.pid).is_some_and(|process| process.state == 'T')));
    // More than one round of looking after it.
    std::thread::sleep(std::time::Duration::from_millis(300));
    job.signal(Signal::SIGCONT);
    session.say("");
    session.expect("on");
    assert_eq!(session.end().code, Some(0));
}

#[test]
fn a_killed_command_leaves_nothing() {
    let session =
        script("", "io.stdout:setvbuf('no') print('ready') os.execute('sleep 1000 & exec sleep 1001')")
            .start();
    session.expect("ready");
    session.learn_sessions();
    session.host.signal(Signal::SIGKILL);
    assert_eq!(session.end().signal, Some(9));
    session.expect_nothing_left();
}

#[test]
fn what_the_script_started_ends_with_it() {
    let session = script("", "os.execute('sleep 1000 >/dev/null 2>&1 &') print('done')").start();
    session.expect("done");
    assert_eq!(session.end().code, Some(0));
    session.expect_nothing_left();
}

#[test]
fn a_lost_supervisor_has_a_code_of_its_own() {
    let session = script("", "io.stdout:setvbuf('no') print('ready') while true do end").start();
    session.expect("ready");
    let (guard, zygote) = (session.guard(), session.zygote());
    guard.signal(Signal::SIGKILL);
    zygote.signal(Signal::SIGKILL);
    let outcome = session.end();
    assert_eq!(outcome.code, Some(125), "{outcome:?}");
    assert!(reason(&outcome).starts_with("lost: "), "{outcome:?}");
}
