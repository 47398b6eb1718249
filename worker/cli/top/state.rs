//! What is shown and asked, and what keys do.

use std::time::Duration;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::widgets::TableState;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::model::{Role, Snapshot};
use super::proc;
use super::rows::{Arrangement, Row, rows};

/// What comes after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Draw again.
    Stay,
    /// Look at the sessions again.
    Look,
    /// Look again, and draw all of it: something else wrote on the screen.
    Anew,
    /// Stop this program for a while.
    Suspend,
    End,
}

/// What lies over the table.
pub(super) enum Over {
    Nothing,
    Help,
    /// Whether to kill this job.
    Kill(Box<Row>),
}

/// The whole program but the terminal.
pub(super) struct Top {
    pub(super) snapshot: Snapshot,
    pub(super) rows: Vec<Row>,
    pub(super) how: Arrangement,
    pub(super) table: TableState,
    pub(super) over: Over,
    /// What the last key did, for the last line.
    pub(super) message: String,
    pub(super) delay: Duration,
    /// Lines of the table that fit on the screen; set by who draws.
    pub(super) page: usize,
}

impl Top {
    pub(super) fn new(snapshot: Snapshot, delay: Duration) -> Top {
        let mut top = Top {
            snapshot: Snapshot::default(),
            rows: Vec::new(),
            // There can be many, and they all look alike; how many there are stands in the line of the host.
            how: Arrangement { without_spares: true, ..Arrangement::default() },
            table: TableState::default(),
            over: Over::Nothing,
            message: String::new(),
            delay,
            page: 10,
        };
        top.show(snapshot);
        top
    }

    /// Shows another snapshot; the same process stays chosen.
    pub(super) fn show(&mut self, snapshot: Snapshot) {
        self.snapshot = snapshot;
        self.arrange();
    }

    fn arrange(&mut self) {
        let rows = rows(&self.snapshot, &self.how);
        let chosen = self.chosen().and_then(|chosen| rows.iter().position(|row| row.key() == chosen.key()));
        let place = chosen.or(self.table.selected()).unwrap_or(0);
        self.rows = rows;
        self.table.select(self.rows.len().checked_sub(1).map(|last| place.min(last)));
    }

    fn chosen(&self) -> Option<&Row> {
        self.rows.get(self.table.selected()?)
    }

    fn move_by(&mut self, lines: isize) {
        let last = self.rows.len().saturating_sub(1);
        let place = self.table.selected().unwrap_or(0).saturating_add_signed(lines);
        self.table.select(Some(place.min(last)).filter(|_| !self.rows.is_empty()));
    }

    /// A key was pressed.
    pub(super) fn press(&mut self, key: KeyEvent) -> Step {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c') => Step::End,
                KeyCode::Char('z') => Step::Suspend,
                KeyCode::Char('l') => Step::Anew,
                _ => Step::Stay,
            };
        }
        self.message.clear();
        match std::mem::replace(&mut self.over, Over::Nothing) {
            Over::Nothing => self.command(key.code),
            Over::Help => Step::Stay,
            Over::Kill(row) => {
                match key.code {
                    KeyCode::Char('y' | 'Y') => self.message = kill(&row),
                    KeyCode::Char('n' | 'N' | 'q') | KeyCode::Esc => {}
                    // Neither yes nor no.
                    _ => self.over = Over::Kill(row),
                }
                Step::Look
            }
        }
    }

    fn command(&mut self, key: KeyCode) -> Step {
        let page = self.page.max(1) as isize;
        match key {
            KeyCode::Char('q') | KeyCode::Esc => return Step::End,
            KeyCode::Char('?') | KeyCode::F(1) => self.over = Over::Help,
            KeyCode::Up => self.move_by(-1),
            KeyCode::Down | KeyCode::Char('j') => self.move_by(1),
            KeyCode::PageUp => self.move_by(-page),
            KeyCode::PageDown => self.move_by(page),
            KeyCode::Home | KeyCode::Char('g') => self.move_by(isize::MIN),
            KeyCode::End | KeyCode::Char('G') => self.move_by(isize::MAX),
            KeyCode::Enter | KeyCode::Char(' ') => self.fold(),
            KeyCode::Char('a') => self.fold_all(),
            KeyCode::Char('s') => {
                self.how.sort = self.how.sort.next();
                self.arrange();
            }
            KeyCode::Char('r') => {
                self.how.reversed = !self.how.reversed;
                self.arrange();
            }
            KeyCode::Char('h') => {
                self.how.without_spares = !self.how.without_spares;
                self.arrange();
            }
            KeyCode::Char('k') | KeyCode::Delete => self.ask_to_kill(),
            _ => {}
        }
        Step::Stay
    }

    fn fold(&mut self) {
        let Some(name) = self.chosen().map(|row| row.session.clone()) else { return };
        if !self.how.folded.remove(&name) {
            // The line of the host stays, and is the one that is chosen then.
            let host = self.rows.iter().position(|row| row.session == name);
            self.table.select(host);
            self.how.folded.insert(name);
        }
        self.arrange();
    }

    fn fold_all(&mut self) {
        let names = self.snapshot.sessions.iter().map(|session| session.name.clone());
        self.how.folded = if self.how.folded.is_empty() { names.collect() } else { Default::default() };
        self.arrange();
    }

    fn ask_to_kill(&mut self) {
        match self.chosen().cloned() {
            Some(row) if row.member.role == Role::Worker && row.member.pid != 0 => {
                self.over = Over::Kill(Box::new(row));
            }
            Some(_) => self.message = "only workers can be killed here".to_owned(),
            None => {}
        }
    }
}

/// Kills a worker, if it is still the one that was shown. A descriptor is opened before that is looked at, so the signal
/// cannot reach another process that got its id.
fn kill(row: &Row) -> String {
    let member = &row.member;
    let gone = format!("process {} has ended", member.pid);
    let Some(pid) = Pid::from_raw(member.pid) else { return gone };
    let Ok(file) = pidfd_open(pid, PidfdFlags::empty()) else { return gone };
    let same = proc::process(member.pid)
        .is_some_and(|process| process.started == member.started && process.parent == row.zygote);
    if !same {
        return gone;
    }
    match pidfd_send_signal(&file, Signal::KILL) {
        Ok(()) => format!("killed process {}, {}", member.pid, member.name),
        Err(error) => format!("process {} cannot be killed: {error}", member.pid),
    }
}
