//! The programs on the pages run, and print what the pages show.
//!
//! A block ` ```lua ` is a program, after the line that loads llib if it has none itself. What it prints is what its comments
//! `--> …` say, in their order, or the next block ` ```text output `. Runs of blanks count as one, and `…` stands for
//! anything. Words after `lua`:
//!
//! - `needs=NAME`: a version of Lua, that or a later one, `sandbox`, or a module; without it the program is skipped, in words;
//! - `fragment`: no program.
//!
//! ` ```text file=NAME ` or ` ```lua file=NAME ` is a file that the programs below find; ` ```console ` holds commands after
//! `$ `, and their output.

use std::collections::BTreeMap;
use std::process::Command;

use support::{Interpreter, Scratch, Script, binaries, version};

use super::page::{Fence, Page, docs, pages, root, shown};

/// Debian has modules in Lua alone only where Lua 5.1 looks.
const LUA_PATH: &str = "/usr/share/lua/5.1/?.lua;;";

const PRELUDE: &str = "local llib = require 'llib' local thread = llib.thread ";

struct Program<'a> {
    page: &'a Page,
    line: usize,
    text: String,
    expected: Vec<String>,
    needs: Vec<String>,
    files: BTreeMap<String, String>,
}

/// What the comments of a program say that it prints.
fn promised(text: &str) -> impl Iterator<Item = String> {
    text.lines().filter_map(|line| Some(plain(line.rsplit_once("-->")?.1)))
}

/// A line with one space for each run of blanks.
fn plain(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(plain).collect()
}

/// The programs of a page.
fn programs(page: &Page) -> Vec<Program<'_>> {
    let mut programs: Vec<Program<'_>> = Vec::new();
    let mut files = BTreeMap::new();
    let mut open = false;
    for fence in &page.fences {
        let place = page.at(fence.line);
        files.extend(fence.values("file").map(|name| (name.to_owned(), fence.text.clone())));
        match fence.language.as_str() {
            "lua" if fence.values("file").next().is_some() => {}
            "lua" if !fence.says("fragment") => {
                let known = |word: &String| word.strip_prefix("needs=").is_some_and(|name| !name.is_empty());
                assert!(fence.words.iter().all(known), "{place}: unknown word in {:?}", fence.words);
                programs.push(Program {
                    page,
                    line: fence.line,
                    text: fence.text.clone(),
                    expected: promised(&fence.text).collect(),
                    needs: fence.values("needs").map(str::to_owned).collect(),
                    files: files.clone(),
                });
                open = true;
            }
            "text" if fence.says("output") => {
                let last = programs.last_mut().filter(|_| open);
                let last = last.unwrap_or_else(|| panic!("{place}: no program is above this output"));
                let shown = promised(&last.text).next().is_none();
                assert!(shown, "{place}: the program above says in comments what it prints");
                last.expected = lines(&fence.text);
                open = false;
            }
            _ => {}
        }
    }
    programs
}

