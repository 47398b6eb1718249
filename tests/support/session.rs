//! A host that runs a script, and its end.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use crate::Scratch;
use crate::process::{self, Process};
use crate::shm::Shm;
use crate::wait::{until, until_true};

/// How long anything that has to happen may take on a machine with other work.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// A script that runs. Dropping it kills whatever carries its mark; a test that fails shows what it was.
pub struct Session {
    child: RefCell<Child>,
    /// The host as a process.
    pub host: Process,
    /// Its directory, `$SCRATCH` to the script.
    pub scratch: Scratch,
    mark: String,
    command: String,
    script: String,
    limit: Duration,
    start: Instant,
    read: Cell<usize>,
    shm: Shm,
    sessions: RefCell<BTreeSet<String>>,
    status: Cell<Option<ExitStatus>>,
}

/// What came out of a script.
#[derive(Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Its exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// What it wrote.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
    /// How long it ran.
    pub time: Duration,
    report: String,
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.report)
    }
}

impl Outcome {
    /// The output of a script that ended well and without complaint.
    pub fn output(&self) -> &str {
        assert!(self.code == Some(0) && self.stderr.is_empty(), "{self:?}");
        &self.stdout
    }
}

impl Session {
    pub(crate) fn new(
        child: Child,
        scratch: Scratch,
        mark: String,
        command: String,
        script: String,
        limit: Duration,
        shm: Shm,
    ) -> Session {
        // Its group is set by the time it has been started.
        let host = Process::find(child.id().cast_signed()).expect("a child that is not waited for stays");
        Session {
            child: RefCell::new(child),
            host,
            scratch,
            mark,
            command,
            script,
            limit,
            start: Instant::now(),
            read: Cell::new(0),
            shm,
            sessions: RefCell::default(),
            status: Cell::new(None),
        }
    }

    /// The next line of its output, which has to come in its time.
    pub fn line(&self) -> String {
        let next = || {
            let output = self.stream("stdout");
            let rest = &output[self.read.get()..];
            let line = rest.split_once('\n')?.0.to_owned();
            self.read.set(self.read.get() + line.len() + 1);
            Some(line)
        };
        let mut next = next;
        loop {
            // Whether it has ended is asked first: its last line may come in between.
            let ended = self.ended();
            if let Some(line) = until(Duration::from_millis(20), &mut next) {
                return line;
            }
            assert!(!ended, "the script ended, but another line was expected");
            assert!(self.start.elapsed() < self.limit, "no line within {:?}", self.limit);
        }
    }

    /// Waits for a line, which has to be the next one.
    pub fn expect(&self, line: &str) {
        assert_eq!(self.line(), line);
    }

    /// The next line as a number.
    pub fn number(&self) -> i32 {
        let line = self.line();
        line.parse().unwrap_or_else(|_| panic!("a number was expected, not '{line}'"))
    }

    /// Gives the script a line to `hear`.
    pub fn say(&self, line: &str) {
        let mut child = self.child.borrow_mut();
        let stdin = child.stdin.as_mut().expect("it is open until the end");
        writeln!(stdin, "{line}").expect("the script listens");
    }

    /// Whether the host has ended.
    pub fn ended(&self) -> bool {
        if self.status.get().is_none() {
            self.status.set(self.child.borrow_mut().try_wait().expect("it is our child"));
        }
        self.status.get().is_some()
    }

    /// Waits for its end, with nothing more to hear. Past its limit it is killed, and the test fails.
    pub fn finish(self) -> Outcome {
        self.end()
    }

    /// [`Session::finish`], when there is more to look at afterwards.
    pub fn end(&self) -> Outcome {
        drop(self.child.borrow_mut().stdin.take());
        let left = self.limit.saturating_sub(self.start.elapsed());
        assert!(until_true(left, || self.ended()), "still running after {:?}", self.limit);
        let status = self.status.get().expect("it has ended");
        Outcome {
            code: status.code(),
            signal: status.signal(),
            stdout: self.stream("stdout"),
            stderr: self.stream("stderr"),
            time: self.start.elapsed(),
            report: self.report(),
        }
    }

