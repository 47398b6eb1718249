//! The command `llib` behaves as the stock `lua` does: same output, same messages, same exit status.
//!
//! Each case records what has to come out and is also run by the stock interpreter, where one is
//! installed, so that the record itself cannot be wrong. Both are started under the name `lua`, which
//! makes their messages equal to the byte.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use support::binaries::{llib, stock_lua};
use support::{Scratch, version};

/// A run that takes longer is killed, and its test fails.
const LIMIT: Duration = Duration::from_secs(30);

/// The name under which both interpreters run.
const NAME: &str = "lua";

/// What came out of a process.
#[derive(Debug, PartialEq, Clone)]
struct Outcome {
    code: Option<i32>,
    signal: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Outcome {
    /// What all releases of a version agree on.
    fn essence(mut self) -> Self {
        if let Some(at) = self.stderr.find("\nstack traceback:") {
            self.stderr.truncate(at);
        }
        self.stderr.truncate(self.stderr.trim_end().len());
        self
    }

    fn of(code: i32, stdout: &str, stderr: &str) -> Self {
        Self { code: Some(code), signal: None, stdout: stdout.to_owned(), stderr: stderr.to_owned() }
    }
}

/// A process that is about to run `script.lua` in `folder`, with none of Lua's variables set.
fn command(program: &Path, folder: &Path, line: &[&str], env: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program);
    command.arg0(NAME).args(line).current_dir(folder);
    for name in ["LUA_INIT", "LUA_PATH", "LUA_CPATH"] {
        command.env_remove(name).env_remove(format!("{name}{}", version::suffix()));
    }
    command.envs(env.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Reads a stream to its end, beside the process.
fn collect(mut stream: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Waits for a process whose standard input is closed.
fn finish(mut child: Child, stdout: thread::JoinHandle<String>) -> Outcome {
    let stderr = collect(child.stderr.take().unwrap());
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > LIMIT {
            child.kill().unwrap();
            let _ = child.wait();
            panic!("still running after {LIMIT:?}; stderr: {}", stderr.join().unwrap());
        }
        thread::sleep(Duration::from_millis(1));
    };
    let (stdout, stderr) = (stdout.join().unwrap(), stderr.join().unwrap());
    Outcome { code: status.code(), signal: status.signal(), stdout, stderr }
}

/// One behaviour: a script, how it is started, and what comes out.
struct Case {
    claim: &'static str,
    script: &'static str,
    line: &'static [&'static str],
    env: &'static [(&'static str, &'static str)],
    stdin: &'static str,
    expected: Outcome,
    /// The first version with what the case is about; the command has 5.4's options in every version.
    since: &'static str,
}

impl Case {
    fn new(claim: &'static str, script: &'static str) -> Self {
        let expected = Outcome::of(0, "", "");
        Self { claim, script, line: &["script.lua"], env: &[], stdin: "", expected, since: "5.1" }
    }

    /// The command line, in place of `script.lua` alone.
    fn line(self, line: &'static [&'static str]) -> Self {
        Self { line, ..self }
    }

    fn since(self, since: &'static str) -> Self {
        Self { since, ..self }
    }

    fn env(self, env: &'static [(&'static str, &'static str)]) -> Self {
        Self { env, ..self }
    }

    fn stdin(self, stdin: &'static str) -> Self {
        Self { stdin, ..self }
    }

    fn prints(mut self, stdout: &str) -> Self {
        stdout.clone_into(&mut self.expected.stdout);
        self
    }

    fn warns(mut self, stderr: &str) -> Self {
        stderr.clone_into(&mut self.expected.stderr);
        self
    }

    fn exits(mut self, code: i32) -> Self {
        self.expected.code = Some(code);
        self
    }

    /// Exit status 1 with this message.
    fn fails(self, stderr: &str) -> Self {
        self.warns(stderr).exits(1)
    }

    /// Exit status 1 with this message of an `error` called in the script's first line.
    fn raises(self, message: &str) -> Self {
        self.fails(&format!(
            "{message}\nstack traceback:\n\t[C]: in function 'error'\n\tscript.lua:1: in main chunk\n\t[C]: in ?\n"
        ))
    }

    fn run(&self, program: &Path) -> Outcome {
        let scratch = Scratch::with_script(self.script);
        let mut child = command(program, scratch.path(), self.line, self.env).spawn().unwrap();
        // A script that ends before it read everything closes the pipe: no error of this test.
        let _ = child.stdin.take().unwrap().write_all(self.stdin.as_bytes());
        let stdout = collect(child.stdout.take().unwrap());
        finish(child, stdout)
    }
}

