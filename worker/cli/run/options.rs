//! The command line of `llib run`: what there is, and what was given.

use std::ffi::{CString, OsStr, OsString};

use clap::{Args, Command, ValueHint, value_parser};
use llib_core::wire::sandbox::MOST_JOBS;

use super::{exits, units};

/// Everything that was asked for.
#[derive(Debug, Default, PartialEq, Args)]
#[command(
    about = "Run a script as an isolated job, in a process of its own",
    override_usage = "llib run [OPTIONS] SCRIPT [ARG]...\n       llib run [OPTIONS] - [ARG]...",
    after_help = format!("{TEACHING}\nExit codes:\n{}", exits::text())
)]
pub(crate) struct Options {
    /// Lua script, or - for standard input; what follows are its arguments
    #[arg(id = "script", value_name = "SCRIPT", required = true, num_args = 1..,
        trailing_var_arg = true, value_hint = ValueHint::FilePath)]
    words: Vec<OsString>,
    #[command(flatten)]
    pub(crate) limits: Limits,
    #[command(flatten)]
    granted: Sandbox,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// What a job may use: times in milliseconds, sizes in bytes.
#[derive(Debug, Default, PartialEq, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct Limits {
    /// Longest that it may run: 5s, 200ms, 2m; plain numbers are milliseconds
    #[arg(long, value_name = "TIME", value_parser = units::time)]
    pub(crate) timeout: Option<f64>,
    /// CPU time that it may use; processes that it starts have as much each
    #[arg(long, value_name = "TIME", value_parser = units::time)]
    pub(crate) cpu: Option<f64>,
    /// Largest heap of its Lua: 64M, 512K
    #[arg(long, value_name = "SIZE", value_parser = units::memory)]
    pub(crate) memory: Option<i64>,
    /// Descriptors that it may have open at once
    #[arg(long, value_name = "N", value_parser = value_parser!(i64).range(0..=1 << 20),
        allow_negative_numbers = true)]
    pub(crate) files: Option<i64>,
    /// Largest file that it may write
    #[arg(long, value_name = "SIZE", value_parser = units::file_size)]
    pub(crate) fsize: Option<i64>,
    /// Largest result that it may return
    #[arg(long, value_name = "SIZE", value_parser = units::memory)]
    pub(crate) result_limit: Option<i64>,
    /// Scheduling priority, 0 to 19 (lowest)
    #[arg(long, value_name = "N", value_parser = value_parser!(i64).range(0..=19),
        allow_negative_numbers = true)]
    pub(crate) nice: Option<i64>,
}

/// What is granted to a job in a sandbox.
#[derive(Debug, Default, PartialEq, Args)]
#[command(next_help_heading = "Sandbox")]
pub(crate) struct Sandbox {
    /// Nothing but computing: no files, network, programs, environment
    #[arg(long)]
    sandbox: bool,
    /// Let it read a file or a folder, with all below
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) read: Vec<OsString>,
    /// Let it read, write, create and remove there
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) write: Vec<OsString>,
    /// Let it use the network
    #[arg(long)]
    pub(crate) net: bool,
    /// Let it see these environment variables
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) env: Vec<OsString>,
    /// Let it require these modules
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) libs: Vec<OsString>,
    /// Let it run programs
    #[arg(long)]
    pub(crate) exec: bool,
    /// Jobs that it may start and have at once, in the same sandbox (4)
    #[arg(long, value_name = "N", value_parser = value_parser!(i64).range(0..=MOST_JOBS.into()),
        allow_negative_numbers = true)]
    pub(crate) jobs: Option<i64>,
    /// Go on with what this kernel can enforce, if that is not all
    #[arg(long)]
    pub(crate) best_effort: bool,
}

/// What is told, and of what name.
#[derive(Debug, Default, PartialEq, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Output {
    /// Print a JSON object that tells everything, when it has ended
    #[arg(long)]
    pub(crate) json: bool,
    /// Bytes of stdout and of stderr that the JSON object has at most (1M)
    #[arg(long, value_name = "SIZE", value_parser = units::capture, requires = "json", default_value = "1M",
        hide_default_value = true)]
    pub(crate) capture_limit: i64,
    /// Name in messages and process lists (the script's)
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<OsString>,
}

impl Options {
    /// A file, or `-` for standard input.
    pub(crate) fn script(&self) -> &OsStr {
        self.words.first().map_or(OsStr::new(""), OsString::as_os_str)
    }

    /// The script's arguments.
    pub(crate) fn arguments(&self) -> &[OsString] {
        self.words.get(1..).unwrap_or_default()
    }

    /// What is granted, if anything makes it a sandbox.
    pub(crate) fn sandbox(&self) -> Option<&Sandbox> {
        Some(&self.granted).filter(|granted| **granted != Sandbox::default())
    }
}

/// The description of the subcommand, for parsing, help and completions.
pub(crate) fn command() -> Command {
    Options::augment_args(super::subcommand("run"))
}

const TEACHING: &str =
    "Options of the sandbox turn it on. They stand before the script; what follows it is the script's.
In a sandbox, unless given: --memory 64M, --cpu 10s, --timeout 30s, --files 16.

Examples:
  llib run script.lua a b                          in a process of its own
  llib run --timeout 5s --memory 64M script.lua    ended past its limits
  llib run --sandbox untrusted.lua                 may compute and print, nothing else
  llib run --read data --write out convert.lua     a sandbox with two folders
  echo 'print(6 * 7)' | llib run --sandbox -       a script from standard input
  llib run --json script.lua | jq .usage           what it returned, printed and used

The script's output passes through as it comes, and without a sandbox it may read standard input. A
failure's reason goes to standard error. The values that the script returns are shown by --json alone.
";

/// Reads the command line, from the word `run` on. The error is also how help is asked for.
pub(crate) fn parse(words: &[CString]) -> Result<Options, clap::Error> {
    super::parse(command(), words)
}

#[cfg(test)]
mod tests;
