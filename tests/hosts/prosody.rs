//! Prosody as a daemon: it loads its plugins, forks twice, and serves from there.

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;
use support::process::Process;
use support::wait::until_true;
use support::{Scratch, binaries, until, version};

use crate::host::{self, PATIENCE, expect_nothing_left};

/// Runs it as a daemon; what it reports from there.
fn serve(init: &str) -> Option<String> {
    let program = Path::new("/usr/bin/prosody");
    let mine = fs::read_to_string(program)
        .is_ok_and(|text| text.lines().next().is_some_and(|line| line.ends_with(&version::stock())));
    if !mine {
        host::missing("there is no Prosody with this Lua");
    }
    let lua = binaries::stock_lua().filter(|_| mine && host::is_root())?;
    let folder = Scratch::new();
    let path = folder.path().display().to_string();
    let words = [("@SCRATCH@", path.as_str()), ("@INIT@", init)];
    fs::create_dir(folder.path().join("data")).expect("the folder is ours");
    folder.write("mod_llib_test.lua", &host::configured("prosody/mod_llib_test.lua", &words));
    let config = folder.write("prosody.cfg.lua", &host::configured("prosody/prosody.cfg.lua", &words));
    let config = config.display().to_string();
    let session = host::program(&lua, &["/usr/bin/prosody", "-D", "--config", &config]).start();
    let outcome = session.end();
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let log = || fs::read_to_string(folder.path().join("prosody.log")).unwrap_or_default();
    let read = |name: &str| {
        let text = until(PATIENCE, || fs::read_to_string(folder.path().join(name)).ok());
        text.unwrap_or_else(|| panic!("no {name}: {}", log()))
    };
    let report = read("timer");
    let daemon = until(PATIENCE, || {
        Process::find(fs::read_to_string(folder.path().join("prosody.pid")).ok()?.trim().parse().ok()?)
    });
    let daemon = daemon.unwrap_or_else(|| panic!("there is no daemon: {}", log()));
    daemon.signal(Signal::SIGTERM);
    assert!(until_true(PATIENCE, || !daemon.lives()), "it does not end: {}", log());
    expect_nothing_left(&session);
    Some(report)
}

#[test]
#[cfg_attr(not(feature = "lua54"), ignore = "Debian's Prosody has Lua 5.4")]
fn prosody_runs_jobs_as_a_daemon() {
    if let Some(report) = serve("") {
        assert_eq!(report, "100");
    }
}

#[test]
#[cfg_attr(not(feature = "lua54"), ignore = "Debian's Prosody has Lua 5.4")]
fn jobs_before_prosody_becomes_a_daemon_do_not_keep_it_from_jobs() {
    if let Some(report) = serve("report('early', run(1))") {
        assert_eq!(report, "100");
    }
}