/// Runs each case by the command, and by the stock interpreter where there is one.
///
/// The records are those of Lua 5.4. In another version the command has to do what that version's stock
/// interpreter does: the same output, exit status and message; tracebacks differ from release to release.
fn check(cases: &[Case]) {
    let (llib, stock) = (llib(), stock_lua());
    for case in cases {
        if case.since > version::NUMBER {
            continue;
        }
        if version::FEATURE != "lua54" {
            if let Some(stock) = &stock {
                assert_eq!(case.run(&llib).essence(), case.run(stock).essence(), "{}", case.claim);
            }
            continue;
        }
        if let Some(stock) = &stock {
            assert_eq!(case.run(stock), case.expected, "{}: the record is wrong", case.claim);
        }
        assert_eq!(case.run(&llib), case.expected, "{}", case.claim);
    }
}

#[test]
fn arguments_reach_the_script() {
    const SHOW: &str = "for i = -4, 4 do if arg[i] then io.write(i, '=', arg[i], ' ') end end print(...)";
    check(&[
        Case::new("no arguments", SHOW).prints("-1=lua 0=script.lua \n"),
        Case::new("arguments follow the script", SHOW)
            .line(&["script.lua", "a", "", "-x"])
            .prints("-1=lua 0=script.lua 1=a 2= 3=-x a\t\t-x\n"),
        Case::new("options stand before it", SHOW)
            .line(&["-e", "x = 1", "script.lua", "a"])
            .prints("-3=lua -2=-e -1=x = 1 0=script.lua 1=a a\n"),
        Case::new("two dashes end the options", SHOW)
            .line(&["--", "script.lua", "a"])
            .prints("-2=lua -1=-- 0=script.lua 1=a a\n"),
        Case::new("the script sees what earlier code made of arg", "print(...)")
            .line(&["-e", "arg = {10, 20}", "script.lua", "a"])
            .prints("10\t20\n"),
        Case::new("arg may not be anything else", "")
            .since("5.3")
            .line(&["-e", "arg = 1", "script.lua"])
            .fails("lua: 'arg' is not a table\n"),
    ]);
}

#[test]
fn standard_input_is_a_script_too() {
    check(&[
        Case::new("without arguments", "").since("5.3").line(&[]).stdin("print(arg[0], ...)").prints("lua\n"),
        Case::new("as a dash", "").line(&["-", "a"]).stdin("print(arg[0], ...)").prints("-\ta\n"),
        Case::new("its errors name it", "").line(&["-"]).stdin("\n\nerror('boom', 1)").fails(
            "lua: stdin:3: boom\nstack traceback:\n\t[C]: in function 'error'\n\tstdin:3: in main chunk\n\t[C]: in ?\n",
        ),
        Case::new("a file named - after two dashes", "")
            .line(&["--", "-"])
            .fails("lua: cannot open -: No such file or directory\n"),
        Case::new("a script reads it", "for line in io.lines() do io.write('<', line, '>') end")
            .stdin("one\ntwo")
            .prints("<one><two>"),
    ]);
}

#[test]
fn errors_are_reported_as_by_stock_lua() {
    check(&[
        Case::new("an error with its place", "error('boom')").raises("lua: script.lua:1: boom"),
        Case::new("a runtime error", "local t\nlocal x = t.y").fails(
            "lua: script.lua:2: attempt to index a nil value (local 't')\nstack traceback:\n\tscript.lua:2: in main chunk\n\t[C]: in ?\n",
        ),
        Case::new("a syntax error", "x = = 1").fails("lua: script.lua:1: unexpected symbol near '='\n"),
        Case::new("a missing file", "")
            .line(&["nowhere.lua"])
            .fails("lua: cannot open nowhere.lua: No such file or directory\n"),
        Case::new("a table", "error({})").since("5.3").raises("lua: (error object is a table value)"),
        Case::new("nil", "error()").since("5.3").raises("lua: (error object is a nil value)"),
        Case::new("a number is a message", "error(42)").raises("lua: 42"),
        Case::new(
            "an object says what it is, without a traceback",
            "error(setmetatable({}, {__tostring = function() return 'own words' end}))",
        )
        .since("5.2")
        .fails("lua: own words\n"),
        Case::new(
            "an object whose __tostring gives no string",
            "error(setmetatable({}, {__tostring = function() return {} end}))",
        )
        .since("5.3")
        .raises("lua: (error object is a table value)"),
        Case::new("a message ends at a NUL byte", "error('a\\0b', 0)").raises("lua: a"),
        Case::new(
            "a script's buffered messages come first",
            "io.stderr:setvbuf('full') io.stderr:write('before\\n') error('boom', 0)",
        )
        .raises("before\nlua: boom"),
        Case::new("output written before an error is kept", "io.write('kept') error('boom', 0)")
            .prints("kept")
            .raises("lua: boom"),
    ]);
}

