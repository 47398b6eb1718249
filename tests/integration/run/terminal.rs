//! `llib run` at a terminal: typing, and Ctrl-C.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::Command;
use std::process::Stdio;

use nix::pty::openpty;
use support::Scratch;
use support::binaries::llib;

/// Runs `llib run script.lua` with a terminal of its own, in whose foreground it is; each `(wait, send)` is text to
/// wait for on the screen, and what is typed then.
fn at_terminal(text: &str, talk: &[(&str, &str)]) -> (Option<i32>, String) {
    let scratch = Scratch::with_script(text);
    let pty = openpty(None, None).unwrap();
    let end = |end: &OwnedFd| Stdio::from(end.try_clone().unwrap());
    let mut command = Command::new("setsid");
    command.args(["--ctty", "--wait"]).arg(llib()).args(["run", "script.lua"]).current_dir(scratch.path());
    command.stdin(end(&pty.slave)).stdout(end(&pty.slave)).stderr(end(&pty.slave));
    let mut child = command.spawn().unwrap();
    drop((command, pty.slave));
    let mut terminal = File::from(pty.master);
    let (mut screen, mut bytes) = (String::new(), [0; 1000]);
    let mut talk = talk.iter();
    let mut next = talk.next();
    // Ends with an error when nobody has the terminal open any more.
    while let Ok(count @ 1..) = terminal.read(&mut bytes) {
        screen.push_str(&String::from_utf8_lossy(&bytes[..count]));
        if let Some((wait, send)) = next
            && screen.contains(wait)
        {
            terminal.write_all(send.as_bytes()).unwrap();
            next = talk.next();
        }
    }
    (child.wait().unwrap().code(), screen)
}

#[test]
fn a_script_can_be_talked_to_at_a_terminal() {
    let text =
        "io.write('name? ') io.flush() local name = io.read() print('hi ' .. name) print(#io.read('*a'))";
    let (code, screen) = at_terminal(text, &[("name?", "bob\n"), ("hi bob", "more\n\x04")]);
    assert!(code == Some(0) && screen.ends_with("\r\n5\r\n"), "{code:?}: {screen:?}");
}

#[test]
fn ctrl_c_at_a_terminal_ends_the_run() {
    let (code, screen) = at_terminal("print('ready') io.flush() while true do end", &[("ready", "\x03")]);
    assert_eq!(code, Some(130), "{screen:?}");
    assert!(screen.contains("llib run was told to end by SIGINT"), "{screen:?}");
}
