//! The command line of `llib top`.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, Command, value_parser};

use crate::run::units;

/// What was asked for.
#[derive(Debug, PartialEq)]
pub(crate) struct Options {
    /// Time between two looks.
    pub(crate) delay: Duration,
    /// One snapshot as text, and no more.
    pub(crate) once: bool,
    /// The snapshot as JSON.
    pub(crate) json: bool,
    /// The programs whose sessions to show; none means all.
    pub(crate) hosts: Vec<i32>,
}

/// The description of the subcommand, for parsing, help and completions.
pub(crate) fn command() -> Command {
    Command::new("top")
        .bin_name("llib top")
        .about("Show running sessions: their jobs, memory, CPU time, and locks")
        .override_usage("llib top [OPTIONS] [PID]...")
        .disable_help_flag(true)
        .args([
            Arg::new("help").short('h').long("help").help("Print this").action(ArgAction::HelpShort),
            Arg::new("delay")
                .short('d')
                .long("delay")
                .value_name("TIME")
                .help("Time between two looks: 2s, 500ms (1s); plain numbers are milliseconds")
                .value_parser(ValueParser::new(delay)),
            Arg::new("once").long("once").help("Print one snapshot and end").action(ArgAction::SetTrue),
            Arg::new("json")
                .long("json")
                .help("Print the snapshot as JSON")
                .requires("once")
                .action(ArgAction::SetTrue),
            Arg::new("pid")
                .value_name("PID")
                .help("Only the sessions of these programs, and of their jobs")
                .num_args(0..)
                .value_parser(value_parser!(i32).range(1..)),
        ])
        .after_help(TEACHING)
}

const TEACHING: &str = "Shown are the sessions of this user; root sees all. Nothing is asked of them, and nothing waits for them.

Keys:
  up, down, PgUp, PgDn, Home, End   choose a line
  Enter, space                      fold or unfold the session of the line; a folds and unfolds all
  s, r                              sort workers by another column; reverse
  h                                 show or hide spares
  k                                 kill the job of the line, after a question
  ?                                 help
  q, Ctrl-C                         end

Examples:
  llib top                                   all sessions, once a second
  llib top -d 200ms 4242                     those of process 4242, five times a second
  llib top --once                            one snapshot, for people
  llib top --once --json | jq '.sessions[].processes[] | select(.waits)'
                                             who waits, and for what";

fn delay(text: &str) -> Result<Duration, String> {
    let time = units::time(text)?;
    let most = 24.0 * 3_600_000.0;
    if (50.0..=most).contains(&time) {
        Ok(Duration::from_secs_f64(time / 1000.0))
    } else {
        Err("a time from 50ms to 24h is expected".to_owned())
    }
}

/// Reads the command line, from the word `top` on. The error is also how help is asked for.
pub(crate) fn parse(words: &[CString]) -> Result<Options, clap::Error> {
    let words = words.iter().map(|word| OsStr::from_bytes(word.as_bytes()));
    let mut given = command().try_get_matches_from(words)?;
    Ok(Options {
        delay: given.remove_one("delay").unwrap_or(Duration::from_secs(1)),
        once: given.get_flag("once"),
        json: given.get_flag("json"),
        hosts: given.remove_many("pid").map(Iterator::collect).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options, clap::error::ErrorKind> {
        let words: Vec<CString> = ["top"]
            .into_iter()
            .chain(line.split_whitespace())
            .map(|word| CString::new(word).unwrap())
            .collect();
        parse(&words).map_err(|error| error.kind())
    }

    #[test]
    fn the_command_line_is_read() {
        command().debug_assert();
        let plain = Options { delay: Duration::from_secs(1), once: false, json: false, hosts: Vec::new() };
        assert_eq!(parsed(""), Ok(plain));
        let options = parsed("-d 200ms --once --json 42 7").unwrap();
        assert_eq!((options.delay, options.hosts), (Duration::from_millis(200), vec![42, 7]));
        assert!(options.once && options.json);
        for wrong in ["--json", "-d 1ms", "-d soon", "0", "-5", "x", "--frobnicate"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
