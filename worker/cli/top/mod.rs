//! `llib top`: running sessions, on the screen or as one snapshot.
//!
//! | file | owns |
//! |---|---|
//! | `options` | the command line |
//! | `collect` | what sessions publish, held against the process table; `proc` reads that |
//! | `model` | a snapshot, as JSON has it |
//! | `rows`, `words` | its lines and their texts |
//! | `terminal` | the screen's modes, and that they end with the program |
//! | `state` | what is chosen, folded, asked; what keys do |
//! | `view` | drawing that |
//!
//! The page for users is `docs/observing.md`. Nothing here is `unsafe`, and nothing is written to any session.

mod collect;
mod model;
pub(crate) mod options;
mod proc;
mod rows;
mod state;
mod terminal;
mod view;
mod words;

use std::ffi::{CStr, CString, c_int};
use std::io::{self, IsTerminal};
use std::time::Instant;

use collect::Collector;
use options::Options;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use state::{Step, Top};

/// `llib top`, with the words from `top` on. Returns the exit status.
pub(crate) fn top(program: &CStr, words: &[CString]) -> c_int {
    let options = match options::parse(words) {
        Ok(options) => options,
        Err(answer) => return crate::run::tell(program, &answer),
    };
    if options.once {
        let snapshot = Collector::default().snapshot(&options.hosts);
        let text = if options.json {
            serde_json::to_string(&snapshot).unwrap_or_default() + "\n"
        } else {
            rows::text(&snapshot)
        };
        crate::print(text.as_bytes());
        return 0;
    }
    if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
        let reason = b"llib top needs a terminal; llib top --once prints one snapshot\n";
        crate::run::complain(program, reason);
        return 1;
    }
    match live(&options) {
        Ok(()) => 0,
        Err(error) => {
            crate::run::complain(program, format!("the terminal failed: {error}\n").as_bytes());
            1
        }
    }
}

fn live(options: &Options) -> io::Result<()> {
    let mut screen = terminal::Screen::open()?;
    let mut collector = Collector::default();
    let mut top = Top::new(collector.snapshot(&options.hosts), options.delay);
    let mut next = Instant::now() + options.delay;
    loop {
        screen.draw(|frame| view::draw(frame, &mut top))?;
        let step = if event::poll(next.saturating_duration_since(Instant::now()))? {
            match event::read()? {
                Event::Key(key) if key.kind != KeyEventKind::Release => top.press(key),
                // A new size is seen when the screen is drawn.
                _ => Step::Stay,
            }
        } else {
            Step::Look
        };
        match step {
            Step::Stay => {}
            Step::Look | Step::Anew => {
                if step == Step::Anew {
                    screen.clear()?;
                }
                top.show(collector.snapshot(&options.hosts));
                next = Instant::now() + options.delay;
            }
            Step::Suspend => screen.suspend()?,
            Step::End => return Ok(()),
        }
    }
}