    fn stream(&self, name: &str) -> String {
        let bytes = fs::read(self.scratch.path().join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Everything with its mark that runs.
    pub fn processes(&self) -> Vec<Process> {
        process::marked(&self.mark)
    }

    /// The guard that the host has now.
    pub fn guard(&self) -> Process {
        let find = || process::guard_of(self.host.pid);
        until(PATIENCE, find).unwrap_or_else(|| panic!("the host has no guard: {:#?}", self.processes()))
    }

    /// The zygote that the host has now.
    pub fn zygote(&self) -> Process {
        let guard = self.guard().pid;
        let find = || process::children(guard).into_iter().find(|child| child.name == "llib-zygote");
        until(PATIENCE, find).unwrap_or_else(|| panic!("there is no zygote: {:#?}", self.processes()))
    }

    /// Everything with its mark except host, guard, zygote, templates and spares: what jobs are, or left.
    pub fn busy_processes(&self) -> Vec<Process> {
        let (guard, zygote) = (self.guard(), self.zygote());
        let mut processes = self.processes();
        processes.retain(|process| {
            let known = [self.host.pid, guard.pid, zygote.pid].contains(&process.pid);
            // A spare has the name of what forked it until it has its own.
            let names = ["llib-worker", "llib-zygote", "llib-template"];
            let idle = process.parent == zygote.pid && names.contains(&&*process.name);
            !known && !idle
        });
        processes
    }

    /// Waits until no job and nothing that one started is left.
    pub fn expect_no_busy_processes(&self) {
        let calm = until_true(PATIENCE, || self.busy_processes().is_empty());
        assert!(calm, "left: {:#?}", self.busy_processes());
    }

    /// Looks which of llib's sessions its processes have mapped. Where /dev/shm is everybody's, only the files
    /// of sessions that were seen here are told from others'.
    pub fn learn_sessions(&self) {
        for process in self.processes() {
            self.sessions.borrow_mut().extend(process::mapped_sessions(process.pid));
        }
    }

    /// Its shared memory.
    pub fn shm(&self) -> &Shm {
        &self.shm
    }

    /// llib's files in its shared memory; not the one that the host has as long as it lives.
    pub fn shm_files(&self) -> Vec<String> {
        self.learn_sessions();
        let mut files = self.shm.files(&self.sessions.borrow());
        if self.host.lives() {
            files.retain(|file| !crate::shm::is_tree(file));
        }
        files
    }

    /// Bytes that llib's files take up in its shared memory.
    pub fn shm_bytes(&self) -> u64 {
        self.learn_sessions();
        self.shm.bytes(&self.sessions.borrow())
    }

    /// The numbers and targets of the host's open descriptors.
    pub fn descriptors(&self) -> Vec<(i32, std::path::PathBuf)> {
        process::descriptors(self.host.pid)
    }

    /// Waits until no process carries its mark any more and its shared memory is empty.
    pub fn expect_nothing_left(&self) {
        // Twice, for a process has no environment at the instant of its exec.
        let none = until_true(PATIENCE, || self.processes().is_empty() && self.processes().is_empty());
        assert!(none, "left: {:#?}", self.processes());
        let empty = until_true(PATIENCE, || self.shm_files().is_empty());
        assert!(empty, "left in shared memory: {:?}", self.shm_files());
    }

    /// Everything there is to know when a test fails.
    fn report(&self) -> String {
        let status = self.status.get().map_or("running".to_owned(), |status| status.to_string());
        format!(
            "command: {}\nscript:\n{}\nstatus: {status} after {:?}\n--- stdout\n{}\n--- stderr\n{}\n---",
            self.command,
            self.script,
            self.start.elapsed(),
            self.stream("stdout"),
            self.stream("stderr")
        )
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}\nits processes: {:#?}", self.report(), self.processes());
        }
        {
            let mut child = self.child.borrow_mut();
            // Fails if it has ended.
            let _ = child.kill();
            let _ = child.wait();
        }
        // Again and again: what is being started has no mark yet.
        until_true(PATIENCE, || {
            let left = self.processes();
            left.iter().for_each(|process| process.signal(nix::sys::signal::Signal::SIGKILL));
            left.is_empty()
        });
        // Of a session all of whose supervisors were killed the files are left, and only those are known here.
        if matches!(self.shm, Shm::Shared) {
            for name in self.shm.files(&self.sessions.borrow()) {
                let _ = fs::remove_file(self.shm.file(&name));
            }
        }
    }
}