/// Whether an expected line, in which `…` stands for anything, is this one.
fn matches(expected: &str, line: &str) -> bool {
    let mut parts = expected.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// What an interpreter lacks that a program needs.
fn lacks(interpreter: Interpreter, need: &str) -> bool {
    let probe = match need {
        "sandbox" => "print((require 'llib'.thread.capabilities().sandbox))".to_owned(),
        // Versions have one digit on either side: as texts they compare as they should.
        _ if need.starts_with(|first: char| first.is_ascii_digit()) => return need > version::NUMBER,
        _ => format!("print((pcall(require, '{need}')))"),
    };
    let lacks = Script::plain(&probe).by(interpreter).env("LUA_PATH", LUA_PATH).run().output() != "true\n";
    let required = std::env::var("LLIB_TEST_REQUIRE_STOCK_LUA").is_ok_and(|value| value == "1");
    assert!(!lacks || !required || need == "sandbox", "{need} is needed here, {interpreter:?}");
    lacks
}

impl Program<'_> {
    /// What is wrong with it, if anything is.
    fn run(&self, interpreter: Interpreter) -> Option<String> {
        let place = self.page.at(self.line);
        if let Some(need) = self.needs.iter().find(|need| lacks(interpreter, need)) {
            println!("{place}: skipped, {interpreter:?} has no {need}");
            return None;
        }
        let scratch = Scratch::new();
        for (name, text) in &self.files {
            scratch.write(name, text);
        }
        std::os::unix::fs::symlink(docs().join("examples/loops"), scratch.path().join("loops"))
            .expect("the directory is empty but for files of the page");
        let prelude = if self.text.contains("require \"llib\"") { "" } else { PRELUDE };
        scratch.write("script.lua", &format!("{prelude}{}", self.text));
        // By its name alone, which is how messages then name it.
        let script = Script::file("script.lua".as_ref()).directory(scratch.path()).by(interpreter);
        let session = script.env("LUA_PATH", LUA_PATH).start();
        let outcome = session.end();
        if (outcome.code, outcome.stderr.as_str()) != (Some(0), "") {
            return Some(format!("{place}: {outcome:?}"));
        }
        session.expect_nothing_left();
        let printed = lines(&outcome.stdout);
        compare(&place, &self.expected, &printed)
    }
}

fn compare(place: &str, expected: &[String], printed: &[String]) -> Option<String> {
    let same = expected.len() == printed.len()
        && expected.iter().zip(printed).all(|(expected, line)| matches(expected, line));
    let text = |lines: &[String]| lines.join("\n  ");
    (!same).then(|| format!("{place} shows\n  {}\nbut prints\n  {}", text(expected), text(printed)))
}

/// Runs what stands after `$ ` in a block, and compares it with what stands below.
fn console(page: &Page, fence: &Fence, files: &BTreeMap<String, String>) -> Option<String> {
    let scratch = Scratch::new();
    for (name, text) in files {
        scratch.write(name, text);
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", binaries::directory().display());
    let mut printed = Vec::new();
    for line in fence.text.lines().filter(|line| line.starts_with("$ ")) {
        printed.push(plain(line));
        let mut command = Command::new("sh");
        command.args(["-c", &format!("exec 2>&1; {}", &line[2..])]).current_dir(scratch.path());
        let output = command.env("PATH", &path).output().expect("a shell can be run");
        printed.extend(lines(&String::from_utf8_lossy(&output.stdout)));
    }
    compare(&page.at(fence.line), &lines(&fence.text), &printed)
}

/// Runs everything on these pages; returns how many programs that were.
fn check(names: &[&str]) -> usize {
    let mut wrong = Vec::new();
    let mut count = 0;
    for name in names {
        let page = Page::read(&root().join(name));
        let programs = programs(&page);
        count += programs.len();
        for program in &programs {
            wrong.extend(Interpreter::all().into_iter().filter_map(|by| program.run(by)));
        }
        let mut files = BTreeMap::new();
        for fence in &page.fences {
            files.extend(fence.values("file").map(|name| (name.to_owned(), fence.text.clone())));
            let skipped = fence.values("needs").find(|need| lacks(Interpreter::Builtin, need));
            if fence.language == "console" && skipped.is_none() {
                wrong.extend(console(&page, fence, &files));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    count
}

#[test]
fn programs_of_the_readme_print_what_it_shows() {
    assert!(check(&["README.md"]) > 1);
}

#[test]
fn programs_of_the_guide_print_what_it_shows() {
    assert!(check(&["docs/guide.md"]) > 20);
}

#[test]
fn programs_of_the_cookbook_print_what_it_shows() {
    assert!(check(&["docs/cookbook.md"]) > 10);
}

#[test]
fn programs_of_all_other_pages_print_what_they_show() {
    let pages: Vec<String> = pages().iter().map(|path| shown(path)).collect();
    let others: Vec<&str> = pages.iter().map(String::as_str).collect();
    let others: Vec<&str> =
        others.into_iter().filter(|page| !["docs/guide.md", "docs/cookbook.md"].contains(page)).collect();
    check(&others);
}
