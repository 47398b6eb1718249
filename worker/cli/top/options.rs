//! The command line of `llib top`.

use std::ffi::CString;
use std::time::Duration;

use clap::{Args, Command, value_parser};

use crate::run::{self, units};

/// What was asked for.
#[derive(Debug, PartialEq, Args)]
#[command(
    about = "Show running sessions: their jobs, memory, CPU time, and locks",
    override_usage = "llib top [OPTIONS] [PID]...",
    after_help = TEACHING
)]
pub(crate) struct Options {
    /// Time between two looks: 2s, 500ms (1s); plain numbers are milliseconds
    #[arg(short, long, value_name = "TIME", value_parser = delay, default_value = "1s",
        hide_default_value = true)]
    pub(crate) delay: Duration,
    /// Print one snapshot and end
    #[arg(long)]
    pub(crate) once: bool,
    /// Print the snapshot as JSON
    #[arg(long, requires = "once")]
    pub(crate) json: bool,
    /// Only the sessions of these programs, and of their jobs
    #[arg(id = "pid", value_name = "PID", value_parser = value_parser!(i32).range(1..))]
    pub(crate) hosts: Vec<i32>,
}

/// The description of the subcommand, for parsing, help and completions.
pub(crate) fn command() -> Command {
    Options::augment_args(run::subcommand("top"))
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
    run::parse(command(), words)
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