#[test]
fn a_deep_traceback_is_cut_in_its_middle() {
    let script = "local function f(n)\n  if n == 0 then error('deep', 0) end\n  return 1 + f(n - 1)\nend\nlocal t = {}\nfunction t:m() f(40) end\nfunction global() t:m() end\nglobal()";
    let first = "\tscript.lua:2: in upvalue 'f'\n";
    let f = "\tscript.lua:3: in upvalue 'f'\n";
    let expected = format!(
        "lua: deep\nstack traceback:\n\t[C]: in function 'error'\n{first}{}\t...\t(skipping 24 levels)\n{}\tscript.lua:6: in method 'm'\n\tscript.lua:7: in function 'global'\n\tscript.lua:8: in main chunk\n\t[C]: in ?\n",
        f.repeat(8),
        f.repeat(7)
    );
    check(&[Case::new("deep", script).fails(&expected)]);
}

#[test]
fn the_state_is_closed_at_the_end() {
    check(&[
        Case::new("finalizers run", "setmetatable({}, {__gc = function() print('gc') end})").prints("gc\n"),
        Case::new(
            "finalizers run after an error",
            "setmetatable({}, {__gc = function() print('gc') end}) error('boom', 0)",
        )
        .prints("gc\n")
        .raises("lua: boom"),
        Case::new(
            "variables are closed",
            "local x <close> = setmetatable({}, {__close = function() print('close') end}) error('boom', 0)",
        )
        .prints("close\n")
        .raises("lua: boom"),
        Case::new(
            "os.exit ends at once",
            "setmetatable({}, {__gc = function() print('gc') end}) os.exit(7)",
        )
        .exits(7),
        Case::new(
            "os.exit closes when asked to",
            "setmetatable({}, {__gc = function() print('gc') end}) io.write('buffered ') os.exit(false, true)",
        )
        .prints("buffered gc\n")
        .exits(1),
        Case::new("os.exit with true", "os.exit(true)"),
        Case::new("a script's values are not an exit status", "return 3"),
    ]);
}

#[test]
fn options_run_code_and_load_modules() {
    check(&[
        Case::new("-e", "").line(&["-e", "print(1)", "-eprint(2)"]).prints("1\n2\n"),
        Case::new("-e with an error", "print('not reached')")
            .line(&["-e", "x x", "script.lua"])
            .fails("lua: (command line):1: syntax error near 'x'\n"),
        Case::new("-l", "")
            .since("5.4")
            .line(&[
                "-e",
                "package.preload.m = function() return 'loaded' end",
                "-lm",
                "-l",
                "g=m",
                "-e",
                "print(m, g)",
            ])
            .prints("loaded\tloaded\n"),
        Case::new("warnings are off", "warn('lost') warn('@on') warn('seen')")
            .since("5.4")
            .warns("Lua warning: seen\n"),
        Case::new("-W", "warn('seen')").since("5.4").line(&["-W", "script.lua"]).warns("Lua warning: seen\n"),
        Case::new("the collector is generational", "print(collectgarbage('incremental'))")
            .prints("generational\n"),
    ]);
}

#[test]
fn the_environment_is_honoured() {
    const PATHS: &str =
        "print(package.path:sub(1, 4), package.path:sub(-4), #package.path > 20, package.cpath)";
    check(&[
        Case::new("LUA_INIT runs first", "print(x)").env(&[("LUA_INIT", "x = 'init'")]).prints("init\n"),
        Case::new("LUA_INIT_5_4 wins", "print(x)")
            .env(&[("LUA_INIT", "x = 1"), ("LUA_INIT_5_4", "x = 2")])
            .prints("2\n"),
        Case::new("LUA_INIT names a file", "print('once', ...)")
            .line(&["-e", ""])
            .env(&[("LUA_INIT", "@script.lua")])
            .prints("once\n"),
        Case::new("an error in LUA_INIT ends the run", "print('not reached')")
            .env(&[("LUA_INIT", "error('boom')")])
            .fails(
                "lua: LUA_INIT:1: boom\nstack traceback:\n\t[C]: in function 'error'\n\tLUA_INIT:1: in main chunk\n\t[C]: in ?\n",
            ),
        Case::new("LUA_PATH and LUA_CPATH replace the defaults", "print(package.path, package.cpath)")
            .env(&[("LUA_PATH", "?.x"), ("LUA_CPATH", "c"), ("LUA_CPATH_5_4", "?.y")])
            .prints("?.x\t?.y\n"),
        Case::new("two semicolons stand for the default", PATHS)
            .env(&[("LUA_PATH", "?.a;;?.b"), ("LUA_CPATH", "c")])
            .prints("?.a;\t;?.b\ttrue\tc\n"),
        Case::new("-E ignores all of it", "print(x, package.path ~= 'p')")
            .since("5.2")
            .line(&["-E", "script.lua"])
            .env(&[("LUA_INIT", "x = 1"), ("LUA_PATH", "p")])
            .prints("nil\ttrue\n"),
    ]);
}

