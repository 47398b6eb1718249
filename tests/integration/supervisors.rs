//! Guard and zygote: what happens when they are killed, and what the host's process keeps to itself.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use support::process::{self, Process};
use support::session::PATIENCE;
use support::wait::until_true;
use support::{Interpreter, Script, Session};

/// How soon every wait has to settle once a supervisor is gone.
const SOON: Duration = Duration::from_secs(2);

const SUPERVISORS: [fn(&Session) -> Process; 2] = [Session::guard, Session::zygote];

#[test]
fn a_supervisor_killed_between_jobs_is_replaced() {
    for interpreter in Interpreter::all() {
        for supervisor in SUPERVISORS {
            let session = Script::new(
                r#"
                say(thread.async(function() return 1 end):await())
                hear()
                -- It may be handed to the session that just died, which then is the answer.
                local lost = 0
                for i = 1, 20 do
                    local value, err = thread.async(function() return 2 end):await()
                    if value ~= 2 then
                        assert(err.kind == "lost", tostring(err))
                        lost = lost + 1
                    end
                end
                say(lost <= 3 and "works again" or lost)
                hear()
                "#,
            )
            .by(interpreter)
            .start();
            session.expect("1");
            let (guard, zygote) = (session.guard(), session.zygote());
            supervisor(&session).signal(Signal::SIGKILL);
            session.say("on");
            session.expect("works again");
            assert!(until_true(PATIENCE, || !guard.lives() && !zygote.lives()));
            assert_ne!(session.guard(), guard);
            session.end().output();
            session.expect_nothing_left();
        }
    }
}

