//! Modules that are preloaded, whatever they do with their process: nobody else notices, and what they have workers have.

mod templates;

use nix::sys::signal::Signal;
use support::session::PATIENCE;
use support::wait::until_true;
use support::{Interpreter, Scratch, Script, process};

/// What each script here begins with: `module(name, text)` writes one where `require` finds it.
const MODULES: &str = r#"
    package.path = os.getenv("SCRATCH") .. "/?.lua;" .. package.path
    local function module(name, text)
        local file = assert(io.open(os.getenv("SCRATCH") .. "/" .. name .. ".lua", "w"))
        file:write(text)
        file:close()
    end
    local function read(name)
        local file = io.open(os.getenv("SCRATCH") .. "/" .. name)
        local text = file and file:read("*a") or ""
        if file then file:close() end
        return text
    end
    io.stdout:setvbuf "no"
"#;

fn script(text: &str, interpreter: Interpreter) -> Script {
    Script::new(&format!("{MODULES}{text}")).by(interpreter)
}

/// The same with the C module `careless`, see `calls.c`; `None` without a C compiler.
fn careless(text: &str, interpreter: Interpreter) -> Option<(Script, Scratch)> {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/integration/preload/calls.c");
    let scratch = support::binaries::c_module(source.as_ref(), "careless")?;
    let search =
        format!("package.cpath = {:?} .. package.cpath\n", format!("{}/?.so;", scratch.path().display()));
    Some((script(&format!("{search}{text}"), interpreter), scratch))
}

#[test]
fn what_a_module_prints_and_writes_is_there_once() {
    for interpreter in Interpreter::all() {
        let text = r#"
            module("printer", [[
                io.write "loaded "
                local log = io.open(os.getenv("SCRATCH") .. "/log", "a")
                log:write "header\n"
                return log
            ]])
            thread.preload("printer")
            for _ = 1, 3 do
                thread.async(function() io.write "job " require("printer"):write("job\n") end):await()
            end
            thread.preload("string")
            wait(function() return read("log") == "header\njob\njob\njob\n" end)
        "#;
        assert_eq!(script(text, interpreter).run().output(), "loaded job job job ");
    }
}

#[test]
fn a_module_that_empties_the_globals_and_the_libraries_harms_no_worker() {
    for interpreter in Interpreter::all() {
        let text = r#"
            local random = math.random
            module("ravager", [[
                local next = next
                for _, library in next, { math, package, os, _G } do
                    for name in next, library do library[name] = nil end
                end
            ]])
            thread.preload("ravager")
            local function draw() return random(2 ^ 30) end
            local first, second = thread.async(draw), thread.async(draw)
            say(assert(first:await()) ~= assert(second:await()))
            local pool = thread.pool { size = 1 }
            for i = 1, 2 do say(pool:submit(function(x) return x + 1 end, i):await()) end
        "#;
        assert_eq!(script(text, interpreter).run().output(), "true\n2\n3\n");
    }
}

#[test]
fn deaths_are_told_although_a_module_ignores_sigchld() {
    let text = r#"
        module("deaf", "require('careless').ignore_children() return {}")
        thread.preload("deaf")
        say(thread.async(function() return require("deaf") and 1 end):await())
        local task = thread.async(function() os.exit(3) end)
        local _, err = task:await(5000)
        say(err.kind)
        local busy = thread.async(function() while true do end end)
        busy:kill()
        say(select(2, busy:await(5000)).kind)
    "#;
    let Some((script, _module)) = careless(text, Interpreter::Builtin) else { return };
    assert_eq!(script.run().output(), "1\nexit\nkilled\n");
}

#[test]
fn a_module_that_closes_a_descriptor_of_llibs_is_refused_by_its_number() {
    let text = r#"
        local running = thread.async(function() require("llib").thread.sleep(1e9) end)
        for number = 3, 7 do
            module("closing" .. number, "require('careless').close(" .. number .. ") return {}")
            local ok, problem = pcall(thread.preload, "closing" .. number)
            assert(not ok and problem:find("it closed the descriptor " .. number .. ", which it had not opened", 1, true), problem)
            assert(thread.async(function() return 1 end):await() == 1)
        end
        -- As a daemon does before its work.
        module("daemon", "for number = 3, 63 do require('careless').close(number) end return {}")
        local ok, problem = pcall(thread.preload, "daemon")
        assert(not ok and problem:find("it closed the descriptor 3", 1, true), problem)
        say(running:status())
    "#;
    let Some((script, _module)) = careless(text, Interpreter::Builtin) else { return };
    assert_eq!(script.run().output(), "running\n");
}

