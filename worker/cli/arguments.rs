//! The command line: as given -> what to do. Pure: no Lua, no environment, no descriptors.
//!
//! Options are those of stock Lua without its interactive mode. Subcommands are told apart before, by the
//! first word.

use std::ffi::{CStr, CString};

/// What the command line asks for.
#[derive(Debug, PartialEq)]
pub(crate) enum Request {
    /// Print the help text.
    Help,
    /// Print the versions of llib and of Lua.
    Version,
    /// Run Lua code.
    Run(Invocation),
}

/// One run of the interpreter.
#[derive(Debug, PartialEq)]
pub(crate) struct Invocation {
    /// Every argument, the program's name first.
    pub(crate) argv: Vec<CString>,
    /// Index in `argv` of the script, 0 when there is none: the argument that becomes `arg[0]`.
    pub(crate) base: usize,
    /// What comes before the main chunk, in order.
    pub(crate) steps: Vec<Step>,
    /// The main chunk.
    pub(crate) chunk: Chunk,
    /// `-v`
    pub(crate) print_version: bool,
    /// `-E`
    pub(crate) ignore_environment: bool,
}

/// An option that acts on the Lua state.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    /// `-e code`
    Execute(CString),
    /// `-l module`, `-l global=module`
    Require { global: CString, module: CString },
    /// `-W`
    WarningsOn,
}

/// Where the main chunk comes from.
#[derive(Debug, PartialEq)]
pub(crate) enum Chunk {
    /// The file named by `argv[base]`, called with the script's arguments.
    File,
    /// `-`: standard input, called with the script's arguments.
    Stdin,
    /// Standard input because nothing else is given, called without arguments.
    BareStdin,
    /// Nothing but the steps.
    None,
}

/// A command line that makes no sense.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(crate) enum UsageError {
    /// Neither code nor a script, and standard input is a terminal.
    #[error("nothing to run")]
    NothingToRun,
    /// An option that does not exist.
    #[error("unrecognized option '{}'", .0.to_string_lossy())]
    Unrecognized(CString),
    /// `-e` or `-l` at the end or before another option.
    #[error("'{}' needs argument", .0.to_string_lossy())]
    NeedsArgument(CString),
}

/// The name that starts each message.
pub(crate) fn program(argv: &[CString]) -> &CStr {
    argv.first().filter(|name| !name.is_empty()).map_or(c"llib", CString::as_c_str)
}

/// Reads the command line.
pub(crate) fn parse(argv: &[CString], stdin_is_terminal: bool) -> Result<Request, UsageError> {
    let mut run = Invocation {
        argv: argv.to_vec(),
        base: 0,
        steps: Vec::new(),
        chunk: Chunk::BareStdin,
        print_version: false,
        ignore_environment: false,
    };
    let mut rest = argv.iter().enumerate().skip(1);
    while let Some((index, argument)) = rest.next() {
        match argument.as_bytes() {
            b"-" => {
                (run.base, run.chunk) = (index, Chunk::Stdin);
                break;
            }
            b"--" => {
                if index + 1 < argv.len() {
                    (run.base, run.chunk) = (index + 1, Chunk::File);
                }
                break;
            }
            b"--help" => return Ok(Request::Help),
            b"--version" => return Ok(Request::Version),
            b"-v" => run.print_version = true,
            b"-E" => run.ignore_environment = true,
            b"-W" => run.steps.push(Step::WarningsOn),
            [b'-', option @ (b'e' | b'l'), attached @ ..] => {
                let value = match attached {
                    [] => rest.next().map(|(_, next)| next.as_bytes()).filter(|next| !next.starts_with(b"-")),
                    attached => Some(attached),
                };
                let value = value.ok_or_else(|| UsageError::NeedsArgument(argument.clone()))?;
                run.steps.push(if *option == b'e' { Step::Execute(text(value)) } else { library(value) });
            }
            [b'-', ..] => return Err(UsageError::Unrecognized(argument.clone())),
            _ => {
                (run.base, run.chunk) = (index, Chunk::File);
                break;
            }
        }
    }
    let executes = run.steps.iter().any(|step| matches!(step, Step::Execute(_)));
    if run.chunk == Chunk::BareStdin {
        if executes || run.print_version {
            run.chunk = Chunk::None;
        } else if stdin_is_terminal {
            return Err(UsageError::NothingToRun);
        }
    }
    Ok(Request::Run(run))
}

/// `global=module`, or `module`, whose global is the name up to Lua's ignore mark (`-`).
fn library(value: &[u8]) -> Step {
    let mut halves = value.splitn(2, |byte| *byte == b'=');
    let global = halves.next().unwrap_or_default();
    match halves.next() {
        Some(module) => Step::Require { global: text(global), module: text(module) },
        None => {
            let stem = value.split(|byte| *byte == b'-').next().unwrap_or_default();
            Step::Require { global: text(stem), module: text(value) }
        }
    }
}

/// A part of an argument as a C string. It holds no NUL byte, since no argument does.
fn text(bytes: &[u8]) -> CString {
    CString::new(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests;
