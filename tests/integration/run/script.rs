//! The script: how it is read, its arguments, streams and end.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use support::Scratch;
use support::Script;
use support::binaries::llib;
use support::binaries::stock_lua;

use super::{reason, run, script};

#[test]
fn the_module_is_a_global_and_errors_are_the_scripts_own() {
    let text = "assert(llib == require 'llib') \
        local _, told = load(function() error('read', 0) end) assert(told == 'read') \
        local own = {} local _, same = load(function() error(own) end) assert(rawequal(same, own))";
    for options in ["", "--sandbox"] {
        let outcome = run(options, text);
        assert_eq!(outcome.code, Some(0), "{options}: {outcome:?}");
    }
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
        ("", "return coroutine.create(function() end)", 0, ""),
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
         io.stderr:write('also\\n') print(io.read('*a'))",
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
    session.say("print('from stdin', arg[0], ...)\nprint(io.read('*a') == '')\nerror('here')");
    let outcome = session.end();
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), "from stdin\t-\ta\ntrue\n"), "{outcome:?}");
    assert!(reason(&outcome).starts_with("stdin:3: here\n"), "{outcome:?}");
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
