//! The texts that teach the command.

use llib_lua::version;

/// What follows the message about a wrong option.
pub(crate) const USAGE: &str = "usage: llib [options] [script.lua [args]]
(llib --help tells more)
";

/// The answer to `--help`, and to a command that has nothing to run.
pub(crate) fn help() -> String {
    HELP.replace("{LUA}", version::NAME)
}

const HELP: &str = r#"usage: llib [options] [script.lua [args]]
       llib run [options] script.lua [args]
       llib top [options]

Runs a {LUA} script with the interpreter built in; require "llib" is ready in it.

  llib script.lua a b    run a file; the script finds its arguments in ... and in arg
  llib - a b             run what comes on standard input
  llib -e 'print(6*7)'   run a line of Lua

options:
  -e code        run this code, before the script
  -l module      require the module into a global of its name (-l g=module: into g)
  -E             ignore LUA_INIT, LUA_PATH and LUA_CPATH
  -W             turn warnings on
  -v             print Lua's version, then go on
  --             the next argument is the script, whatever its name
  --help, --version

commands, as the first word (a script of such a name is run by ./run):
  run            run a script as an isolated job, with limits, in a sandbox: llib run --help
  top            show running sessions, their jobs and locks: llib top --help
  completions    print a completion script for bash, zsh or fish

try this, which computes in a process of its own:

  llib -e 'print(require("llib").thread.async(function(res) res(6*7) end):await())'
"#;
