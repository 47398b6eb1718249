//! One snapshot.

use std::process::Command;
use std::time::Duration;

use support::binaries::llib;
use support::{Script, until};

use super::{jobs, named, processes, snapshot};

#[test]
fn a_snapshot_names_jobs_and_says_who_holds_and_who_waits() {
    let (session, owner) = jobs("hear()");
    // They wait a moment after they began.
    let found = until(Duration::from_secs(10), || {
        let snapshot = snapshot(session.host.pid);
        let waiting = processes(&snapshot).iter().filter(|it| it["status"] == "waiting").count();
        (waiting == 3 && named(&snapshot, "the owner")["holds"].as_array()?.len() == 2).then_some(snapshot)
    });
    let snapshot = found.unwrap_or_else(|| panic!("{:#}", snapshot(session.host.pid)));
    assert_eq!(snapshot["sessions"].as_array().unwrap().len(), 1);
    let holder = named(&snapshot, "the owner");
    assert_eq!((holder["pid"].as_i64(), holder["status"].as_str()), (Some(owner.into()), Some("running")));
    let holds: Vec<&str> = holder["holds"].as_array().unwrap().iter().filter_map(|it| it.as_str()).collect();
    assert!(holds.contains(&"lock 7") && holds.iter().any(|held| held.starts_with("mutex ")), "{holds:?}");
    let waits = |name: &str| named(&snapshot, name)["waits"].clone();
    assert_eq!(waits("wants lock 7")["what"], "lock 7");
    assert!(waits("wants the mutex")["what"].as_str().unwrap().starts_with("mutex "));
    for name in ["wants lock 7", "wants the mutex"] {
        assert_eq!(waits(name)["holder"].as_i64(), Some(owner.into()));
    }
    assert!(waits("wants an item")["what"].as_str().unwrap().starts_with("an item of channel "));
    let status = |name: &str| named(&snapshot, name)["status"].clone();
    assert_eq!(named(&snapshot, "in a box")["sandboxed"], true);
    assert_eq!(status("with a long text"), "running");
    // Of one that has replied there is the title of its process left.
    assert_eq!(
        (status("done"), status("failed"), status("stopped")),
        ("done".into(), "failed".into(), "paused".into())
    );
    assert_eq!(named(&snapshot, "escape ")["name"], "escape \u{fffd}[2J\u{fffd}]0;x\u{fffd}");
    for process in processes(&snapshot) {
        assert!(process["memory"].as_u64().unwrap() > 0, "{process}");
        assert!(process["age"].as_f64().unwrap() < 60.0 && process["cpu"].as_f64().is_some(), "{process}");
    }
    let roles: Vec<String> =
        processes(&snapshot).iter().map(|it| it["role"].as_str().unwrap().to_owned()).collect();
    assert_eq!(roles[..3], ["host", "guard", "zygote"]);
    let pid = |index: usize| processes(&snapshot)[index]["pid"].as_i64();
    let expected = [session.host.pid, session.guard().pid, session.zygote().pid].map(|pid| Some(pid.into()));
    assert_eq!([pid(0), pid(1), pid(2)], expected);
    session.say("");
    assert_eq!(session.end().code, Some(0));
    session.expect_nothing_left();
}

#[test]
fn the_jobs_of_jobs_and_the_workers_of_pools_are_shown() {
    let session = Script::new(
        "local outer = thread.async(function() local inner = thread.async(function() thread.sleep(1e9) end, \
         { name = 'inner' }) inner:await() end, { name = 'outer' }) \
         local p = thread.pool({ size = 2 }) p:submit(function() return 1 end):await() \
         p:submit(function() require('llib').thread.sleep(1e9) end) say('ready') hear()",
    )
    .start();
    session.expect("ready");
    let found = until(Duration::from_secs(10), || {
        let snapshot = snapshot(session.host.pid);
        let all = processes(&snapshot);
        let pooled: Vec<_> = all.iter().filter(|it| it["pool"] == 1).collect();
        let statuses: Vec<&str> = pooled.iter().filter_map(|it| it["status"].as_str()).collect();
        let settled = statuses.contains(&"idle") && statuses.contains(&"running");
        (settled && all.iter().any(|it| it["name"] == "inner")).then_some((snapshot, pooled.len()))
    });
    let (snapshot, pooled) = found.unwrap_or_else(|| panic!("{:#}", snapshot(session.host.pid)));
    assert_eq!(pooled, 2);
    let sessions = snapshot["sessions"].as_array().unwrap();
    assert_eq!((sessions.len(), &sessions[1]["depth"]), (2, &1.into()));
    assert_eq!(sessions[1]["processes"][0]["name"], "job outer");
    assert_eq!(sessions[1]["processes"][0]["pid"], named(&snapshot, "outer")["pid"]);
    session.say("");
    session.end();
    session.expect_nothing_left();
}

#[test]
fn a_snapshot_of_nothing_is_empty() {
    assert_eq!(snapshot(std::process::id() as i32)["sessions"].as_array().map(Vec::len), Some(0));
}

#[test]
fn a_wrong_command_line_and_a_missing_terminal_are_told() {
    let run = |words: &[&str]| Command::new(llib()).arg("top").args(words).output().unwrap();
    let output = run(&["--json"]);
    assert!(output.status.code() == Some(2) && output.stdout.is_empty(), "{output:?}");
    let output = run(&[]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && error.contains("needs a terminal"), "{output:?}");
    let help = run(&["--help"]);
    let text = String::from_utf8_lossy(&help.stdout).into_owned();
    assert!(help.status.success() && text.contains("Keys:") && text.contains("--once"), "{text}");
}
