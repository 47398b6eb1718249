//! `llib run`: one script as an isolated job, its failures as exit codes.
//!
//! | file | owns |
//! |---|---|
//! | `options`, `units` | the command line: description, parsing, times and sizes |
//! | `exits` | the table of exit codes |
//! | `script` | reading the script |
//! | `job`, `job.lua` | the task of `llib.thread` that runs it |
//! | `watch`, `terminal` | waiting for its end, for signals, for what is typed |
//! | `outcome` | how it ended |
//! | `report`, `json`, `values` | telling that |
//! | `completions` | `llib completions`, from the same description |
//!
//! The page for users is `docs/run.md`. Nothing here is `unsafe`.

mod completions;
mod exits;
mod job;
mod json;
mod options;
mod outcome;
mod report;
mod script;
mod terminal;
pub(crate) mod units;
mod values;
mod watch;

use std::ffi::{CStr, CString, OsStr, c_int};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;

use clap::{Arg, ArgAction, Command, FromArgMatches};

use crate::environment::Environment;
use crate::interpreter;
use options::Options;
use outcome::{Failure, Outcome};

/// `llib run`, with the words from `run` on. Returns the exit status.
pub(crate) fn run(program: &CStr, words: &[CString]) -> c_int {
    let options = match options::parse(words) {
        Ok(options) => options,
        Err(answer) => return tell(program, &answer),
    };
    let outcome = script::read(options.script())
        .map_or_else(|message| Failure::new("error", message).into(), |script| execute(&script, &options));
    if options.output.json {
        crate::print(&json::document(&outcome));
    } else {
        complain(program, &report::reason(&outcome));
    }
    outcome.exit_code().into()
}

fn execute(script: &script::Script, options: &Options) -> Outcome {
    let search = Environment::read(false).search;
    let outcome = interpreter::with_state(&search, |lua| job::run(lua, script, options));
    outcome.unwrap_or_else(|| Failure::new("lost", "cannot create a Lua state: not enough memory").into())
}

/// `llib completions`, with the words from `completions` on. Returns the exit status.
pub(crate) fn completions(program: &CStr, words: &[CString]) -> c_int {
    match completions::script(words) {
        Ok(script) => {
            crate::print(&script);
            0
        }
        Err(answer) => tell(program, &answer),
    }
}

/// A subcommand with a flag for help, of which there is one text, a compact one.
pub(crate) fn subcommand(name: &'static str) -> Command {
    let help = Arg::new("help").short('h').long("help").help("Print this").action(ArgAction::HelpShort);
    Command::new(name).bin_name(format!("llib {name}")).disable_help_flag(true).arg(help)
}

/// Reads a command line, from the subcommand's name on. The error is also how help is asked for.
pub(crate) fn parse<T: FromArgMatches>(command: Command, words: &[CString]) -> Result<T, clap::Error> {
    let words = words.iter().map(|word| OsStr::from_bytes(word.as_bytes()));
    T::from_arg_matches(&command.try_get_matches_from(words)?)
}

/// Help goes to standard output; what is wrong with a command line to standard error.
pub(crate) fn tell(program: &CStr, answer: &clap::Error) -> c_int {
    let text = answer.render().to_string();
    if answer.use_stderr() {
        complain(program, text.strip_prefix("error: ").unwrap_or(&text).as_bytes());
        exits::USAGE.into()
    } else {
        crate::print(text.as_bytes());
        0
    }
}

pub(crate) fn complain(program: &CStr, text: &[u8]) {
    if !text.is_empty() {
        // Nothing is left to tell the error to when standard error is gone.
        let _ = io::stderr().write_all(&[program.to_bytes(), b": ", text].concat());
    }
}
