//! What a run waits for: the job's end, signals, and the terminal's input.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::terminal::Terminal;

/// What happened.
pub(crate) enum Event {
    /// The job has ended.
    Ended,
    /// The run has to end.
    Signal(i32),
    /// The run has to stop for a while: Ctrl-Z.
    Stop,
    /// Something was typed, and passed on.
    Input,
    /// The time is over.
    Nothing,
}

/// The signals as a descriptor. They stay blocked from now on; programs that are started get an empty mask.
pub(crate) struct Watch {
    signals: SignalFd,
    terminal: Option<Terminal>,
}

/// What ends a run. Where the parent had one ignored (nohup, a background job of a plain shell), it stays so.
const ENDS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

impl Watch {
    /// Blocks the signals, and puts the terminal's input within the job's reach.
    pub(crate) fn begin() -> io::Result<Watch> {
        let mut set = SigSet::empty();
        for signal in ENDS.into_iter().chain([Signal::SIGTSTP]) {
            if !llib_core::sys::signal::is_ignored(signal) {
                set.add(signal);
            }
        }
        set.thread_block()?;
        let signals = SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        Ok(Watch { signals, terminal: Terminal::take_over()? })
    }

    /// Waits for the next event, for about this time.
    pub(crate) fn next(&mut self, job: impl AsFd, limit: Duration) -> io::Result<Event> {
        let time = Timespec { tv_sec: limit.as_secs().cast_signed(), tv_nsec: limit.subsec_nanos().into() };
        let mut files = vec![
            PollFd::new(&self.signals, PollFlags::IN),
            PollFd::from_borrowed_fd(job.as_fd(), PollFlags::IN),
        ];
        if let Some((descriptor, flags)) = self.terminal.as_ref().and_then(Terminal::interest) {
            files.push(PollFd::from_borrowed_fd(descriptor, flags));
        }
        match poll(&mut files, Some(&time)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let happened: Vec<bool> = files.iter().map(|file| !file.revents().is_empty()).collect();
        let has = |index: usize| happened.get(index).is_some_and(|has| *has);
        if has(1) {
            return Ok(Event::Ended);
        }
        if let Some(event) = self.signal()? {
            return Ok(event);
        }
        if !has(2) {
            return Ok(Event::Nothing);
        }
        if self.terminal.as_mut().is_some_and(|terminal| !terminal.pass_on()) {
            // The end of the input; without the pipe's other end the job sees it too.
            self.terminal = None;
        }
        Ok(Event::Input)
    }

    fn signal(&self) -> io::Result<Option<Event>> {
        let number = self.signals.read_signal()?.map(|info| info.ssi_signo.cast_signed());
        Ok(number
            .map(|number| if number == Signal::SIGTSTP as i32 { Event::Stop } else { Event::Signal(number) }))
    }

    /// Stops this process as the signal would have; returns when it is continued. The system does not stop a
    /// process that nobody could continue.
    pub(crate) fn stop(&self) {
        let mut set = SigSet::empty();
        set.add(Signal::SIGTSTP);
        // Blocked, it waits for the line below.
        let _ = raise(Signal::SIGTSTP);
        let _ = set.thread_unblock();
        let _ = set.thread_block();
    }
}
