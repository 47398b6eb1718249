//! lighttpd with mod_magnet, which runs each script with globals of its own, in one state for all requests.

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;
use support::Scratch;

use crate::host::{self, expect_nothing_left};
use crate::http::get;

fn serve(more: &str) {
    if host::find(Path::new("/usr/lib/lighttpd/mod_magnet.so")).is_none() || !host::is_root() {
        return;
    }
    let folder = Scratch::new();
    let path = folder.path().display().to_string();
    let words = [("@SCRATCH@", path.as_str()), ("@MORE@", more)];
    folder.write("double.lua", &host::configured("lighttpd/double.lua", &words));
    let config = folder.write("lighttpd.conf", &host::configured("lighttpd/lighttpd.conf", &words));
    let config = config.display().to_string();
    let session = host::program(Path::new("/usr/sbin/lighttpd"), &["-D", "-f", &config]);
    // A master passes the signal on to its whole group.
    let session = session.in_own_group().start();
    for number in 1..=10 {
        let answer = get(&folder.path().join("socket"), &format!("/?n={number}"));
        assert_eq!(answer, (2 * number).to_string());
    }
    session.host.signal(Signal::SIGTERM);
    let outcome = session.end();
    // 1 is its own: it was told while a connection was about to end.
    let log = fs::read_to_string(folder.path().join("error.log")).unwrap_or_default();
    assert!(matches!(outcome.code, Some(0 | 1)), "{outcome:?}\n{log}");
    expect_nothing_left(&session);
}

#[test]
#[cfg_attr(not(feature = "lua54"), ignore = "Debian's lighttpd has Lua 5.4")]
fn scripts_of_lighttpd_run_jobs() {
    serve("");
}

#[test]
#[cfg_attr(not(feature = "lua54"), ignore = "Debian's lighttpd has Lua 5.4")]
fn workers_of_lighttpd_run_jobs() {
    serve("server.max-worker = 2");
}