/// Starts the script, sends SIGINT each time it prints a line `ready`, waits for its end.
fn interrupt(program: &Path, script: &str) -> Outcome {
    let scratch = Scratch::with_script(script);
    let mut child = command(program, scratch.path(), &["script.lua"], &[]).spawn().unwrap();
    let stdin = child.stdin.take();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let kill = format!("kill -INT {}", child.id());
    let stdout = thread::spawn(move || {
        let mut read = String::new();
        for line in lines {
            let line = line.unwrap();
            if line == "ready" {
                assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
            }
            read.push_str(&line);
            read.push('\n');
        }
        read
    });
    let outcome = finish(child, stdout);
    drop(stdin);
    outcome
}

/// What a script says that SIGINT stopped. Where exactly the signal met it is a matter of chance, so the
/// place in front of the message and the first lines of the traceback are not looked at.
fn assert_interrupted(who: &str, outcome: &Outcome) {
    assert_eq!((outcome.code, outcome.signal), (Some(1), None), "{who}: {outcome:?}");
    assert_eq!(outcome.stdout, "ready\n", "{who}");
    let (message, traceback) = outcome.stderr.split_once('\n').unwrap();
    assert!(message.starts_with("lua: ") && message.ends_with("interrupted!"), "{who}: {outcome:?}");
    assert!(traceback.starts_with("stack traceback:\n\t"), "{who}: {outcome:?}");
    // Lua 5.1 ends its tracebacks without "in".
    let end = traceback.replace("[C]: ?", "[C]: in ?");
    assert!(end.ends_with(": in main chunk\n\t[C]: in ?\n"), "{who}: {outcome:?}");
}

#[test]
fn sigint_interrupts_a_script_with_an_error() {
    let scripts = [
        ("in a busy loop", "io.write('ready\\n') io.flush()\nwhile true do end"),
        ("in a blocking read", "io.write('ready\\n') io.flush()\nprint(io.read())"),
    ];
    for (claim, script) in scripts {
        if claim == "in a busy loop" && version::FEATURE == "luajit" {
            // Compiled code does not look for hooks, in the stock interpreter neither.
            continue;
        }
        // Before Lua 5.3 a read in the stock interpreter goes on after the signal.
        let stock = stock_lua().filter(|_| claim == "in a busy loop" || version::NUMBER >= "5.3");
        for program in stock.iter().chain([&llib()]) {
            assert_interrupted(&format!("{claim}: {}", program.display()), &interrupt(program, script));
        }
    }
}

#[test]
fn the_second_sigint_is_deadly() {
    if version::FEATURE == "luajit" {
        // The first one is not seen by compiled code, which this script soon is.
        return;
    }
    let script =
        "local function spin() io.write('ready\\n') io.flush() while true do end end\npcall(spin)\nspin()";
    let expected =
        Outcome { code: None, signal: Some(2), stdout: "ready\n".repeat(2), stderr: String::new() };
    for program in stock_lua().iter().chain([&llib()]) {
        assert_eq!(interrupt(program, script), expected, "{}", program.display());
    }
}

#[test]
fn a_closed_pipe_ends_the_script_as_any_program() {
    for program in stock_lua().iter().chain([&llib()]) {
        let scratch = Scratch::with_script("io.read() while true do print('line') end");
        let mut child = command(program, scratch.path(), &["script.lua"], &[]).spawn().unwrap();
        drop(child.stdout.take());
        drop(child.stdin.take());
        let outcome = finish(child, collect(std::io::empty()));
        assert_eq!(outcome.signal, Some(13), "{}: {outcome:?}", program.display());
    }
}

