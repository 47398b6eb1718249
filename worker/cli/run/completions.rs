//! `llib completions SHELL`, from the description of the command line that also parses it.

use std::ffi::CString;

use clap::{Arg, ArgAction, Command, CommandFactory, Parser, ValueHint};
use clap_complete::{Shell, generate};

const NAME: &str = "llib";

#[derive(Parser)]
#[command(
    name = "completions",
    bin_name = "llib completions",
    about = "Print a shell's completion script",
    after_help = "Examples:
  llib completions bash > ~/.local/share/bash-completion/completions/llib
  llib completions zsh > \"${fpath[1]}/_llib\"
  llib completions fish > ~/.config/fish/completions/llib.fish"
)]
struct Options {
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// The whole command, as completions see it. The options in front are `crate::arguments`'.
fn whole() -> Command {
    let switch = |name: &'static str, letter, help: &'static str| {
        Arg::new(name).short(letter).help(help).action(ArgAction::SetTrue)
    };
    Command::new(NAME)
        .disable_version_flag(true)
        .disable_help_subcommand(true)
        .args([
            Arg::new("execute").short('e').value_name("CODE").help("Run this code, before the script"),
            Arg::new("require").short('l').value_name("MODULE").help("Require the module into a global"),
            switch("ignore-environment", 'E', "Ignore LUA_INIT, LUA_PATH and LUA_CPATH"),
            switch("warnings", 'W', "Turn warnings on"),
            switch("version-line", 'v', "Print Lua's version, then go on"),
            Arg::new("version").long("version").help("Print versions").action(ArgAction::SetTrue),
            Arg::new("script").value_name("SCRIPT").num_args(1..).value_hint(ValueHint::FilePath),
        ])
        .subcommand(super::options::command())
        .subcommand(crate::top::options::command())
        .subcommand(Options::command())
}

/// The script for the shell that the words from `completions` on name. The error is also how help is asked for.
pub(crate) fn script(words: &[CString]) -> Result<Vec<u8>, clap::Error> {
    let Options { shell } = super::parse(Options::command(), words)?;
    let mut script = Vec::new();
    generate(shell, &mut whole(), NAME, &mut script);
    Ok(script)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script_for(shell: &str) -> String {
        let words = ["completions", shell].map(|word| CString::new(word).unwrap());
        String::from_utf8(script(&words).unwrap()).unwrap()
    }

    #[test]
    fn every_shell_is_told_of_every_option() {
        whole().debug_assert();
        for shell in ["bash", "zsh", "fish"] {
            let script = script_for(shell);
            let commands = [super::super::options::command(), crate::top::options::command()];
            for option in commands.iter().flat_map(Command::get_arguments).filter_map(Arg::get_long) {
                // fish has them without dashes.
                let found =
                    script.contains(&format!("--{option}")) || script.contains(&format!("-l {option}"));
                assert!(found, "{shell}: {option}");
            }
            assert!(script.contains("completions"), "{shell}");
        }
    }

    #[test]
    fn the_options_in_front_are_those_that_are_parsed() {
        use crate::arguments::{UsageError, parse};
        for option in whole().get_arguments().filter_map(Arg::get_short) {
            let words = ["llib", &format!("-{option}"), "x"].map(|word| CString::new(word).unwrap());
            let refused = matches!(parse(&words, false), Err(UsageError::Unrecognized(_)));
            assert!(!refused, "-{option}");
        }
        let help = crate::help::help();
        for line in help.lines().filter_map(|line| line.strip_prefix("  -")) {
            let letter = line.chars().next().unwrap();
            let known =
                letter == '-' || whole().get_arguments().any(|option| option.get_short() == Some(letter));
            assert!(known, "-{letter}");
        }
    }

    #[test]
    fn an_unknown_shell_is_refused() {
        let words = ["completions", "csh"].map(|word| CString::new(word).unwrap());
        assert!(script(&words).is_err());
    }
}
