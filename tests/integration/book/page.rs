//! A page of the documentation as the book's program reads it: its headings, links and fenced blocks.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

pub(super) struct Page {
    pub(super) path: PathBuf,
    /// The anchors of its headings.
    pub(super) anchors: Vec<String>,
    pub(super) links: Vec<Link>,
    pub(super) fences: Vec<Fence>,
}

pub(super) struct Link {
    pub(super) line: usize,
    pub(super) target: String,
    pub(super) text: String,
}

/// A block between two fences.
pub(super) struct Fence {
    pub(super) line: usize,
    /// The first word after the fence.
    pub(super) language: String,
    /// Those that follow.
    pub(super) words: Vec<String>,
    pub(super) text: String,
}

impl Fence {
    pub(super) fn says(&self, word: &str) -> bool {
        self.words.iter().any(|said| said == word)
    }

    /// The values of `NAME=VALUE`.
    pub(super) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.words.iter().filter_map(move |word| word.strip_prefix(name)?.strip_prefix('='))
    }
}

pub(super) fn root() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).canonicalize().expect("the checkout is there")
}

pub(super) fn docs() -> PathBuf {
    root().join("docs")
}

/// Every page below `docs`, sorted; not the summary, which lists them.
pub(super) fn pages() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![docs()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("it can be listed").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "md") && !path.ends_with("SUMMARY.md") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// How pages are named in messages.
pub(super) fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

impl Page {
    pub(super) fn read(path: &Path) -> Page {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", shown(path)));
        let mut page =
            Page { path: path.to_owned(), anchors: Vec::new(), links: Vec::new(), fences: Vec::new() };
        let mut seen = BTreeMap::new();
        let (mut heading, mut links): (Option<String>, Vec<Link>) = (None, Vec::new());
        let mut fence: Option<Fence> = None;
        let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_FOOTNOTES;
        for (event, range) in Parser::new_ext(&text, options).into_offset_iter() {
            let line = || text[..range.start].matches('\n').count() + 1;
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    page.anchors.extend(heading.take().map(|title| anchor(&title, &mut seen)));
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    links.push(Link { line: line(), target: dest_url.to_string(), text: String::new() });
                }
                Event::End(TagEnd::Link | TagEnd::Image) => page.links.extend(links.pop()),
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                    let mut words = info.split_whitespace().map(str::to_owned);
                    fence = Some(Fence {
                        line: line(),
                        language: words.next().unwrap_or_default(),
                        words: words.collect(),
                        text: String::new(),
                    });
                }
                Event::End(TagEnd::CodeBlock) => page.fences.extend(fence.take()),
                Event::Text(part) | Event::Code(part) => {
                    for text in [heading.as_mut(), links.last_mut().map(|link| &mut link.text)] {
                        text.into_iter().for_each(|text| text.push_str(&part));
                    }
                    fence.iter_mut().for_each(|fence| fence.text.push_str(&part));
                }
                _ => {}
            }
        }
        page
    }

    /// A place on the page, for messages.
    pub(super) fn at(&self, line: usize) -> String {
        format!("{}:{line}", shown(&self.path))
    }
}

/// The anchor that mdBook and GitHub give a heading; the second of the same title gets a number.
fn anchor(title: &str, seen: &mut BTreeMap<String, usize>) -> String {
    let kept = title.trim().chars().filter_map(|letter| match letter {
        '_' | '-' => Some(letter),
        _ if letter.is_alphanumeric() => Some(letter.to_ascii_lowercase()),
        _ if letter.is_whitespace() => Some('-'),
        _ => None,
    });
    let name: String = kept.collect();
    let before = seen.entry(name.clone()).and_modify(|count| *count += 1).or_insert(0);
    if *before == 0 { name } else { format!("{name}-{before}") }
}
