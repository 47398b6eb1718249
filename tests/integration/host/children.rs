//! A host that waits for its children meets none of llib's processes.

use support::session::PATIENCE;
use support::wait::until_true;
use support::{Interpreter, Script};

use super::calls_module;

#[test]
fn a_wait_for_any_child_meets_the_hosts_own_children_alone() {
    let Some(calls) = calls_module() else { return };
    for interpreter in Interpreter::all() {
        let session = Script::new(
            r#"
            package.cpath = os.getenv "CALLS" .. "/?.so;" .. package.cpath
            local host = require "host_calls"
            host.sigchld "count"
            assert(thread.async(function() return 1 end):await() == 1)
            assert(host.wait() == "No child processes", "llib's processes are children")
            assert(host.sigchlds() == "0", "a signal came")
            local child = host.child "7"
            assert(host.wait() == child .. " 7")
            assert(host.wait() == "No child processes")
            -- And in all the time in which supervisors end and start.
            for i = 1, 3 do
                thread.close()
                assert(host.wait() == "No child processes")
                assert(thread.async(function() return i end):await() == i)
            end
            assert(host.sigchlds() == "1", "a signal came")
            say "done"
            "#,
        )
        .by(interpreter)
        .env("CALLS", calls.path())
        .start();
        session.expect("done");
        session.end().output();
        session.expect_nothing_left();
    }
}

#[test]
fn a_host_that_ignores_sigchld_has_supervisors_and_notices_their_end() {
    let Some(calls) = calls_module() else { return };
    let session = Script::new(
        r#"
        package.cpath = os.getenv "CALLS" .. "/?.so;" .. package.cpath
        require "host_calls".sigchld "ignore"
        assert(thread.async(function() return 1 end):await() == 1)
        local task = thread.async(function() while true do end end)
        task:pid()
        say "runs"
        local value, err = task:await()
        say(value, err.kind)
        say(thread.async(function() return "again" end):await())
        hear()
        "#,
    )
    .env("CALLS", calls.path())
    .start();
    session.expect("runs");
    let (guard, zygote) = (session.guard(), session.zygote());
    support::process::kill_at_once(&[&guard, &zygote]);
    session.expect("nil\tlost");
    session.expect("again");
    session.end().output();
    session.expect_nothing_left();
}

#[test]
fn a_subreaper_is_rid_of_its_supervisors_after_close() {
    let Some(calls) = calls_module() else { return };
    let session = Script::new(
        r#"
        package.cpath = os.getenv "CALLS" .. "/?.so;" .. package.cpath
        local host = require "host_calls"
        assert(host.subreaper() == "yes")
        assert(thread.async(function() return 1 end):await() == 1)
        say "runs"
        hear()
        local child = host.child "3"
        thread.close()
        assert(host.wait() == child .. " 3")
        assert(host.wait() == "No child processes")
        say "alone"
        "#,
    )
    .env("CALLS", calls.path())
    .start();
    session.expect("runs");
    assert_eq!(session.guard().parent, session.host.pid, "the kernel gives it to a subreaper");
    session.say("on");
    session.expect("alone");
    session.end().output();
    session.expect_nothing_left();
}

#[test]
fn close_ends_what_runs_and_keeps_what_is_there() {
    let session = Script::new(
        r#"
        thread.close()
        local buffer = thread.buffer(1)
        local done = thread.async(function() return "here" end)
        while done:status() == "running" do thread.sleep(1) end
        local task = thread.async(function() while true do end end)
        local pool = thread.pool { size = 1 }
        local pooled = pool:submit(function() while true do end end)
        task:pid()
        say "runs"
        hear()
        thread.close()
        thread.close()
        assert(next(thread.stats()) == nil, "there are none")
        say "closed"
        hear()
        assert(done:await() == "here")
        assert(select(2, task:await()).kind == "lost")
        assert(select(2, pooled:await()).kind == "lost")
        assert(thread.async(function(res) buffer:set(buffer:get() + 1) return 2 end):await() == 2)
        assert(buffer:get() == 2)
        say "done"
        "#,
    )
    .start();
    session.expect("runs");
    let processes = session.processes();
    session.say("on");
    session.expect("closed");
    let gone = || processes.iter().all(|process| *process == session.host || !process.lives());
    assert!(until_true(PATIENCE, gone), "left: {:#?}", session.processes());
    session.say("on");
    session.expect("done");
    session.end().output();
    session.expect_nothing_left();
}
