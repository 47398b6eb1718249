//! `llib run`: a script as a job, and how its end is told.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::pty::openpty;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use support::binaries::{find_program, llib, stock_lua};
use support::session::PATIENCE;
use support::wait::until_true;
use support::{Outcome, Process, Scratch, Script};

fn script(options: &str, text: &str) -> Script {
    Script::plain(text).subcommand(&format!("run {options}"))
}

fn run(options: &str, text: &str) -> Outcome {
    script(options, text).run()
}

/// Standard error without the program's name in front.
fn reason(outcome: &Outcome) -> &str {
    outcome.stderr.split_once("llib: ").map_or("", |(_, reason)| reason)
}

/// The one object that a run with `--json` printed.
fn document(outcome: &Outcome) -> Value {
    assert_eq!((outcome.stderr.as_str(), outcome.stdout.lines().count()), ("", 1), "{outcome:?}");
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome:?}"))
}

#[test]
fn every_way_to_end_has_its_code_and_its_reason_and_leaves_nothing() {
    for (options, text, code, words) in [
        ("", "return 1, 2, 3", 0, ""),
        ("", "os.exit(0)", 0, ""),
        ("", "os.exit(7)", 7, ""),
        ("", "error('oops', 0)", 1, "oops\nstack traceback:\n"),
        ("", "error({})", 1, "(error object is a table value)\n"),
        ("", "rej('no', 2)", 120, "rejected: no\n"),
        ("", "res(42) error('not reached')", 0, ""),
        (
            "--memory 8M",
            "local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end",
            121,
            "memory: not enough memory",
        ),
        ("--cpu 50ms", "while true do end", 122, "cpu: used "),
        (
            "--timeout 100ms",
            "while true do end",
            124,
            "deadline: still running after its timeout of 100 ms\n",
        ),
        (
            "--timeout 0.1s",
            "require'llib'.thread.sleep(1e9)",
            124,
            "deadline: still running after its timeout of 100 ms\n",
        ),
        (
            "",
            "os.execute('kill -SEGV $PPID') while true do end",
            139,
            "signal: the worker process died of SIGSEGV\n",
        ),
        ("", "return coroutine.create(print)", 0, ""),
        ("", "return return", 1, "script.lua:1: "),
        ("", "\x1bLua", 1, "script.lua: precompiled code is not run, only source text\n"),
        (
            "--timeout never",
            "",
            2,
            "invalid value 'never' for '--timeout <TIME>': a time above zero is expected",
        ),
        ("--sandbx", "", 2, "unexpected argument '--sandbx' found"),
    ] {
        let session = script(options, text).start();
        let outcome = session.end();
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(code), ""), "{outcome:?}");
        // Messages have the script's full path.
        let told = reason(&outcome);
        let told = told
            .find("script.lua")
            .filter(|_| words.starts_with("script.lua"))
            .map_or(told, |at| &told[at..]);
        assert!(told.starts_with(words), "{words}: {outcome:?}");
        assert_eq!(told.is_empty(), words.is_empty(), "{outcome:?}");
        session.expect_nothing_left();
    }
}

#[test]
fn errors_of_a_script_look_as_in_the_stock_interpreter() {
    let scratch = Scratch::new();
    scratch.write("raises.lua", "local function f() error('oops') end\nlocal x = f()\nreturn x");
    scratch.write("syntax.lua", "local x =");
    scratch
        .write("object.lua", "error(setmetatable({}, { __tostring = function() return 'an object' end }))");
    let run = |program: &Path, words: &[&str]| {
        let output = Command::new(program).args(words).current_dir(scratch.path()).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.stdout.is_empty(), "{stderr}");
        // Without the program's name.
        (output.status.code(), stderr.split_once(": ").map(|(_, rest)| rest.to_owned()).unwrap_or_default())
    };
    for (file, expected) in [
        ("nowhere.lua", "cannot open nowhere.lua: No such file or directory\n"),
        (".", "cannot read .: Is a directory\n"),
        ("syntax.lua", "syntax.lua:1: unexpected symbol near "),
        ("raises.lua", "raises.lua:1: oops\nstack traceback:\n"),
        ("object.lua", "an object\n"),
    ] {
        let (code, message) = run(&llib(), &["run", file]);
        assert_eq!(code, Some(1));
        assert!(message.starts_with(expected), "{message}");
        // Older versions word some of it in their own way.
        if let Some(stock) = stock_lua().filter(|_| cfg!(feature = "lua54")) {
            let (code, stock) = run(&stock, &[file]);
            assert_eq!(code, Some(1));
            // Below the script's own frames the two differ.
            let stock = stock.replace("\t[C]: in ?\n", "");
            assert!(message.starts_with(&stock), "{message}\nbut in stock Lua\n{stock}");
        }
    }
}

