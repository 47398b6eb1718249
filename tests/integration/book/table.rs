//! The tables of a page, row by row.

use std::fs;
use std::path::Path;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

pub(super) struct Row {
    pub(super) line: usize,
    /// The heading that it stands below, and the first cell of the table's head.
    pub(super) heading: String,
    pub(super) column: String,
    /// The code in its first cell.
    pub(super) codes: Vec<String>,
}

pub(super) fn rows(path: &Path) -> Vec<Row> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut rows = Vec::new();
    let (mut heading, mut column, mut codes) = (String::new(), String::new(), Vec::new());
    let (mut in_heading, mut in_head, mut cell) = (false, false, 0);
    for (event, range) in Parser::new_ext(&text, Options::ENABLE_TABLES).into_offset_iter() {
        match event {
            Event::Start(Tag::Heading { .. }) => (in_heading, heading) = (true, String::new()),
            Event::End(TagEnd::Heading(_)) => in_heading = false,
            Event::Start(Tag::TableHead) => (in_head, cell, column) = (true, 0, String::new()),
            Event::End(TagEnd::TableHead) => in_head = false,
            Event::Start(Tag::TableRow) => (cell, codes) = (0, Vec::new()),
            Event::End(TagEnd::TableCell) => cell += 1,
            Event::End(TagEnd::TableRow) => rows.push(Row {
                line: text[..range.start].matches('\n').count() + 1,
                heading: heading.clone(),
                column: column.clone(),
                codes: std::mem::take(&mut codes),
            }),
            Event::Text(part) if in_heading => heading.push_str(&part),
            Event::Code(part) if in_heading => heading.push_str(&part),
            Event::Text(part) if in_head && cell == 0 => column.push_str(&part),
            Event::Code(part) if !in_head && cell == 0 => codes.push(part.to_string()),
            _ => {}
        }
    }
    rows
}
