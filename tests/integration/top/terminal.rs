//! At a terminal: what stands on the screen, what keys do, and that the terminal is left as it was.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZero;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{Termios, tcgetattr};
use nix::unistd::Pid;
use rustix::termios::tcsetwinsize;
use support::binaries::llib;
use support::{Script, Session, process};

use super::jobs;

/// `llib top` with a terminal of its own, whose screen is kept as a terminal would show it.
struct Top {
    child: Child,
    /// Ours of the two ends.
    terminal: File,
    /// The other one, so that its modes can be read afterwards.
    end: File,
    before: Termios,
    screen: Arc<Mutex<vt100::Parser>>,
}

fn some(number: u16) -> NonZero<u16> {
    NonZero::new(number).expect("a screen has a size")
}

impl Top {
    fn start(session: &Session, rows: u16, columns: u16) -> Top {
        Top::start_with(session, rows, columns, "")
    }

    fn start_with(session: &Session, rows: u16, columns: u16, no_color: &str) -> Top {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None).unwrap();
        let (terminal, end) = (File::from(pty.master), File::from(pty.slave));
        let before = tcgetattr(&end).unwrap();
        // Other tests start programs meanwhile, which would keep the terminal open.
        for file in [&terminal, &end] {
            rustix::io::fcntl_setfd(file, rustix::io::FdFlags::CLOEXEC).unwrap();
        }
        let stdio = || Stdio::from(end.try_clone().unwrap());
        let mut command = Command::new("env");
        // Shells start programs in the background with SIGINT ignored.
        command.args(["--default-signal", "setsid", "--ctty", "--wait"]).arg(llib()).args([
            "top",
            "-d",
            "100ms",
            &session.host.pid.to_string(),
        ]);
        command.env("TERM", "xterm-256color").env("NO_COLOR", no_color);
        let child = command.stdin(stdio()).stdout(stdio()).stderr(stdio()).spawn().unwrap();
        let screen = Arc::new(Mutex::new(vt100::Parser::new(some(rows), some(columns), 0)));
        let (mut reader, kept) = (terminal.try_clone().unwrap(), Arc::clone(&screen));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                kept.lock().unwrap().process(&bytes[..count]);
            }
        });
        Top { child, terminal, end, before, screen }
    }

    fn text(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    /// Waits until the screen is as `wanted` wants it.
    fn see(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let text = self.text();
            if wanted(&text) {
                return text;
            }
            assert!(start.elapsed() < Duration::from_secs(20), "{what} is not on the screen:\n{text}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn expect(&self, text: &str) -> String {
        self.see(text, |screen| screen.contains(text))
    }

    fn press(&mut self, keys: &str) {
        self.terminal.write_all(keys.as_bytes()).unwrap();
    }

    fn resize(&self, rows: u16, columns: u16) {
        self.screen.lock().unwrap().screen_mut().set_size(some(rows), some(columns));
        let size = rustix::termios::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.terminal, size).unwrap();
    }

    /// Moves to the line with this text.
    fn choose(&mut self, text: &str) {
        let place = self.expect(text).lines().position(|line| line.contains(text)).unwrap();
        self.press("g");
        // The first two lines are not of the table.
        for _ in 2..place {
            self.press("\x1b[B");
        }
    }

    /// The process of `llib top` itself, below the one that gave it the terminal.
    fn pid(&self) -> i32 {
        let children = process::children(self.child.id() as i32);
        children.first().map_or(self.child.id() as i32, |child| child.pid)
    }

    /// Waits for its end, and looks whether the terminal is as it was.
    fn end(mut self) -> ExitStatus {
        let status = self.child.wait().unwrap();
        self.see_restored();
        assert_eq!(tcgetattr(&self.end).unwrap(), self.before, "the terminal's modes are as they were");
        status
    }

    fn see_restored(&self) {
        let start = Instant::now();
        while {
            let parser = self.screen.lock().unwrap();
            parser.screen().alternate_screen() || parser.screen().hide_cursor()
        } {
            assert!(start.elapsed() < Duration::from_secs(5), "the screen was not put back");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Top {
    fn drop(&mut self) {
        // Only where a test has failed it still runs.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_screen_shows_jobs_and_locks_and_obeys_keys() {
    let (session, owner) = jobs("hear()");
    let mut top = Top::start(&session, 40, 130);
    // The last line of a frame is drawn last.
    let whole =
        |text: &str| text.contains("waits for lock 7") && text.contains("paused") && text.contains("q quit");
    let screen = top.see("the whole table", whole);
    let line = |name: &str| screen.lines().find(|line| line.contains(name)).unwrap_or_default().to_owned();
    assert!(line("the owner of locks").contains("running"), "{screen}");
    assert!(line("the owner of locks").contains("holds lock 7, mutex "), "{screen}");
    assert!(line("wants lock 7").contains(&format!("waits for lock 7 ({owner} has it)")), "{screen}");
    assert!(line("stopped").contains("paused"), "{screen}");
    assert!(screen.contains("llib top: 1 sessions") && screen.contains("PID STATUS"), "{screen}");
    assert!(!screen.contains(" spare   "), "{screen}");
    top.press("h");
    top.expect(" spare   ");
    top.press("?");
    top.expect("any key closes this");
    top.press("x");
    top.see("the table", |text| !text.contains("any key closes this"));
    top.press("ssss");
    let screen = top.expect("NAME (sorted)");
    let place = |text: &str| screen.find(text).unwrap_or_else(|| panic!("{text}: {screen}"));
    assert!(place("in a box") < place("stopped") && place("stopped") < place("the owner"), "{screen}");
    top.press("r");
    top.see("the reverse", |text| text.find("the owner of") < text.find("in a box"));
    top.press("g\r");
    let folded = top.see("the folded session", |text| !text.contains("the owner of locks"));
    assert!(folded.contains("+ llib"), "{folded}");
    top.press(" ");
    top.expect("the owner of locks");
    // Only workers can be killed.
    top.press("gk");
    top.expect("only workers can be killed here");
    top.press("q");
    assert_eq!(top.end().code(), Some(0));
    session.say("");
    assert_eq!(session.end().code, Some(0));
}

#[test]
fn colours_are_left_out_where_they_are_not_wanted() {
    let (session, _) = jobs("hear()");
    let coloured = |no_color: &str| {
        let mut top = Top::start_with(&session, 30, 120, no_color);
        top.see("the whole table", |text| text.contains("waits for lock 7") && text.contains("q quit"));
        let colours = {
            let parser = top.screen.lock().unwrap();
            let cells = (0..30).flat_map(|row| (0..120).map(move |column| (row, column)));
            let cells = cells.filter_map(|(row, column)| parser.screen().cell(row, column));
            cells.filter(|cell| cell.fgcolor() != vt100::Color::Default).count()
        };
        top.press("q");
        assert_eq!(top.end().code(), Some(0));
        colours
    };
    assert!(coloured("") > 0);
    assert_eq!(coloured("1"), 0);
    session.say("");
    session.end();
}

#[test]
fn a_screen_of_any_size_shows_what_it_has_room_for() {
    let (session, owner) = jobs("hear()");
    let mut top = Top::start(&session, 30, 120);
    top.expect("the owner of locks");
    top.resize(30, 36);
    let narrow = top.see("few columns", |text| text.contains("STATUS") && !text.contains("CPU%"));
    assert!(narrow.contains(&owner.to_string()) && !narrow.contains("MEM"), "{narrow}");
    for (rows, columns) in [(1, 1), (2, 10), (3, 200), (200, 3)] {
        top.resize(rows, columns);
        top.press("?x");
        std::thread::sleep(Duration::from_millis(150));
    }
    top.resize(25, 100);
    top.see("the table", |text| {
        text.contains("CPU%") && text.contains("AGE") && text.contains("the owner of locks")
    });
    top.press("\x03");
    assert_eq!(top.end().code(), Some(0));
    session.say("");
    session.end();
}

#[test]
fn a_job_is_killed_after_a_question_and_not_without() {
    let (session, owner) = jobs("local _, err = owner:await() say(err.kind, err.signal) hear()");
    let mut top = Top::start(&session, 40, 130);
    // The host waits for it too, and says so.
    top.choose("the owner of locks  holds");
    top.press("k");
    top.expect(&format!("Kill process {owner} with SIGKILL?"));
    top.press("n");
    top.see("no question", |text| !text.contains("with SIGKILL?") && text.contains("the owner of locks"));
    top.press("k");
    top.expect("y kills, n does not");
    top.press("y");
    top.expect(&format!("killed process {owner}"));
    session.expect("signal\tKILL");
    // The ones that waited have their locks.
    top.see("the job's end", |text| !text.contains("waits for lock 7"));
    top.press("q");
    assert_eq!(top.end().code(), Some(0));
    session.say("");
    session.end();
    session.expect_nothing_left();
}

#[test]
fn a_session_may_end_while_it_is_shown() {
    let (session, _) = jobs("hear()");
    let mut top = Top::start(&session, 30, 120);
    top.expect("the owner of locks");
    session.say("");
    assert_eq!(session.end().code, Some(0));
    top.expect("no session runs");
    top.press("j k\r?");
    top.press("xq");
    assert_eq!(top.end().code(), Some(0));
    session.expect_nothing_left();
}

#[test]
fn a_signal_that_ends_it_leaves_the_terminal_as_it_was() {
    let session = Script::new("thread.async(function() end):await() say('ready') hear()").start();
    session.expect("ready");
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let top = Top::start(&session, 30, 120);
        top.expect("llib top: 1 sessions");
        kill(Pid::from_raw(top.pid()), signal).unwrap();
        let status = top.end();
        // As setsid(1) tells it.
        let told = status.signal() == Some(signal as i32) || status.code() == Some(128 + signal as i32);
        assert!(told, "{signal}: {status:?}");
    }
    session.say("");
    session.end();
}