#[test]
fn the_script_gets_its_arguments_and_nothing_of_the_commands() {
    let outcome = script("--nice 3", "print(#arg, arg[0]:match('[^/]+$'), ...) print(res.name, x)")
        .argument("a b")
        .argument("--json")
        .argument("")
        .run();
    assert_eq!(outcome.output(), "3\tscript.lua\ta b\t--json\t\nscript.lua\tnil\n");
    let outcome = run("--name mine", "print(res.name)");
    assert_eq!(outcome.output(), "mine\n");
}

#[test]
fn a_script_that_starts_with_a_line_for_the_shell_is_a_program() {
    let scratch = Scratch::new();
    let text = format!("#!{} run\nprint('line', debug.getinfo(1, 'l').currentline, ...)", llib().display());
    let program = scratch.write_program("program", &text);
    let output = Command::new(program).arg("x").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "line\t2\tx\n", "{output:?}");
}

#[test]
fn a_script_called_run_needs_its_folder() {
    let scratch = Scratch::new();
    scratch.write("run", "print('the script run')");
    let output = Command::new(llib()).arg("./run").current_dir(scratch.path()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "the script run\n", "{output:?}");
}

#[test]
fn output_streams_and_input_reaches_the_script() {
    let session = script(
        "",
        "io.stdout:setvbuf('line') print('first') local line = io.read() print('heard ' .. line)
         io.stderr:write('also\\n') print(io.read('a'))",
    )
    .start();
    session.expect("first");
    session.say("hello");
    session.expect("heard hello");
    let outcome = session.end();
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), "also\n"), "{outcome:?}");
}

#[test]
fn a_dash_is_a_script_on_standard_input() {
    let session = Script::file(Path::new("-")).subcommand("run").argument("a").start();
    session.say("print('from stdin', arg[0], ...)\nprint(io.read('a') == '')\nerror('here')");
    let outcome = session.end();
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), "from stdin\t-\ta\ntrue\n"), "{outcome:?}");
    assert!(reason(&outcome).starts_with("stdin:3: here\n"), "{outcome:?}");
}

#[test]
fn json_has_result_usage_and_output() {
    let outcome = run(
        "--json",
        "io.write('out\\n') io.stderr:write('err\\n')
         return 1, 2.5, 'text\\n\"', nil, { 1, { a = true, b = {} } }",
    );
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let mut told = document(&outcome);
    let usage = told["usage"].take();
    let expected = json!({
        "ok": true, "exit_code": 0, "usage": null,
        "result": [1, 2.5, "text\n\"", null, [1, { "a": true, "b": {} }]],
        "output": { "stdout": "out\n", "stderr": "err\n", "truncated": false },
    });
    assert_eq!(told, expected);
    for (field, least) in [("wall", 0.001), ("user", 0.0), ("system", 0.0), ("maxrss", 100_000.0)] {
        assert!(usage[field].as_f64().is_some_and(|value| value >= least), "{field}: {usage}");
    }
}

#[test]
fn json_tells_a_failure_and_stays_one_object() {
    let told =
        document(&run("--json --timeout 100ms", "print('before') io.stdout:flush() while true do end"));
    assert_eq!(told["failure"]["kind"], "deadline");
    assert_eq!(
        (&told["ok"], &told["exit_code"], &told["failure"]["limit"]),
        (&json!(false), &json!(124), &json!(100))
    );
    assert_eq!(told["output"]["stdout"], "before\n");

    let told = document(&run("--json", "error('oops')"));
    assert_eq!((&told["failure"]["kind"], &told["exit_code"]), (&json!("error"), &json!(1)));
    let traceback = told["failure"]["traceback"].as_str().unwrap();
    assert!(traceback.ends_with("in main chunk") && !traceback.contains("llib run"), "{traceback}");

    let told = document(&run("--json", "os.exit(3)"));
    assert_eq!(
        (&told["failure"]["kind"], &told["failure"]["code"], &told["exit_code"]),
        (&json!("exit"), &json!(3), &json!(3))
    );
    let told = document(&run("--json", "return coroutine.create(print)"));
    assert_eq!((&told["failure"]["kind"], &told["exit_code"]), (&json!("encode"), &json!(119)));
    let told = document(&run("--json", "x ="));
    assert_eq!(told["failure"]["kind"], "error");
    assert_eq!(told["failure"].get("traceback"), None);
    let told = document(&Script::file(Path::new("/nowhere.lua")).subcommand("run --json").run());
    assert_eq!(told["failure"]["message"], "cannot open /nowhere.lua: No such file or directory");
}

