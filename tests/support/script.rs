//! What to run, and how.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::scratch::unique;
use crate::session::{Outcome, Session};
use crate::shm::Shm;
use crate::{Scratch, binaries, filter, process, shm, until, version};

/// Who runs a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpreter {
    /// The command `llib`.
    Builtin,
    /// Lua as the system has it, with the module.
    Stock,
}

impl Interpreter {
    /// Those that this machine has.
    pub fn all() -> Vec<Interpreter> {
        let stock = binaries::stock_lua().map(|_| Interpreter::Stock);
        [Interpreter::Builtin].into_iter().chain(stock).collect()
    }

    fn program(self) -> PathBuf {
        match self {
            Interpreter::Builtin => binaries::llib(),
            Interpreter::Stock => binaries::stock_lua().expect("callers ask for it where it is installed"),
        }
    }
}

/// What every script finds, in front of its first line: `llib`, `thread`, and
/// `say(...)`, print at once; `hear()`, a line of the test; `gone(pid)`, whether no such process is there,
/// not even a zombie; `wait(condition)`, with a deadline.
const PRELUDE: &str = "local llib = require 'llib' local thread = llib.thread \
    local function say(...) print(...) io.stdout:flush() end \
    local function hear() return io.read('*l') end \
    local function gone(pid) local f = io.open('/proc/' .. pid .. '/stat') if f then f:close() end return not f end \
    local function wait(condition) for _ = 1, 5000 do local x = condition() if x then return x end thread.sleep(1) end \
    error('waited 5 s in vain', 2) end ";

/// A Lua script with the circumstances of its run.
#[derive(Debug)]
pub struct Script {
    text: String,
    file: Option<PathBuf>,
    program: Option<PathBuf>,
    subcommand: Vec<String>,
    interpreter: Interpreter,
    environment: Vec<(String, OsString)>,
    wrapper: Vec<String>,
    shm: Option<String>,
    limit: Duration,
    arguments: Vec<String>,
    directory: Option<PathBuf>,
    own_group: bool,
    missing: Option<u32>,
}

impl Script {
    /// A script for the built-in interpreter, after the prelude.
    pub fn new(text: &str) -> Script {
        Script::plain(&format!("{PRELUDE}{text}"))
    }

    /// A script without the prelude.
    pub fn plain(text: &str) -> Script {
        Script {
            text: text.to_owned(),
            file: None,
            program: None,
            subcommand: Vec::new(),
            interpreter: Interpreter::Builtin,
            environment: Vec::new(),
            wrapper: Vec::new(),
            shm: None,
            limit: Duration::from_secs(60),
            arguments: Vec::new(),
            directory: None,
            own_group: false,
            missing: None,
        }
    }

    /// A script that stands in a file, without the prelude.
    pub fn file(path: &Path) -> Script {
        Script { file: Some(path.to_owned()), ..Script::plain("") }
    }

    /// No script at all but another program, with these arguments. A Lua in it finds the module.
    pub fn program(program: &Path, arguments: &[&str]) -> Script {
        let arguments = arguments.iter().map(|word| (*word).to_owned()).collect();
        Script { program: Some(program.to_owned()), arguments, ..Script::plain("") }
    }

    /// Who runs it.
    pub fn by(mut self, interpreter: Interpreter) -> Script {
        self.interpreter = interpreter;
        self
    }

    /// An environment variable.
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Script {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Words between the interpreter and the script, such as `run --json`.
    pub fn subcommand(mut self, words: &str) -> Script {
        self.subcommand.extend(words.split_whitespace().map(str::to_owned));
        self
    }

    /// An argument of the script.
    pub fn argument(mut self, argument: &str) -> Script {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Its working directory, in place of the scratch directory.
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Script {
        self.directory = Some(directory.into());
        self
    }

    /// A command line that ends up as the interpreter's, such as `prlimit --nofile=20`.
    pub fn wrapped(mut self, line: &[impl AsRef<str>]) -> Script {
        self.wrapper.extend(line.iter().map(|word| word.as_ref().to_owned()));
        self
    }

    /// Makes it the leader of a process group, as a shell with job control does.
    pub fn in_own_group(mut self) -> Script {
        self.own_group = true;
        self
    }

    /// As on a kernel that does not have a system call.
    pub fn without_system_call(mut self, number: u32) -> Script {
        self.missing = Some(number);
        self
    }

    /// How long it may take, from start to end.
    pub fn limit(mut self, limit: Duration) -> Script {
        self.limit = limit;
        self
    }

    /// Gives it a shared memory of its own of this size, such as `64M`, where the user may do that.
    pub fn private_shm(mut self, size: &str) -> Script {
        if shm::can_be_private() {
            self.shm = Some(size.to_owned());
        }
        self
    }

    /// Runs it to its end.
    pub fn run(self) -> Outcome {
        self.start().finish()
    }

    /// Starts it.
    pub fn start(self) -> Session {
        let scratch = Scratch::with_script(&self.text);
        let mark = unique();
        let is_script = self.program.is_none();
        let finds_module = !is_script || self.interpreter == Interpreter::Stock;
        let program = self.program.unwrap_or_else(|| self.interpreter.program());
        let mut line: Vec<OsString> = Vec::new();
        if let Some(size) = &self.shm {
            let mount = "mount -t tmpfs -o \"size=$0\" tmpfs /dev/shm && exec \"$@\"";
            line.extend(["unshare", "-m", "sh", "-c", mount, size].map(OsString::from));
        }
        line.extend(self.wrapper.iter().map(OsString::from));
        line.push(program.into());
        line.extend(self.subcommand.iter().map(OsString::from));
        if is_script {
            line.push(self.file.unwrap_or_else(|| scratch.path().join("script.lua")).into());
        }
        line.extend(self.arguments.iter().map(OsString::from));

        let mut command = Command::new(&line[0]);
        command.args(&line[1..]).current_dir(self.directory.as_deref().unwrap_or(scratch.path()));
        for name in ["LUA_INIT", "LUA_PATH", "LUA_CPATH", "LLIB_WORKER"] {
            command.env_remove(name).env_remove(format!("{name}{}", version::suffix()));
        }
        if finds_module {
            command.env("LUA_CPATH", format!("{}/lib?.so;;", binaries::directory().display()));
        }
        command.env(process::MARK, &mark).env("SCRATCH", scratch.path());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        // Files, not pipes: whatever outlives the script may hold them open.
        let open =
            |name: &str| File::create(scratch.path().join(name)).expect("the scratch directory is ours");
        command.stdin(Stdio::piped()).stdout(open("stdout")).stderr(open("stderr"));
        if self.own_group {
            command.process_group(0);
        }
        if let Some(number) = self.missing {
            filter::without_system_call(&mut command, number);
        }
        let described = format!("{command:?}");
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot run {described}: {error}"));
        let pid = child.id().cast_signed();
        let shm = match &self.shm {
            None => Shm::Shared,
            Some(_) => {
                until(Duration::from_secs(10), || Shm::private(pid)).expect("the wrapper mounts /dev/shm")
            }
        };
        Session::new(child, scratch, mark, described, self.text, self.limit, shm)
    }
}
