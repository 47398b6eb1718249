//! The terminal as standard input of a job.
//!
//! A job is no part of the terminal's foreground, since it is in a process group of its own, and so it may not
//! read from there. Its standard input is a pipe then, into which `llib run` copies what is typed, as long as
//! it is in the foreground itself. Files and pipes need none of this: they are the job's as they are.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::getpgrp;
use rustix::stdio::{dup2_stdin, stdin};
use rustix::termios::{isatty, tcgetpgrp};

/// A terminal and the pipe to the job.
pub(crate) struct Terminal {
    terminal: OwnedFd,
    pipe: OwnedFd,
    /// Typed, and not in the pipe yet.
    waiting: Vec<u8>,
}

impl Terminal {
    /// Puts a pipe in place of standard input, if that is a terminal whose foreground this process is in.
    pub(crate) fn take_over() -> io::Result<Option<Terminal>> {
        if !isatty(stdin()) || !in_foreground(stdin()) {
            return Ok(None);
        }
        let terminal = rustix::io::fcntl_dupfd_cloexec(stdin(), 3)?;
        let (end, pipe) = pipe_with(PipeFlags::CLOEXEC)?;
        // The job's end blocks, as it would expect.
        rustix::fs::fcntl_setfl(&pipe, rustix::fs::OFlags::NONBLOCK)?;
        dup2_stdin(&end)?;
        Ok(Some(Terminal { terminal, pipe, waiting: Vec::new() }))
    }

    /// What to wait for; nothing in the background, where reading would stop this process.
    pub(crate) fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        if !self.waiting.is_empty() {
            return Some((self.pipe.as_fd(), PollFlags::OUT));
        }
        in_foreground(self.terminal.as_fd()).then_some((self.terminal.as_fd(), PollFlags::IN))
    }

    /// Moves what there is. False at the end of the input.
    pub(crate) fn pass_on(&mut self) -> bool {
        if self.waiting.is_empty() {
            let mut typed = [0; 4096];
            match rustix::io::read(&self.terminal, &mut typed) {
                Ok(0) => return false,
                Ok(count) => self.waiting.extend_from_slice(&typed[..count]),
                Err(Errno::INTR | Errno::AGAIN) => return true,
                Err(_) => return false,
            }
        }
        // This process has the other end too, so there is always a reader, and no SIGPIPE.
        match rustix::io::write(&self.pipe, &self.waiting) {
            Ok(count) => drop(self.waiting.drain(..count)),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => return false,
        }
        true
    }
}

fn in_foreground(terminal: BorrowedFd<'_>) -> bool {
    tcgetpgrp(terminal).is_ok_and(|group| group == getpgrp())
}