#[test]
fn what_json_cannot_say_has_a_reason() {
    for (text, expected) in [
        ("return 1, print", "value 2: JSON has nothing for a function"),
        ("return { a = { 0 / 0 } }", "value 1.a[1]: JSON has no number for NaN"),
        ("return '\\255'", "value 1: the string is not UTF-8, which JSON has to be"),
        ("return { 1, x = 2 }", "value 1: JSON has no table with integer keys beside others"),
        ("local t = {} t.t = t return t", "nested more than 100 deep, or contain themselves"),
        // A table of 2^60 leaves, in 60 tables.
        (
            "local t = { 'leaf' } for _ = 1, 60 do t = { t, t } end return t",
            "the values take more than 64 MiB",
        ),
    ] {
        let outcome = run("--json", text);
        let told = document(&outcome);
        assert_eq!(
            (outcome.code, told.get("result"), told.get("failure")),
            (Some(0), None, None),
            "{outcome:?}"
        );
        assert!(told["result_error"].as_str().unwrap().ends_with(expected), "{told}");
    }
}

#[test]
fn captured_output_has_an_end_that_is_told() {
    for (length, truncated) in [(100, false), (101, true)] {
        let text = format!("io.write(('x'):rep({length}))");
        let told = document(&run("--json --capture-limit 100", &text));
        assert_eq!(
            told["output"],
            json!({ "stdout": "x".repeat(100), "stderr": "", "truncated": truncated })
        );
    }
}

#[test]
fn a_signal_ends_job_and_command_by_its_code() {
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143), (Signal::SIGHUP, 129)] {
        for text in ["print('ready') while true do end", "print('ready') os.execute('exec sleep 1000')"] {
            let session = script("", &format!("io.stdout:setvbuf('no') {text}")).start();
            session.expect("ready");
            session.host.signal(signal);
            let outcome = session.end();
            assert_eq!((outcome.code, outcome.signal), (Some(code), None), "{outcome:?}");
            assert_eq!(reason(&outcome), format!("killed: llib run was told to end by {signal}\n"));
            session.expect_nothing_left();
        }
    }
    let session =
        script("--json", "io.open(os.getenv('SCRATCH') .. '/ready', 'w'):close() while true do end").start();
    let ready = session.scratch.path().join("ready");
    assert!(until_true(PATIENCE, || ready.exists()));
    session.host.signal(Signal::SIGTERM);
    let outcome = session.end();
    let told = document(&outcome);
    assert_eq!(
        (outcome.code, &told["failure"]["kind"], &told["failure"]["signal"]),
        (Some(143), &json!("killed"), &json!("TERM"))
    );
}

#[test]
fn a_signal_that_the_parent_ignores_stays_ignored() {
    let session =
        script("", "io.stdout:setvbuf('no') print('ready') print(io.read())").wrapped(&["nohup"]).start();
    session.expect("ready");
    session.host.signal(Signal::SIGHUP);
    session.say("still here");
    session.expect("still here");
    assert_eq!(session.end().code, Some(0));
}

#[test]
fn ctrl_z_stops_job_and_command_until_they_are_continued() {
    let text = "io.stdout:setvbuf('no') print(res.pid) io.read() print('on')";
    // A group of its own: the system does not stop a process that nobody could continue.
    let session = script("", text).in_own_group().start();
    let job = session.number();
    let stopped = |pid| Process::find(pid).is_some_and(|process| process.state == 'T');
    session.host.signal(Signal::SIGTSTP);
    assert!(until_true(PATIENCE, || stopped(session.host.pid) && stopped(job)));
    session.host.signal(Signal::SIGCONT);
    assert!(until_true(PATIENCE, || !stopped(session.host.pid) && !stopped(job)));
    session.say("");
    session.expect("on");
    assert_eq!(session.end().code, Some(0));
}

