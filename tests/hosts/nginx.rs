//! nginx with its Lua module: a master that forks workers, starts new ones for a reload and for one that dies. Its Lua is
//! OpenResty's LuaJIT, whose package conflicts with that of LuaJIT, so all of it lies in a folder of the test's own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use support::process::{self, Process};
use support::wait::until_true;
use support::{Scratch, Session, binaries};

use crate::host::{self, PATIENCE, expect_nothing_left};
use crate::http::get;

/// The folder into which `.ci/hosts` unpacks the packages.
fn root() -> Option<PathBuf> {
    if !host::is_root() {
        return None;
    }
    let target = binaries::directory().parent().expect("a profile's folder lies in another");
    let root = std::env::var_os("LLIB_TEST_NGINX").map_or_else(|| target.join("hosts/nginx"), PathBuf::from);
    let there = root.join("usr/lib/nginx/modules/ngx_http_lua_module.so").exists();
    if !there {
        host::missing(&format!("there is no nginx in {}", root.display()));
    }
    there.then_some(root)
}

struct Nginx {
    session: Session,
    folder: Scratch,
}

impl Nginx {
    fn start(root: &Path, init: &str) -> Nginx {
        let folder = Scratch::new();
        let path = folder.path().display().to_string();
        let words = [("@ROOT@", &*root.display().to_string()), ("@SCRATCH@", &path), ("@INIT@", init)];
        let config = folder.write("nginx.conf", &host::configured("nginx/nginx.conf", &words));
        let script =
            host::program(&root.join("usr/sbin/nginx"), &["-p", &path, "-c", &config.display().to_string()]);
        let libraries = format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH);
        let session = script.env("LD_LIBRARY_PATH", root.join(libraries)).start();
        Nginx { session, folder }
    }

    fn get(&self, path: &str) -> String {
        get(&self.folder.path().join("socket"), path)
    }

    /// Each worker has answered a job at least once; their ids.
    fn expect_answers(&self) -> BTreeSet<i32> {
        let mut workers = BTreeSet::new();
        let mut number = 0;
        let both = until_true(PATIENCE, || {
            number += 1;
            let answer = self.get(&format!("/double?n={number}"));
            let (value, worker) = answer.rsplit_once(' ').unwrap_or_default();
            assert_eq!(value, (2 * number).to_string(), "{answer}");
            workers.insert(worker.parse().expect("it is a number"));
            workers.len() >= 2
        });
        assert!(both, "only {workers:?} answer");
        workers
    }

    fn master(&self) -> Process {
        self.session.host.clone()
    }

    fn end(self) {
        self.master().signal(Signal::SIGTERM);
        let outcome = self.session.end();
        let log = std::fs::read_to_string(self.folder.path().join("error.log")).unwrap_or_default();
        assert_eq!(outcome.code, Some(0), "{outcome:?}\n{log}");
        assert!(
            !log.contains("[alert]") && !log.contains("[emerg]") || log.contains("exited on signal 9"),
            "{log}"
        );
        expect_nothing_left(&self.session);
    }
}

#[test]
#[cfg_attr(not(feature = "luajit"), ignore = "Debian's nginx has LuaJIT")]
fn the_workers_of_nginx_run_jobs() {
    let Some(root) = root() else { return };
    let nginx = Nginx::start(&root, "");
    nginx.expect_answers();
    nginx.end();
}

#[test]
#[cfg_attr(not(feature = "luajit"), ignore = "Debian's nginx has LuaJIT")]
fn a_reload_of_nginx_ends_the_old_supervisors_and_new_workers_run_jobs() {
    let Some(root) = root() else { return };
    let nginx = Nginx::start(&root, "");
    let old = nginx.expect_answers();
    nginx.master().signal(Signal::SIGHUP);
    let gone = || old.iter().all(|pid| Process::find(*pid).is_none());
    assert!(until_true(PATIENCE, gone), "old workers stay");
    let new = nginx.expect_answers();
    assert!(old.is_disjoint(&new), "{old:?} {new:?}");
    let guards = || nginx.session.processes().iter().filter(|process| process.name == "llib-guard").count();
    assert!(until_true(PATIENCE, || guards() <= 2), "{} guards", guards());
    nginx.end();
}

#[test]
#[cfg_attr(not(feature = "luajit"), ignore = "Debian's nginx has LuaJIT")]
fn a_worker_of_nginx_that_is_killed_leaves_nothing_and_the_next_one_runs_jobs() {
    let Some(root) = root() else { return };
    let nginx = Nginx::start(&root, "");
    let old = nginx.expect_answers();
    let killed = Process::find(*old.first().expect("there are two")).expect("it runs");
    let guard = process::guard_of(killed.pid).expect("it runs");
    let mut below = process::descendants(guard.pid);
    assert!(!below.is_empty());
    below.push(guard);
    killed.kill();
    let gone = || below.iter().all(|process| !process.lives());
    assert!(until_true(PATIENCE, gone), "left: {below:#?}");
    let replaced =
        || process::children(nginx.master().pid).iter().filter(|it| it.name == "nginx").count() == 2;
    assert!(until_true(PATIENCE, replaced), "nobody takes its place");
    nginx.expect_answers();
    nginx.end();
}

#[test]
#[cfg_attr(not(feature = "luajit"), ignore = "Debian's nginx has LuaJIT")]
fn jobs_before_nginx_forks_its_workers_do_not_keep_them_from_jobs() {
    let Some(root) = root() else { return };
    let init = "initial = require('llib').thread.async(function() return 'early' end):await(20000)";
    let nginx = Nginx::start(&root, init);
    nginx.expect_answers();
    assert_eq!(nginx.get("/initial"), "early");
    nginx.end();
}
