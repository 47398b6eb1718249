//! The screen's modes: set when it is opened, and put back however the program ends.

use std::io::{self, Stdout, stdout};
use std::sync::Once;

use nix::sys::signal::{SigSet, Signal, raise};
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::crossterm::{ExecutableCommand, execute};
use ratatui::{Frame, Terminal};

/// The terminal while it belongs to this program.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

fn set() -> io::Result<()> {
    enable_raw_mode()?;
    execute!(stdout(), EnterAlternateScreen, Hide)
}

/// As it was. Doing this twice does no harm.
fn reset() {
    // A terminal that is gone needs nothing.
    let _ = stdout().execute(Show);
    let _ = stdout().execute(LeaveAlternateScreen);
    let _ = disable_raw_mode();
}

impl Screen {
    pub(super) fn open() -> io::Result<Screen> {
        static PREPARED: Once = Once::new();
        PREPARED.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |about| {
                reset();
                before(about);
            }));
            watch_signals();
        });
        let terminal = Terminal::new(CrosstermBackend::new(stdout()))?;
        let screen = Screen { terminal };
        set()?;
        Ok(screen)
    }

    pub(super) fn draw(&mut self, view: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(view).map(drop)
    }

    /// Has the next drawing draw everything.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.terminal.clear()
    }

    /// Gives the terminal back while the program is stopped, as Ctrl-Z does elsewhere.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        reset();
        raise(Signal::SIGTSTP)?;
        set()?;
        self.terminal.clear()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        reset();
    }
}

/// The signals that are ignored, a bit each from SIGHUP on: SigIgn of proc(5).
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// Has a thread wait for the signals that end a program, which then ends by them, with the terminal as it was.
fn watch_signals() {
    let ends = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT];
    let ignored = ignored();
    // What the parent had ignored, as nohup(1) does, stays so.
    let signals: SigSet =
        ends.into_iter().filter(|signal| ignored >> (*signal as u32 - 1) & 1 == 0).collect();
    // Threads that start from here on have them blocked too, so that they come to the one that waits.
    if signals.thread_block().is_err() {
        return;
    }
    std::thread::spawn(move || {
        if let Ok(signal) = signals.wait() {
            reset();
            let _ = signals.thread_unblock();
            // The default action, which ends the process.
            let _ = raise(signal);
        }
    });
}
