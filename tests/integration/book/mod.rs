//! The documentation holds together, and what it shows is so.
//!
//! | file | claims |
//! |---|---|
//! | here | all pages are in the book, and links lead somewhere |
//! | `programs` | programs on the pages print what the pages say |
//! | `reference` | the API page has what the annotations have, which are held to the module by a spec |
//! | `page`, `table` | how a page is read |

mod page;
mod programs;
mod reference;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use page::{Page, docs, pages, root, shown};

/// What the summary lists, in its order.
fn summary() -> Vec<PathBuf> {
    let page = Page::read(&docs().join("SUMMARY.md"));
    page.links.iter().map(|link| docs().join(&link.target)).collect()
}

#[test]
fn every_page_is_in_the_summary_once() {
    let listed = summary();
    let set: BTreeSet<PathBuf> = listed.iter().cloned().collect();
    assert_eq!(set.len(), listed.len(), "a page is in docs/SUMMARY.md twice");
    let there: BTreeSet<PathBuf> = pages().into_iter().collect();
    assert!(there.len() > 30, "the pages were found");
    let missing: Vec<String> = there.difference(&set).map(|path| shown(path)).collect();
    assert!(missing.is_empty(), "not in docs/SUMMARY.md: {missing:?}");
    let gone: Vec<String> = set.difference(&there).map(|path| shown(path)).collect();
    assert!(gone.is_empty(), "in docs/SUMMARY.md, but there is no such page: {gone:?}");
}

#[test]
fn each_decision_has_a_number_of_its_own_and_stands_in_its_order() {
    let decisions: Vec<PathBuf> =
        summary().into_iter().filter(|path| path.starts_with(docs().join("decisions"))).collect();
    let mut last = 0;
    // The first is the page above them.
    for path in decisions.iter().skip(1) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let number: u32 = name.split('-').next().and_then(|digits| digits.parse().ok()).unwrap_or(0);
        assert!(number > last, "{name} comes after number {last}");
        let text = std::fs::read_to_string(path).expect("it can be read");
        assert!(text.starts_with(&format!("# {number}. ")), "the title of {name} has another number");
        last = number;
    }
}

/// What is wrong with a link of a page, if anything is.
fn problem(from: &Path, target: &str, anchors: &mut BTreeMap<PathBuf, Vec<String>>) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let folder = from.parent().expect("a page lies in a folder");
    let file = if path.is_empty() { from.to_owned() } else { folder.join(path) };
    let Ok(file) = file.canonicalize() else { return Some("there is no such file".to_owned()) };
    // In the book there is nothing but `docs`, and no listing of a folder.
    if from.starts_with(docs()) {
        if !file.starts_with(docs()) {
            return Some("it leads out of the book; name the repository's address".to_owned());
        }
        if file.is_dir() {
            return Some("it leads to a folder".to_owned());
        }
    }
    if anchor.is_empty() {
        return None;
    }
    let known = anchors.entry(file).or_insert_with_key(|file| Page::read(file).anchors);
    let found = known.iter().any(|known| known == anchor);
    (!found).then(|| "there is no such heading".to_owned())
}

#[test]
fn links_lead_to_what_is_there() {
    let mut anchors = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut links = 0;
    for path in pages().into_iter().chain([root().join("README.md")]) {
        let page = Page::read(&path);
        links += page.links.len();
        for link in &page.links {
            if let Some(problem) = problem(&path, &link.target, &mut anchors) {
                wrong.push(format!("{}: [{}]({}): {problem}", page.at(link.line), link.text, link.target));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(links > 40, "links were found");
}
