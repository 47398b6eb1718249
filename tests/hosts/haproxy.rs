//! HAProxy: `-W`, a master that forks the process with the Lua in it; with `user` and `chroot`, once that has read its
//! configuration.

use nix::sys::signal::Signal;
use std::path::{Path, PathBuf};
use support::{Scratch, Session};

use crate::host::{self, expect_nothing_left};
use crate::http::get;

fn haproxy() -> Option<PathBuf> {
    host::find(Path::new("/usr/sbin/haproxy")).filter(|_| host::is_root())
}

struct Haproxy {
    session: Session,
    folder: Scratch,
}

impl Haproxy {
    fn start(program: &Path, flags: &[&str], init: &str, privileges: &str) -> Haproxy {
        let folder = Scratch::new();
        let path = folder.path().display().to_string();
        let words = [("@SCRATCH@", path.as_str()), ("@PRIVILEGES@", privileges), ("@INIT@", init)];
        folder.write("jobs.lua", &host::configured("haproxy/jobs.lua", &words));
        let config = folder.write("haproxy.cfg", &host::configured("haproxy/haproxy.cfg", &words));
        let config = config.display().to_string();
        let session = host::program(program, &[flags, &["-f", &config]].concat()).start();
        Haproxy { session, folder }
    }

    fn get(&self, path: &str) -> String {
        get(&self.folder.path().join("socket"), path)
    }

    fn expect_answers(&self) {
        for number in 1..=10 {
            assert_eq!(self.get(&format!("/double?n={number}")), (2 * number).to_string());
        }
    }

    fn end(self) {
        self.session.host.signal(Signal::SIGTERM);
        let outcome = self.session.end();
        // It ends by the very signal, and its master with a code for that.
        let told = outcome.signal == Some(Signal::SIGTERM as i32) || matches!(outcome.code, Some(0 | 143));
        assert!(told, "{outcome:?}");
        expect_nothing_left(&self.session);
    }
}

#[test]
#[cfg_attr(not(feature = "lua53"), ignore = "Debian's HAProxy has Lua 5.3")]
fn haproxy_runs_jobs() {
    let Some(program) = haproxy() else { return };
    let haproxy = Haproxy::start(&program, &["-db"], "", "");
    haproxy.expect_answers();
    assert_eq!(haproxy.get("/who"), "0 true");
    haproxy.end();
}

#[test]
#[cfg_attr(not(feature = "lua53"), ignore = "Debian's HAProxy has Lua 5.3")]
fn the_worker_of_a_haproxy_with_a_master_runs_jobs() {
    let Some(program) = haproxy() else { return };
    let haproxy = Haproxy::start(&program, &["-W"], "", "");
    haproxy.expect_answers();
    haproxy.end();
}

const EARLY: &str = "assert(thread.async(function() return 1 end):await(20000) == 1)";

#[test]
#[cfg_attr(not(feature = "lua53"), ignore = "Debian's HAProxy has Lua 5.3")]
fn jobs_while_haproxy_reads_its_configuration_do_not_keep_its_worker_from_jobs() {
    let Some(program) = haproxy() else { return };
    let haproxy = Haproxy::start(&program, &["-W"], EARLY, "");
    haproxy.expect_answers();
    haproxy.end();
}

#[test]
#[cfg_attr(not(feature = "lua53"), ignore = "Debian's HAProxy has Lua 5.3")]
fn jobs_of_a_haproxy_that_became_another_user_run_as_that_user() {
    let Some(program) = haproxy() else { return };
    for (flags, init) in [("-db", ""), ("-W", ""), ("-db", EARLY), ("-W", EARLY)] {
        // Without the second line it lets nothing fork any more.
        let privileges = "user nobody\n    insecure-fork-wanted";
        let haproxy = Haproxy::start(&program, &[flags], init, privileges);
        haproxy.expect_answers();
        assert_eq!(haproxy.get("/who"), "65534 true", "{flags} {init}");
        haproxy.end();
    }
}

#[test]
#[cfg_attr(not(feature = "lua53"), ignore = "Debian's HAProxy has Lua 5.3")]
fn jobs_of_a_haproxy_in_a_chroot_run_there() {
    let Some(program) = haproxy() else { return };
    for flags in ["-db", "-W"] {
        let folder = Scratch::new();
        let privileges =
            format!("user nobody\n    insecure-fork-wanted\n    chroot {}", folder.path().display());
        let haproxy = Haproxy::start(&program, &[flags], EARLY, &privileges);
        haproxy.expect_answers();
        // It has no /proc there, nor any other file.
        assert_eq!(haproxy.get("/who"), "nil false", "{flags}");
        haproxy.end();
    }
}