#[test]
fn a_sandbox_grants_what_was_said_and_nothing_else() {
    let outcome = run("--sandbox", "print(io, os.execute, require, ...) return 1").output().to_owned();
    assert!(outcome.starts_with("nil\tnil\t"), "{outcome}");
    let scratch = Scratch::new();
    let given = scratch.write("given", "the text");
    let folder = scratch.path().join("folder");
    std::fs::create_dir(&folder).unwrap();
    let text = format!(
        "print(io.open('{0}'):read('a'), (io.open('{0}', 'a')), (io.open('/etc/passwd')))
         print(io.open('{1}/new', 'w') ~= nil, os.getenv('SCRATCH') ~= nil, os.getenv('PATH'))",
        given.display(),
        folder.display()
    );
    let options = format!("--read {} --write {} --env SCRATCH", given.display(), folder.display());
    assert_eq!(run(&options, &text).output(), "the text\tnil\tnil\ntrue\ttrue\tnil\n");
    assert!(folder.join("new").exists());
}

#[test]
fn a_sandbox_has_limits_of_its_own_and_ends_by_the_same_codes() {
    for (options, text, code, words) in [
        ("--sandbox", "local t = {} while true do t[#t + 1] = ('x'):rep(1e5) .. #t end", 121, "memory: "),
        ("--sandbox --cpu 50ms", "while true do end", 122, "cpu: "),
        ("--sandbox --timeout 100ms", "while true do end", 124, "deadline: "),
        ("--sandbox", "error('oops', 0)", 1, "oops\nstack traceback:\n"),
        ("--sandbox", "return return", 1, ""),
        ("--read /nowhere/at/all", "", 2, "option 'sandbox': 'read' cannot grant '/nowhere/at/all'"),
    ] {
        let outcome = run(options, text);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(code), ""), "{outcome:?}");
        assert!(reason(&outcome).starts_with(words), "{outcome:?}");
    }
    let told = document(&run("--sandbox --json", "print('hi') return { answer = 42 }"));
    assert_eq!((&told["result"], &told["output"]["stdout"]), (&json!([{ "answer": 42 }]), &json!("hi\n")));
}

#[test]
fn a_denied_system_call_has_its_code_and_name() {
    let outcome = run("--json --libs lfs", "require('lfs').chdir('/')");
    let told = document(&outcome);
    if told["failure"]["message"]
        .as_str()
        .is_some_and(|message| message.contains("lfs") && outcome.code != Some(123))
    {
        assert!(std::env::var_os("LLIB_TEST_REQUIRE_STOCK_LUA").is_none(), "CI has lfs: {told}");
        eprintln!("skipped: there is no lfs for the built-in interpreter");
        return;
    }
    assert_eq!(
        (outcome.code, &told["failure"]["kind"], &told["failure"]["call"]),
        (Some(123), &json!("denied"), &json!("chdir"))
    );
}

#[test]
fn a_sandbox_that_the_kernel_cannot_enforce_is_refused_unless_that_is_wanted() {
    let weak = |options| script(options, "print('ran')").env("LLIB_SANDBOX_WITHOUT", "landlock").run();
    let outcome = weak("--sandbox");
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(125), ""), "{outcome:?}");
    assert!(reason(&outcome).starts_with("lost: this kernel ("), "{outcome:?}");
    assert_eq!(weak("--best-effort").output(), "ran\n");
}

#[test]
fn a_killed_command_leaves_nothing() {
    let session =
        script("", "io.stdout:setvbuf('no') print('ready') os.execute('sleep 1000 & exec sleep 1001')")
            .start();
    session.expect("ready");
    session.learn_sessions();
    session.host.signal(Signal::SIGKILL);
    assert_eq!(session.end().signal, Some(9));
    session.expect_nothing_left();
}

#[test]
fn what_the_script_started_ends_with_it() {
    let session = script("", "os.execute('sleep 1000 >/dev/null 2>&1 &') print('done')").start();
    session.expect("done");
    assert_eq!(session.end().code, Some(0));
    session.expect_nothing_left();
}

#[test]
fn a_lost_supervisor_has_a_code_of_its_own() {
    let session = script("", "io.stdout:setvbuf('no') print('ready') while true do end").start();
    session.expect("ready");
    let (guard, zygote) = (session.guard(), session.zygote());
    guard.signal(Signal::SIGKILL);
    zygote.signal(Signal::SIGKILL);
    let outcome = session.end();
    assert_eq!(outcome.code, Some(125), "{outcome:?}");
    assert!(reason(&outcome).starts_with("lost: "), "{outcome:?}");
}

