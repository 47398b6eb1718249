//! No /proc, or that of another PID namespace: nobody is hit by a signal that was meant for another, and what cannot be
//! promised is said.

use std::time::Duration;

use support::process::Process;
use support::session::PATIENCE;
use support::wait::until_true;
use support::{Interpreter, Script, Session};

use super::{can_mount, prepared};

const NONE: &str = "mount -t tmpfs tmpfs /proc";

/// The host is process 1 of a namespace whose numbers /proc does not show.
const FOREIGN: &[&str] = &["unshare", "--pid", "--fork", "--kill-child"];

/// Both ways to be without one.
fn without_proc(text: &str, interpreter: Interpreter) -> [Script; 2] {
    let line = prepared(NONE);
    [Script::new(text).by(interpreter).wrapped(&line), Script::new(text).by(interpreter).wrapped(FOREIGN)]
}

#[test]
fn jobs_run_without_proc_and_the_sandbox_refuses() {
    if !can_mount() {
        return;
    }
    let text = r#"
        for i = 1, 10 do assert(thread.async(function() return i end):await() == i) end
        local can = thread.capabilities()
        assert(can.proc == false and can.sandbox == false and can.missing[1]:find("/proc", 1, true))
        local ok, problem = pcall(thread.async, function() return 1 end, { sandbox = true })
        assert(not ok and problem:find("lacks a /proc of this PID namespace", 1, true), problem)
        assert(thread.async(function() return 1 end, { sandbox = { best_effort = true } }):await() == 1)
        assert(thread.async(function()
            return require("llib").thread.async(function() return 1 end):await()
        end):await() == 1)
        local busy = thread.async(function() while true do end end)
        wait(function() return busy:usage().user > 0 end)
        busy:kill()
        assert(select(2, busy:await()).kind == "killed")
        say("done")
    "#;
    for interpreter in Interpreter::all() {
        for script in without_proc(text, interpreter) {
            assert_eq!(script.run().output(), "done\n");
        }
    }
    assert_eq!(Script::new("say(thread.capabilities().proc)").run().output(), "true\n");
}

#[test]
fn the_owner_of_a_lock_is_not_taken_for_dead_without_proc() {
    if !can_mount() {
        return;
    }
    let text = r#"
        local held = thread.channel()
        local task = thread.async(function()
            local thread = require("llib").thread
            thread.lock(5)
            held:push(true)
            thread.sleep(1e9)
        end)
        assert(held:pop())
        for _ = 1, 5 do assert(select(2, thread.lock(5, 120)).kind == "timeout") end
        task:kill()
        say(thread.lock(5, 5000))
    "#;
    for script in without_proc(text, Interpreter::Builtin) {
        assert_eq!(script.run().output(), "true\tabandoned\n");
    }
}

#[test]
fn what_a_job_left_in_its_process_group_ends_with_it_without_proc() {
    if !can_mount() {
        return;
    }
    let text = r#"
        assert(thread.async(function() os.execute("sleep 1000 & sleep 1001 &") return 1 end):await() == 1)
        local task = thread.async(function() os.execute("sleep 1002 & sleep 1003") end)
        say("started")
        hear()
        task:kill()
        task:await()
        say("done")
        hear()
    "#;
    for script in without_proc(text, Interpreter::Builtin) {
        let session = script.start();
        session.expect("started");
        let sleepers = || sleepers(&session);
        assert!(until_true(PATIENCE, || sleepers().len() == 2), "{:#?}", sleepers());
        session.say("on");
        session.expect("done");
        assert!(until_true(PATIENCE, || sleepers().is_empty()), "{:#?}", sleepers());
        session.end().output();
        session.expect_nothing_left();
    }
}

fn sleepers(session: &Session) -> Vec<Process> {
    session.processes().into_iter().filter(|process| process.name == "sleep").collect()
}

#[test]
fn no_innocent_process_is_killed_whose_number_another_namespace_shows() {
    if !can_mount() {
        return;
    }
    // Small numbers are taken there and here, so what /proc shows of the outer ones looks like children of the supervisors'.
    let text = r#"
        local function lose(which)
            assert(thread.async(function() os.execute("sleep 1000 &") return 1 end):await() == 1)
            local pid = thread.stats()[which]
            os.execute("kill -9 " .. pid)
            wait(function()
                pcall(function() thread.async(function() end):await() end)
                return (thread.stats()[which] or pid) ~= pid
            end)
        end
        assert(thread.async(function() return 1 end):await() == 1)
        for _ = 1, 30 do os.execute("sleep 1234 &") end
        say("innocent")
        hear()
        lose("zygote")
        lose("guard")
        assert(thread.async(function() return 1 end):await() == 1)
        say("lost")
        hear()
    "#;
    let session = Script::new(text).wrapped(FOREIGN).limit(Duration::from_secs(120)).start();
    session.expect("innocent");
    let innocent = || sleepers(&session).iter().filter(|process| argument(process) == "1234").count();
    assert!(until_true(PATIENCE, || innocent() == 30), "{}", innocent());
    session.say("on");
    session.expect("lost");
    assert_eq!(innocent(), 30);
    session.end().output();
}

fn argument(process: &Process) -> String {
    let words = std::fs::read_to_string(format!("/proc/{}/cmdline", process.pid)).unwrap_or_default();
    words.split('\0').nth(1).unwrap_or_default().to_owned()
}
