//! Drawing: the table, what lies over it, and the lines above and below.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Block, Cell, Clear, Paragraph, Row as TableRow, Table, Wrap};

use super::model::{Role, Status};
use super::rows::{Row, Sort, summary};
use super::state::{Over, Top};

const HELP: &str = "up, down        choose a line (PgUp, PgDn, Home, End)
Enter, space    fold or unfold the session
a               fold or unfold all
s               sort by the next column
r               reverse
h               show or hide spares
k               kill the job, after a question
Ctrl-L          look again now
q, Ctrl-C       end

MEM is a process's share: pages that several have
count in parts. CPU% is that of one processor.";

/// Columns: title, width, and what the workers are sorted by.
const COLUMNS: [(&str, u16, Option<Sort>); 5] = [
    ("PID", 8, None),
    ("STATUS", 8, None),
    ("CPU%", 6, Some(Sort::Cpu)),
    ("MEM", 7, Some(Sort::Memory)),
    ("AGE", 7, Some(Sort::Age)),
];

/// Which columns a screen of this width has room for.
fn columns(width: u16) -> Vec<usize> {
    match width {
        0..24 => vec![0],
        24..38 => vec![0, 1],
        38..46 => vec![0, 1, 2],
        46..56 => vec![0, 1, 2, 3],
        _ => vec![0, 1, 2, 3, 4],
    }
}

fn color(color: Color) -> Style {
    // The backend leaves colours out as well where NO_COLOR says so; here nothing depends on them.
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if plain { Style::new() } else { Style::new().fg(color) }
}

pub(super) fn draw(frame: &mut Frame<'_>, top: &mut Top) {
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(0), Constraint::Length(1)])
            .areas(frame.area());
    let title = format!("llib top: {}", summary(&top.snapshot));
    frame.render_widget(Paragraph::new(title).style(Style::new().add_modifier(Modifier::BOLD)), head);
    table(frame, top, body);
    let hint = if top.message.is_empty() {
        format!("q quit  ? help  s sort  Enter fold  k kill   every {:?}", top.delay)
    } else {
        top.message.clone()
    };
    frame.render_widget(Paragraph::new(hint).style(color(Color::Cyan)), foot);
    match &top.over {
        Over::Nothing => {}
        Over::Help => popup(frame, " keys ", HELP, "any key closes this"),
        Over::Kill(row) => {
            let question = format!(
                "Kill process {} with SIGKILL?\n{}\n\nWhoever awaits its job gets a failure.",
                row.member.pid, row.member.name
            );
            popup(frame, " kill ", &question, "y kills, n does not");
        }
    }
}

fn table(frame: &mut Frame<'_>, top: &mut Top, area: Rect) {
    top.page = usize::from(area.height.saturating_sub(1));
    if top.rows.is_empty() {
        let text = "no session runs: a program has one from its first thread.async on";
        frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }), area);
        return;
    }
    let shown = columns(area.width);
    let title = |index: &usize| {
        let (name, _, sort) = COLUMNS[*index];
        let sorted = sort == Some(top.how.sort);
        let text = Text::from(name).alignment(if *index == 1 { Alignment::Left } else { Alignment::Right });
        Cell::from(text).style(if sorted {
            Style::new().add_modifier(Modifier::UNDERLINED)
        } else {
            Style::new()
        })
    };
    let last = if top.how.sort == Sort::Name { "NAME (sorted)" } else { "NAME" };
    let header = TableRow::new(shown.iter().map(title).chain([Cell::from(last)]))
        .style(Style::new().add_modifier(Modifier::REVERSED));
    let rows = top.rows.iter().map(|row| line(row, &shown));
    let widths = shown.iter().map(|index| Constraint::Length(COLUMNS[*index].1)).chain([Constraint::Fill(1)]);
    let table = Table::new(rows, widths.collect::<Vec<_>>())
        .header(header)
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    frame.render_stateful_widget(table, area, &mut top.table);
}

fn line(row: &Row, shown: &[usize]) -> TableRow<'static> {
    let cells = row.cells();
    let cell = |index: &usize| {
        let side = if *index == 1 { Alignment::Left } else { Alignment::Right };
        let style = if *index == 1 { status_style(row.member.status) } else { Style::new() };
        Cell::from(Text::from(cells[*index].clone()).alignment(side).style(style))
    };
    let style = match (row.member.role, row.member.status) {
        (Role::Host, _) => Style::new().add_modifier(Modifier::BOLD),
        (Role::Guard | Role::Zygote, _) | (_, Status::Spare) => Style::new().add_modifier(Modifier::DIM),
        _ => Style::new(),
    };
    TableRow::new(shown.iter().map(cell).chain([Cell::from(row.text.clone())])).style(style)
}

fn status_style(status: Status) -> Style {
    match status {
        Status::Running => color(Color::Green),
        Status::Waiting | Status::Queued | Status::Closing => color(Color::Yellow),
        Status::Paused => color(Color::Magenta),
        Status::Failed | Status::Ended => color(Color::Red),
        Status::Idle | Status::Spare | Status::Done | Status::Leaving => Style::new(),
    }
}

fn popup(frame: &mut Frame<'_>, title: &str, text: &str, hint: &str) {
    let area = frame.area();
    let lines = text.lines().count() as u16;
    let width = (text.lines().map(|line| line.chars().count()).max().unwrap_or(0) as u16 + 4).min(area.width);
    // A name may need more than one line.
    let height = (lines + 3).min(area.height);
    let place = Rect {
        x: area.width.saturating_sub(width) / 2,
        y: area.height.saturating_sub(height) / 2,
        width,
        height,
    };
    let block =
        Block::bordered().title(title.to_owned()).title_bottom(Line::from(format!(" {hint} ")).centered());
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(text.to_owned()).wrap(Wrap { trim: false }).block(block), place);
}