/// What a script prints in the command alone: stock interpreters have no llib.
fn prints(script: &str, line: &[&str]) -> String {
    let scratch = Scratch::with_script(script);
    let mut child = command(&llib(), scratch.path(), line, &[]).spawn().unwrap();
    let stdout = collect(child.stdout.take().unwrap());
    let outcome = finish(child, stdout);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    outcome.stdout
}

#[test]
fn the_module_is_there_as_a_global_and_by_require() {
    const SCRIPT: &str = "print(llib == require 'llib', type(llib.thread.async), next(package.loaded.llib) ~= nil) \
        print(llib.thread.async(function() return llib == require 'llib', llib.crypto.md5('x') end):await())";
    let digest = "9dd4e461268c8034f5c8564e155c67a6";
    assert_eq!(prints(SCRIPT, &["script.lua"]), format!("true\tfunction\ttrue\ntrue\t{digest}\n"));
    // Before anything of the user's runs, and without Lua's variables too.
    let early = ["-E", "-e", "early = llib.thread.buffer(5):get()", "script.lua"];
    assert_eq!(prints("print(early, type(llib))", &early), "5\ttable\n");
    // It is a global like any other.
    assert_eq!(prints("llib = nil print(llib, type(require 'llib'))", &["script.lua"]), "nil\ttable\n");
}

#[test]
fn modules_written_in_c_load() {
    let Some(stock) = stock_lua() else { return };
    const SCRIPT: &str = "local module = require(arg[1]) print(arg[1], type(module), package.searchpath(arg[1], package.cpath))";
    for name in ["cjson", "lfs", "lpeg", "luv", "socket.core"] {
        let run = |program: &Path| {
            let scratch = Scratch::with_script(SCRIPT);
            let mut child = command(program, scratch.path(), &["script.lua", name], &[]).spawn().unwrap();
            let stdout = collect(child.stdout.take().unwrap());
            finish(child, stdout)
        };
        let expected = run(&stock);
        // A module that is not installed is missed by both.
        assert_eq!(run(&llib()).stdout, expected.stdout, "{name}");
    }
}

#[test]
fn modules_are_found_where_the_stock_interpreter_finds_them() {
    let Some(stock) = stock_lua() else { return };
    let templates = |program: &Path| -> Vec<String> {
        let scratch = Scratch::with_script("io.write(package.path, ';', package.cpath)");
        let mut child = command(program, scratch.path(), &["script.lua"], &[]).spawn().unwrap();
        let stdout = collect(child.stdout.take().unwrap());
        finish(child, stdout).stdout.split(';').map(str::to_owned).collect()
    };
    let ours = templates(&llib());
    for template in templates(&stock) {
        let folder = template.split('?').next().unwrap();
        // LuaJIT's own modules fit the release that they came with alone.
        if Path::new(folder).is_dir() && !folder.contains("/luajit-2") {
            assert!(ours.contains(&template), "{template} is not among {ours:?}");
        }
    }
}

#[test]
fn wrong_options_teach() {
    let refused = |line: &'static [&'static str]| Case::new("", "").line(line).run(&llib());
    for (line, message) in [
        (&["-x"][..], "lua: unrecognized option '-x'\n"),
        (&["--sandbox", "script.lua"], "lua: unrecognized option '--sandbox'\n"),
        (&["-e"], "lua: '-e' needs argument\n"),
    ] {
        let outcome = refused(line);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{outcome:?}");
        let usage = outcome.stderr.strip_prefix(message).unwrap_or_else(|| panic!("{outcome:?}"));
        assert!(usage.starts_with("usage: llib "), "{outcome:?}");
    }
}

#[test]
fn help_and_version_are_answers_not_errors() {
    let help = Case::new("", "").line(&["--help"]).run(&llib());
    assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
    assert!(help.stdout.starts_with("usage: llib ") && help.stdout.contains("--version"), "{help:?}");

    let answer = Case::new("", "").line(&["--version"]).run(&llib());
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""));
    let lua = if version::FEATURE == "luajit" {
        "LuaJIT 2.1".to_owned()
    } else {
        format!("Lua {}.", version::NUMBER)
    };
    assert!(answer.stdout.starts_with("llib ") && answer.stdout.contains(&format!("\n{lua}")), "{answer:?}");

    let both = Case::new("", "print('then the script')").line(&["-v", "script.lua"]).run(&llib());
    assert!(both.stdout.starts_with(&lua) && both.stdout.ends_with("\nthen the script\n"), "{both:?}");
}