#[test]
fn a_reader_who_leaves_is_no_error_to_tell() {
    let scratch = Scratch::with_script("while true do print('line') end");
    let mut command = Command::new(llib());
    command.args(["run", "script.lua"]).current_dir(scratch.path());
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((line.as_str(), output.status.code()), ("line\n", Some(141)), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

/// Runs `llib run script.lua` with a terminal of its own, in whose foreground it is; each `(wait, send)` is text to
/// wait for on the screen, and what is typed then.
fn at_terminal(text: &str, talk: &[(&str, &str)]) -> (Option<i32>, String) {
    let scratch = Scratch::with_script(text);
    let pty = openpty(None, None).unwrap();
    let end = |end: &OwnedFd| Stdio::from(end.try_clone().unwrap());
    let mut command = Command::new("setsid");
    command.args(["--ctty", "--wait"]).arg(llib()).args(["run", "script.lua"]).current_dir(scratch.path());
    command.stdin(end(&pty.slave)).stdout(end(&pty.slave)).stderr(end(&pty.slave));
    let mut child = command.spawn().unwrap();
    drop((command, pty.slave));
    let mut terminal = File::from(pty.master);
    let (mut screen, mut bytes) = (String::new(), [0; 1000]);
    let mut talk = talk.iter();
    let mut next = talk.next();
    // Ends with an error when nobody has the terminal open any more.
    while let Ok(count @ 1..) = terminal.read(&mut bytes) {
        screen.push_str(&String::from_utf8_lossy(&bytes[..count]));
        if let Some((wait, send)) = next
            && screen.contains(wait)
        {
            terminal.write_all(send.as_bytes()).unwrap();
            next = talk.next();
        }
    }
    (child.wait().unwrap().code(), screen)
}

#[test]
fn a_script_can_be_talked_to_at_a_terminal() {
    let text =
        "io.write('name? ') io.flush() local name = io.read() print('hi ' .. name) print(#io.read('a'))";
    let (code, screen) = at_terminal(text, &[("name?", "bob\n"), ("hi bob", "more\n\x04")]);
    assert!(code == Some(0) && screen.ends_with("\r\n5\r\n"), "{code:?}: {screen:?}");
}

#[test]
fn ctrl_c_at_a_terminal_ends_the_run() {
    let (code, screen) = at_terminal("print('ready') io.flush() while true do end", &[("ready", "\x03")]);
    assert_eq!(code, Some(130), "{screen:?}");
    assert!(screen.contains("llib run was told to end by SIGINT"), "{screen:?}");
}

#[test]
fn bash_completes_options_and_commands() {
    let Some(bash) = find_program("bash") else { return };
    let complete = |words: &[&str]| {
        let text = format!(
            "source <('{}' completions bash); COMP_WORDS=({}); COMP_CWORD={}; _llib llib '{}' '{}'; echo \"${{COMPREPLY[@]}}\"",
            llib().display(),
            words.join(" "),
            words.len() - 1,
            words[words.len() - 1],
            words[words.len() - 2]
        );
        let output = Command::new(&bash).args(["-c", &text]).output().unwrap();
        assert!(output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(complete(&["llib", "ru"]).trim(), "run");
    assert_eq!(complete(&["llib", "run", "--ti"]).trim(), "--timeout");
    let all = complete(&["llib", "run", "--"]);
    for option in ["--sandbox", "--json", "--memory", "--best-effort"] {
        assert!(all.split_whitespace().any(|word| word == option), "{option}: {all}");
    }
    for shell in ["zsh", "fish"] {
        let output = Command::new(llib()).args(["completions", shell]).output().unwrap();
        assert!(output.status.success() && output.stdout.len() > 1000, "{output:?}");
        // Where the shell is there, it has to read it without a complaint.
        if let Some(shell) = find_program(shell) {
            let scratch = Scratch::new();
            let file = scratch.write("completions", &String::from_utf8(output.stdout).unwrap());
            let checked = Command::new(shell).arg("-n").arg(file).output().unwrap();
            assert!(checked.status.success(), "{checked:?}");
        }
    }
}

#[test]
fn help_is_an_answer() {
    for word in ["--help", "-h"] {
        let output = Command::new(llib()).args(["run", word]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && output.stderr.is_empty());
        for part in ["Examples:\n  llib run ", "Exit codes:\n", "--sandbox", "128+n"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