#[test]
fn a_module_that_changes_the_directory_leaves_jobs_in_theirs() {
    let text = r#"
        module("moving", "assert(require('careless').go_home() == 0) return {}")
        thread.preload("moving")
        local function find() return io.open("script.lua") ~= nil and package.loaded.moving ~= nil end
        say(thread.async(find):await())
        package.path = "./?.lua;" .. package.path
        module("relative", "return {}")
        thread.preload("relative")
        say(thread.async(function() return package.loaded.relative ~= nil end):await())
    "#;
    let Some((script, _module)) = careless(text, Interpreter::Builtin) else { return };
    assert_eq!(script.run().output(), "true\ntrue\n");
}

#[test]
fn workers_of_a_template_have_what_the_host_has_now() {
    let text = r#"
        local careless = require "careless"
        module("masking", "require('careless').umask(0) return {}")
        thread.preload("masking")
        local function look()
            local mask = require("careless").umask(18)
            return package.loaded.masking ~= nil, os.getenv("FIRST") or "none", os.getenv("SECOND") or "none", mask
        end
        say(thread.async(look):await())
        careless.set_variable("FIRST", "1")
        careless.umask(63)
        say(thread.async(look):await())
        -- Meanwhile another template takes over.
        module("changing", "local n = 0 for i = 1, 1e7 do n = n + i end return {}")
        careless.set_variable("SECOND", "2")
        thread.preload("changing")
        say(thread.async(look):await())
        careless.print_to(os.getenv("SCRATCH") .. "/printed")
        thread.async(function() print("elsewhere") end):await()
        assert(read("printed") == "elsewhere\n", read("printed"))
    "#;
    let Some((script, _module)) = careless(text, Interpreter::Builtin) else { return };
    let first = format!("true\tnone\tnone\t{}.0\n", 0o22);
    let expected = format!("{first}true\t1\tnone\t63.0\ntrue\t1\t2\t63.0\n");
    assert_eq!(script.wrapped(&["sh", "-c", "umask 022 && exec \"$@\"", "sh"]).run().output(), expected);
}

#[test]
fn a_thread_that_stays_is_refused_and_one_that_each_worker_starts_runs() {
    let text = r#"
        module("threaded", "require('careless').start_thread() return {}")
        local ok, problem = pcall(thread.preload, "threaded")
        assert(not ok and problem:find("it left a thread running", 1, true) and problem:find("thread.after_fork", 1, true), problem)
        module("ending", "require('careless').run_thread() return {}")
        thread.preload("ending")
        module("starting", [[
            local careless = require "careless"
            require("llib").thread.after_fork(careless.start_thread)
            return careless
        ]])
        thread.preload("starting")
        for _ = 1, 3 do
            say(thread.async(function()
                local careless = require "starting"
                local before = careless.turns()
                while careless.turns() == before do end
                return "turns"
            end):await())
        end
    "#;
    let Some((script, _module)) = careless(text, Interpreter::Builtin) else { return };
    assert_eq!(script.run().output(), "turns\nturns\nturns\n");
}

#[test]
fn what_a_module_forks_lives_beside_the_jobs_and_ends_with_the_session() {
    let text = r#"
        module("forking", [[
            -- Both return.
            return { pid = require("careless").fork() }
        ]])
        thread.preload("forking")
        for _ = 1, 3 do assert(thread.async(function() return require("forking").pid end):await() > 0) end
        module("serving", "os.execute('sleep 1000 & echo $! > ' .. os.getenv('SCRATCH') .. '/server') return {}")
        thread.preload("serving")
        module("further", "return {}")
        thread.preload("further")
        for _ = 1, 3 do assert(thread.async(function() return require("further") and 1 end):await() == 1) end
        say(read("server"):match("%d+"))
        hear()
    "#;
    let Some((script, _module)) = careless(text, Interpreter::Builtin) else { return };
    let session = script.start();
    let server = session.number();
    assert!(process::Process::find(server).is_some_and(|server| server.lives()));
    session.say("end");
    session.end().output();
    session.expect_nothing_left();
}

#[test]
fn what_a_module_that_fails_has_started_is_gone() {
    let session = script(
        r#"
        module("left", "os.execute('setsid sleep 1000 & setsid sleep 1001 &') error('no')")
        say(pcall(thread.preload, "left") == false)
        hear()
        "#,
        Interpreter::Builtin,
    )
    .start();
    session.expect("true");
    let gone = until_true(PATIENCE, || session.processes().iter().all(|process| process.name != "sleep"));
    assert!(gone, "left: {:#?}", session.processes());
    session.say("end");
    session.end().output();
    session.expect_nothing_left();
}

#[test]
fn a_host_that_dies_while_a_module_is_loaded_leaves_nothing() {
    let session = script(
        r#"
        module("endless", "io.open(os.getenv('SCRATCH') .. '/begun', 'w'):close() while true do end")
        say("begins")
        thread.preload("endless")
        "#,
        Interpreter::Builtin,
    )
    .start();
    session.expect("begins");
    assert!(until_true(PATIENCE, || session.scratch.path().join("begun").exists()));
    session.learn_sessions();
    session.host.signal(Signal::SIGKILL);
    session.end();
    session.expect_nothing_left();
}
