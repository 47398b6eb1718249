//! The command line of `llib run`: what there is, and what was given.

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint, value_parser};

use llib_core::wire::sandbox::MOST_JOBS;

use super::{exits, units};

/// Everything that was asked for.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Options {
    /// A file, or `-` for standard input.
    pub(crate) script: OsString,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) name: Option<OsString>,
    /// Milliseconds.
    pub(crate) timeout: Option<f64>,
    /// Milliseconds.
    pub(crate) cpu: Option<f64>,
    pub(crate) memory: Option<i64>,
    pub(crate) files: Option<i64>,
    pub(crate) fsize: Option<i64>,
    pub(crate) result_limit: Option<i64>,
    pub(crate) nice: Option<i64>,
    pub(crate) sandbox: Option<Sandbox>,
    pub(crate) json: bool,
    pub(crate) capture_limit: i64,
}

/// What is granted to a job in a sandbox.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Sandbox {
    pub(crate) read: Vec<OsString>,
    pub(crate) write: Vec<OsString>,
    pub(crate) env: Vec<OsString>,
    pub(crate) libs: Vec<OsString>,
    pub(crate) net: bool,
    pub(crate) exec: bool,
    pub(crate) jobs: Option<i64>,
    pub(crate) best_effort: bool,
}

/// Bytes of each stream that `--json` tells unless more is asked for.
const CAPTURED: i64 = 1 << 20;

const LIMITS: &str = "Limits";
const SANDBOX: &str = "Sandbox";
const OUTPUT: &str = "Output";

/// The description of the subcommand, for parsing, help and completions.
pub(crate) fn command() -> Command {
    let time = |name, help| {
        valued(name, "TIME", help).value_parser(ValueParser::new(units::time)).help_heading(LIMITS)
    };
    let size = |name, help| valued(name, "SIZE", help).help_heading(LIMITS);
    let count = |name, help, most| {
        valued(name, "N", help)
            .value_parser(value_parser!(i64).range(0..=most))
            .allow_negative_numbers(true)
            .help_heading(LIMITS)
    };
    let path = |name, help| {
        valued(name, "PATH", help)
            .action(ArgAction::Append)
            .value_hint(ValueHint::AnyPath)
            .help_heading(SANDBOX)
    };
    let granted = |name, help| {
        let names = valued(name, "NAME", help).action(ArgAction::Append).value_delimiter(',');
        names.help_heading(SANDBOX)
    };
    let wall = |name, help| switch(name, help).help_heading(SANDBOX);
    Command::new("run")
        .bin_name("llib run")
        .about("Run a script as an isolated job, in a process of its own")
        .override_usage("llib run [OPTIONS] SCRIPT [ARG]...\n       llib run [OPTIONS] - [ARG]...")
        // One text for both spellings, and a compact one.
        .disable_help_flag(true)
        .args([
            Arg::new("help").short('h').long("help").help("Print this").action(ArgAction::HelpShort),
            time("timeout", "Longest that it may run: 5s, 200ms, 2m; plain numbers are milliseconds"),
            time("cpu", "CPU time that it may use; processes that it starts have as much each"),
            size("memory", "Largest heap of its Lua: 64M, 512K")
                .value_parser(ValueParser::new(units::memory)),
            count("files", "Descriptors that it may have open at once", 1 << 20),
            size("fsize", "Largest file that it may write").value_parser(ValueParser::new(units::file_size)),
            size("result-limit", "Largest result that it may return")
                .value_parser(ValueParser::new(units::memory)),
            count("nice", "Scheduling priority, 0 to 19 (lowest)", 19),
            wall("sandbox", "Nothing but computing: no files, network, programs, environment"),
            path("read", "Let it read a file or a folder, with all below"),
            path("write", "Let it read, write, create and remove there"),
            wall("net", "Let it use the network"),
            granted("env", "Let it see these environment variables"),
            granted("libs", "Let it require these modules"),
            wall("exec", "Let it run programs"),
            count(
                "jobs",
                "Jobs that it may start and have at once, in the same sandbox (4)",
                i64::from(MOST_JOBS),
            )
            .help_heading(SANDBOX),
            wall("best-effort", "Go on with what this kernel can enforce, if that is not all"),
            switch("json", "Print a JSON object that tells everything, when it has ended")
                .help_heading(OUTPUT),
            size("capture-limit", "Bytes of stdout and of stderr that the JSON object has at most (1M)")
                .value_parser(ValueParser::new(units::capture))
                .requires("json")
                .help_heading(OUTPUT),
            valued("name", "NAME", "Name in messages and process lists (the script's)").help_heading(OUTPUT),
            Arg::new("script")
                .value_name("SCRIPT")
                .help("Lua script, or - for standard input; what follows are its arguments")
                .required(true)
                .num_args(1..)
                .trailing_var_arg(true)
                .value_parser(value_parser!(OsString))
                .value_hint(ValueHint::FilePath),
        ])
        .after_help(format!("{TEACHING}\nExit codes:\n{}", exits::text()))
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

fn valued(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help).value_parser(value_parser!(OsString))
}

fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).help(help).action(ArgAction::SetTrue)
}

/// Reads the command line, from the word `run` on. The error is also how help is asked for.
pub(crate) fn parse(words: &[CString]) -> Result<Options, clap::Error> {
    let words = words.iter().map(|word| OsStr::from_bytes(word.as_bytes()));
    command().try_get_matches_from(words).map(read)
}

fn read(mut given: ArgMatches) -> Options {
    let mut words = take_all(&mut given, "script").into_iter();
    let script = words.next().unwrap_or_default();
    let granted = Sandbox {
        read: take_all(&mut given, "read"),
        write: take_all(&mut given, "write"),
        env: take_all(&mut given, "env"),
        libs: take_all(&mut given, "libs"),
        net: given.get_flag("net"),
        exec: given.get_flag("exec"),
        jobs: given.remove_one("jobs"),
        best_effort: given.get_flag("best-effort"),
    };
    let sandboxed = given.get_flag("sandbox") || granted != Sandbox::default();
    Options {
        script,
        arguments: words.collect(),
        name: given.remove_one("name"),
        timeout: given.remove_one("timeout"),
        cpu: given.remove_one("cpu"),
        memory: given.remove_one("memory"),
        files: given.remove_one("files"),
        fsize: given.remove_one("fsize"),
        result_limit: given.remove_one("result-limit"),
        nice: given.remove_one("nice"),
        sandbox: sandboxed.then_some(granted),
        json: given.get_flag("json"),
        capture_limit: given.remove_one("capture-limit").unwrap_or(CAPTURED),
    }
}

fn take_all(given: &mut ArgMatches, name: &str) -> Vec<OsString> {
    given.remove_many(name).map(Iterator::collect).unwrap_or_default()
}

#[cfg(test)]
mod tests;