#[test]
fn every_await_settles_as_lost_when_a_supervisor_is_killed() {
    for supervisor in SUPERVISORS {
        let session = Script::new(
            r#"
            local kinds = {
                function() while true do end end,
                function() thread.sleep(1e9) end,
                function() os.execute("setsid sleep 1000 &") os.execute("sleep 1000") end,
            }
            local tasks = {}
            for i = 1, 30 do tasks[i] = thread.async(kinds[i % #kinds + 1]) end
            say("running")
            local waited = {}
            for i, task in ipairs(tasks) do
                local value, err = task:await()
                assert(value == nil and err.kind == "lost", tostring(err))
                assert(err.message:find "the supervisors of the worker processes have ended", err.message)
            end
            say("settled")
            say(thread.async(function() return "a new session" end):await())
            hear()
            "#,
        )
        .private_shm("1G")
        .start();
        session.expect("running");
        session.learn_sessions();
        let killed = supervisor(&session);
        let start = Instant::now();
        killed.signal(Signal::SIGKILL);
        session.expect("settled");
        assert!(start.elapsed() < SOON, "it took {:?}", start.elapsed());
        session.expect("a new session");
        session.expect_no_busy_processes();
        assert!(until_true(PATIENCE, || session.shm_files().len() == 1), "{:?}", session.shm_files());
        session.end().output();
        session.expect_nothing_left();
    }
}

#[test]
fn every_await_settles_when_both_supervisors_are_killed_at_once() {
    let session = Script::new(
        r#"
        local tasks = {}
        for i = 1, 10 do tasks[i] = thread.async(function() while true do end end) end
        say("running")
        for i, task in ipairs(tasks) do
            local value, err = task:await()
            assert(value == nil and err.kind == "lost", tostring(err))
        end
        say("settled")
        say(thread.async(function() return "a new session" end):await())
        hear()
        "#,
    )
    .private_shm("1G")
    .start();
    session.expect("running");
    let (guard, zygote) = (session.guard(), session.zygote());
    let start = Instant::now();
    process::kill_at_once(&[&zygote, &guard]);
    session.expect("settled");
    assert!(start.elapsed() < SOON, "it took {:?}", start.elapsed());
    session.expect("a new session");
    session.expect_no_busy_processes();
    session.end().output();
    session.expect_nothing_left();
}

#[test]
fn a_reply_that_nobody_read_is_kept_or_lost_but_never_something_else() {
    for supervisor in SUPERVISORS {
        let session = Script::new(
            r#"
            local small = thread.async(function() return "small", 1, 2 end)
            local large = thread.async(function() return ("x"):rep(0x100000) end)
            local failed = thread.async(function() error("oops") end)
            local exited = thread.async(function() os.exit(3) end)
            for _, task in ipairs { small, large, failed, exited } do task:await(nil, true) end
            say("replied")
            hear()
            local function show(value, err)
                say(type(value) == "string" and #value > 10 and #value or value, err and type(err) ~= "number" and err.kind)
            end
            show(small:await())
            show(failed:await())
            show(exited:await())
            local value, err = large:await()
            say(value and #value == 0x100000 or err.kind == "lost", err and err.message)
            "#,
        )
        .start();
        session.expect("replied");
        let (guard, zygote) = (session.guard(), session.zygote());
        supervisor(&session).signal(Signal::SIGKILL);
        assert!(until_true(PATIENCE, || !guard.lives() && !zygote.lives()));
        session.say("on");
        session.expect("small\tfalse");
        session.expect("nil\terror");
        session.expect("nil\texit");
        let line = session.line();
        assert!(line.starts_with("true\t"), "{line}");
        session.end().output();
    }
}

#[test]
fn calls_on_tasks_of_a_lost_session_answer() {
    for supervisor in SUPERVISORS {
        let session = Script::new(
            r#"
            local tasks = {}
            for i = 1, 12 do tasks[i] = thread.async(function() while true do end end) end
            local captured = thread.async(function() print("text") io.stdout:flush() while true do end end, { stdout = "capture" })
            wait(function() return captured:output() == "text\n" end)
            say("running")
            hear()
            local calls = {
                function(task) task:kill() end, function(task) task:kill("TERM", 10) end,
                function(task) task:pause() end, function(task) task:resume() end,
                function(task) task:close(10) end, function(task) task:clean() end,
                function(task) task:usage() end, function(task) task:output() end,
                function(task) task:status() end, function(task) task:pid() end,
                function(task) task:getfd() end, function(task) tostring(task) end,
            }
            for i, call in ipairs(calls) do
                call(tasks[i])
                local status = tasks[i]:status()
                assert(status == "failed" or status == "cleaned", i .. ": " .. status)
                if status == "failed" then
                    local value, err = tasks[i]:await()
                    assert(value == nil and err.kind == "lost", i .. ": " .. tostring(err))
                end
            end
            captured:output()
            assert(select(2, captured:await()).kind == "lost")
            say("answered")
            "#,
        )
        .start();
        session.expect("running");
        let (guard, zygote) = (session.guard(), session.zygote());
        supervisor(&session).signal(Signal::SIGKILL);
        assert!(until_true(PATIENCE, || !guard.lives() && !zygote.lives()));
        let start = Instant::now();
        session.say("on");
        session.expect("answered");
        assert!(start.elapsed() < SOON, "it took {:?}", start.elapsed());
        session.end().output();
    }
}

#[test]
fn supervisors_that_a_job_stops_go_on_and_lose_nothing() {
    // The guard lets the zygote go on, and whoever waits the guard.
    let session = Script::new(
        r#"
        local held = thread.async(function() while true do end end)
        assert(thread.async(function() return 1 end):await() == 1)
        say("served")
        for round = 1, 3 do
            hear()
            local tasks = {}
            for i = 1, 30 do tasks[i] = thread.async(function(_, _, i) return i end, { args = { i } }) end
            for i = 1, 30 do assert(tasks[i]:await() == i) end
            local _, err = thread.async(function() while true do end end, { timeout = 50 }):await()
            assert(err.kind == "deadline", err)
            if round == 3 then
                held:kill()
                assert(select(2, held:await()).kind == "killed")
            end
            say("done")
        end
        hear()
        "#,
    )
    .start();
    session.expect("served");
    let (guard, zygote) = (session.guard(), session.zygote());
    for both in [false, true, true] {
        if both {
            guard.signal(Signal::SIGSTOP);
        }
        zygote.signal(Signal::SIGSTOP);
        session.say("on");
        session.expect("done");
    }
    session.expect_no_busy_processes();
    assert_eq!(session.zygote(), zygote);
    session.end().output();
    session.expect_nothing_left();
}

#[test]
fn the_host_of_a_stopped_zygote_can_end() {
    let session = Script::new(
        r#"
        for _ = 1, 5 do thread.async(function() os.execute("setsid sleep 1000 & sleep 1001") end) end
        thread.sleep(20)
        say("running")
        hear()
        "#,
    )
    .private_shm("1G")
    .start();
    session.expect("running");
    session.zygote().signal(Signal::SIGSTOP);
    session.learn_sessions();
    session.end().output();
    // The guard gives the zygote five seconds.
    until_true(Duration::from_secs(7), || session.processes().is_empty());
    session.expect_nothing_left();
}

/// Lines of /proc/PID/status that tell how a process takes signals.
const SIGNALS: [&str; 3] = ["SigBlk", "SigIgn", "SigCgt"];

#[test]
fn the_host_gets_no_thread_and_no_signal_handler() {
    for interpreter in Interpreter::all() {
        let session = Script::new(
            r#"
            say("loaded")
            hear()
            local task = thread.async(function() return 1 end)
            task:getfd()
            assert(task:await() == 1)
            thread.async(function() while true do end end):kill()
            thread.async(function() end, { timeout = 10 })
            collectgarbage()
            say("used")
            hear()
            "#,
        )
        .by(interpreter)
        .start();
        session.expect("loaded");
        let host = session.host.pid;
        let look = || (process::threads(host), SIGNALS.map(|field| process::status(host, field)));
        let before = look();
        assert_eq!(before.0, 1);
        session.say("on");
        session.expect("used");
        assert_eq!(look(), before);

        // And the stock interpreter's are those that it has without the module.
        let plain = Script::plain("print('ready') io.stdout:flush() io.read()").by(interpreter).start();
        plain.expect("ready");
        let fields = SIGNALS.map(|field| process::status(plain.host.pid, field));
        assert_eq!(fields, before.1);
    }
}

#[test]
fn the_hosts_other_children_are_its_own() {
    for interpreter in Interpreter::all() {
        let script = r#"
            -- Lua 5.1 tells the number of wait(2), and nothing of a pipe.
            local function check(how, code, first, ...)
                if ... then
                    assert(... == how and select(2, ...) == code, table.concat({ how, code, ... }, " "))
                else
                    assert(first == true or first == (how == "exit" and code * 256 or code), tostring(first))
                end
            end
            for i = 1, 30 do
                local task = thread.async(function() os.exit(7) end)
                local pipe = io.popen("read x; exit 5")
                check("exit", 3, os.execute("exit 3"))
                assert(select(2, task:await()).kind == "exit")
                check("exit", 5, pipe:close())
                check("signal", 9, os.execute("kill -9 $$"))
            end
            say("done")
        "#;
        assert_eq!(Script::new(script).by(interpreter).run().output(), "done\n");
    }
}

#[test]
fn the_hosts_other_children_inherit_nothing_of_llib() {
    for interpreter in Interpreter::all() {
        let script = r#"
            local function descriptors()
                local pipe = io.popen("ls -l /proc/self/fd")
                local text = pipe:read("*a"):gsub("[^\n]*/proc/[^\n]*\n", "")
                pipe:close()
                return select(2, text:gsub("\n", "")) , text
            end
            local before = descriptors()
            local task = thread.async(function() thread.sleep(1e9) end)
            task:getfd()
            task:pid()
            thread.async(function() return ("x"):rep(0x100000) end):await(nil, true)
            local now, text = descriptors()
            assert(now == before, text)
            say("done")
        "#;
        assert_eq!(Script::new(script).by(interpreter).run().output(), "done\n");
    }
}

#[test]
fn a_host_that_is_waited_for_by_a_pipe_is_not_kept_open_by_its_workers() {
    // The reader of a pipe sees its end when the host is gone, and with it every copy of the pipe.
    let script = format!(
        r#"
        local first = os.getenv("SCRATCH") .. "/first.lua"
        local file = io.open(first, "w")
        file:write([[
            local thread = require("llib").thread
            for _ = 1, 3 do thread.async(function() os.execute("setsid sleep 1000 &") while true do end end) end
            print(thread.async(function() return 1 end):await())
        ]])
        file:close()
        local pipe = io.popen("{} " .. first)
        say(pipe:read("*a"))
        "#,
        support::binaries::llib().display()
    );
    let session = Script::new(&script).limit(Duration::from_secs(10)).start();
    session.expect("1");
    session.end().output();
    session.expect_nothing_left();
}

#[test]
fn each_process_leads_a_process_group_of_its_own() {
    for interpreter in Interpreter::all() {
        let session = Script::new(
            r#"
            local task = thread.async(function() os.execute("sleep 1000") end)
            say(task:pid())
            hear()
            "#,
        )
        .by(interpreter)
        .start();
        let job = session.number();
        let sleeps = || {
            process::children(job).iter().find(|child| child.name == "sleep" || child.name == "sh").cloned()
        };
        let child = support::until(PATIENCE, sleeps).expect("it runs");
        assert_eq!(child.group, job, "what a job starts is in its group");
        for process in session.processes() {
            if process.pid != session.host.pid && process.name.starts_with("llib") {
                assert_eq!(process.group, process.pid, "{process:?}");
                assert_ne!(process.group, session.host.group);
            }
        }
        assert_eq!(process::descendants(session.host.pid), [], "the supervisors are nobody's children");
        assert_eq!(process::descendants(session.guard().pid).len(), session.processes().len() - 2);
    }
}

#[test]
fn requiring_the_module_starts_nothing() {
    for interpreter in Interpreter::all() {
        let session = Script::new("say('loaded') hear()").by(interpreter).start();
        session.expect("loaded");
        assert_eq!(session.processes(), std::slice::from_ref(&session.host));
        assert!(process::mapped_sessions(session.host.pid).is_empty());
        assert_eq!(process::threads(session.host.pid), 1);
    }
}
