//! The API page has each function, option, field and failure kind that the annotations in `docs/library/llib.lua` have, and
//! no others. The annotations in turn are held to the module itself by the spec `library.lua`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::page::docs;
use super::table::{Row, rows};

/// What the annotations say.
#[derive(Default)]
struct Annotations {
    /// Such as `task:await([ms [, keep]])`.
    functions: BTreeSet<String>,
    /// By class or alias the names of its fields, or the words that it stands for.
    names: BTreeMap<String, BTreeSet<String>>,
}

/// A function as the page writes it: what may be left out is in brackets.
fn signature(name: &str, parameters: &[(String, bool)]) -> String {
    let mut text = format!("{name}(");
    let mut open = 0;
    for (index, (parameter, optional)) in parameters.iter().enumerate() {
        text.push_str(match (index, optional) {
            (0, false) => "",
            (0, true) => "[",
            (_, false) => ", ",
            (_, true) => " [, ",
        });
        open += usize::from(*optional);
        text.push_str(parameter);
    }
    text + &"]".repeat(open) + ")"
}

/// Any method of a buffer's value.
const OF_THE_VALUE: &str = "buffer:method(...)";

fn annotations() -> Annotations {
    let text = fs::read_to_string(docs().join("library/llib.lua")).expect("the annotations are there");
    let mut found = Annotations::default();
    let mut class = String::new();
    let (mut parameters, mut none): (Vec<(String, bool)>, bool) = (Vec::new(), false);
    for line in text.lines() {
        let word = |rest: &str| rest.split([' ', '(']).next().unwrap_or_default().to_owned();
        if let Some(rest) = line.strip_prefix("---@class ").or_else(|| line.strip_prefix("---@alias ")) {
            class = word(rest);
            found.names.entry(class.clone()).or_default();
        } else if let Some(rest) = line.strip_prefix("---@field ") {
            let name = word(rest).trim_end_matches('?').to_owned();
            found.names.entry(class.clone()).or_default().insert(name);
        } else if let Some(rest) = line.strip_prefix("---| \"") {
            let name = rest.split('"').next().unwrap_or_default().to_owned();
            found.names.entry(class.clone()).or_default().insert(name);
        } else if let Some(rest) = line.strip_prefix("---@param ") {
            let name = word(rest);
            parameters.push((name.trim_end_matches('?').to_owned(), name.ends_with('?')));
        } else if line.starts_with("---@overload fun():") {
            none = true;
        } else if let Some(rest) = line.strip_prefix("function ") {
            if none {
                parameters.iter_mut().for_each(|(_, optional)| *optional = true);
            }
            found.functions.insert(signature(&word(rest), &parameters));
        }
        if !line.starts_with("--") {
            parameters.clear();
            none = false;
        }
    }
    found
}

fn table_rows(page: &str) -> Vec<Row> {
    rows(&docs().join(page))
}

/// The word at the start of a text.
fn identifier(text: &str) -> String {
    text.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

fn expect_same(what: &str, annotated: &BTreeSet<String>, shown: &BTreeSet<String>) {
    let missing: Vec<_> = annotated.difference(shown).collect();
    let unknown: Vec<_> = shown.difference(annotated).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "{what}: annotated, but not on the page: {missing:#?}; on the page, but not annotated: {unknown:#?}"
    );
}

#[test]
fn the_api_page_has_all_functions_as_they_are_annotated_and_no_others() {
    let annotations = annotations();
    assert!(annotations.functions.len() > 40, "functions were found");
    let page = table_rows("api.md");
    let mut shown = BTreeSet::new();
    for row in page.iter().filter(|row| row.column == "call") {
        for code in &row.codes {
            // Operators and the like, which have no name.
            let owner = identifier(code);
            if code != OF_THE_VALUE && code.ends_with(')') && code[owner.len()..].starts_with(['.', ':']) {
                let fresh = shown.insert(code.clone());
                assert!(fresh, "docs/api.md:{}: {code} is there twice", row.line);
            }
        }
    }
    expect_same("functions", &annotations.functions, &shown);
}

#[test]
fn the_pages_have_all_options_fields_and_kinds_that_are_annotated_and_no_others() {
    let annotations = annotations();
    let (api, sandbox) = (table_rows("api.md"), table_rows("sandbox.md"));
    for (class, page, heading, column) in [
        ("llib.options", &api, "Options of async", "option"),
        ("llib.pool_options", &api, "Options of pool", "option"),
        ("llib.map_options", &api, "Options of pool:map", "option"),
        ("llib.res", &api, "In a job", "field"),
        ("llib.kind", &api, "Failures", "kind"),
        ("llib.failure", &api, "Fields of a failure", "field"),
        ("llib.usage", &api, "What a job has used", "field"),
        ("llib.pool_stats", &api, "How a pool stands", "field"),
        ("llib.grants", &sandbox, "Sandbox", "grant"),
        ("llib.enforced", &sandbox, "What is enforced", "field"),
        ("llib.capabilities", &sandbox, "Kernels", "key"),
    ] {
        let rows = page.iter().filter(|row| row.heading == heading && row.column == column);
        let shown = rows.flat_map(|row| row.codes.iter().map(|code| identifier(code))).collect();
        let annotated = annotations.names.get(class);
        let annotated = annotated.unwrap_or_else(|| panic!("there is no class {class}"));
        assert!(!annotated.is_empty(), "{class} has no names");
        expect_same(&format!("{class}, below '{heading}'"), annotated, &shown);
    }
}
