//! `llib run`: a script as a job, and how its end is told.

mod completions;
mod json;
mod sandbox;
mod script;
mod signals;
mod terminal;

use serde_json::Value;
use support::{Outcome, Script};

fn script(options: &str, text: &str) -> Script {
    Script::plain(text).subcommand(&format!("run {options}"))
}

fn run(options: &str, text: &str) -> Outcome {
    script(options, text).run()
}

/// Standard error without the program's name in front.
fn reason(outcome: &Outcome) -> &str {
    outcome.stderr.split_once("llib: ").map_or("", |(_, reason)| reason)
}

/// The one object that a run with `--json` printed.
fn document(outcome: &Outcome) -> Value {
    assert_eq!((outcome.stderr.as_str(), outcome.stdout.lines().count()), ("", 1), "{outcome:?}");
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome:?}"))
}
