//! What is left of jobs and of sessions, however they end: no process, no file, no descriptor.

use std::time::Duration;

use nix::sys::signal::Signal;
use support::process::{self, Process};
use support::session::PATIENCE;
use support::wait::until_true;
use support::{Interpreter, Script, Session, until};

/// Jobs of every kind that a session can have at its end: running, stopped, ended and not awaited, with daemons.
const BUSY: &str = r#"
    local file = os.getenv("SCRATCH") .. "/daemon"
    local program = io.open(file .. ".sh", "w")
    program:write("echo $$ >", file, ".new; mv ", file, ".new ", file, "; exec sleep 1000")
    program:close()
    local tasks = {}
    local function start(f) tasks[#tasks + 1] = thread.async(f) return tasks[#tasks] end
    local function populate()
        for _ = 1, 4 do start(function() while true do end end) end
        start(function() thread.sleep(1e9) end):pause()
        start(function() os.execute("sleep 1000 & sleep 1001") end)
        start(function() return ("x"):rep(0x100000) end):await(nil, true)
        start(function() return 1 end):await(nil, true)
        start(function() os.exit(3) end)
        thread.async(function() while true do end end, { stdout = "capture" })
        thread.async(function(...) while true do end end, { args = { ("y"):rep(0x100000) } })
        start(function()
            os.execute("setsid sh -c '(sh " .. file .. ".sh &)' >/dev/null 2>&1 &")
            while true do end
        end)
        wait(function() return io.open(file) end)
    end
"#;

fn busy(text: &str) -> Script {
    Script::new(&format!("{BUSY}{text}")).private_shm("1G")
}

/// A busy session that waits to be heard of.
fn start_busy(interpreter: Interpreter) -> Session {
    let session = busy("populate() say('busy') hear()").by(interpreter).start();
    session.expect("busy");
    session.learn_sessions();
    assert!(session.busy_processes().len() >= 10, "{:#?}", session.busy_processes());
    assert!(session.shm_files().len() >= 3, "{:?}", session.shm_files());
    session
}

#[test]
fn ten_thousand_jobs_leave_nothing() {
    let session = Script::new(
        r#"
        local long = ("x"):rep(0x100000)
        local kinds = {
            { f = function(res, rej, i) return i end, check = function(i, value) return value == i end },
            { f = function() error("oops") end, check = function(_, _, err) return err.kind == "error" end },
            { f = function() os.exit(3) end, check = function(_, _, err) return err.kind == "exit" end },
            { f = function(res, rej) rej("no") end, check = function(_, _, err) return err.kind == "rejected" end },
            { f = function() return ("y"):rep(20000) end, check = function(_, value) return #value == 20000 end },
        }
        local rare = {
            { f = function() return ("x"):rep(0x100000) end, check = function(_, value) return value == long end },
            { f = function(_, _, _, text) return #text end, long = true, check = function(_, value) return value == #long end },
            { f = function() while true do end end, timeout = 1, check = function(_, _, err) return err.kind == "deadline" end },
            { f = function() print("hello") return 1 end, stdout = "capture", check = function(_, value) return value == 1 end },
            { f = function() return 1 end, detached = true },
        }
        local function run(count)
            local waiting = {}
            for i = 1, count do
                local kind = i % 50 == 0 and rare[math.floor(i / 50) % #rare + 1] or kinds[i % #kinds + 1]
                local options = { args = { i, kind.long and long or nil, n = 2 }, timeout = kind.timeout, stdout = kind.stdout }
                local task = thread.async(kind.f, options)
                if not kind.detached then waiting[#waiting + 1] = { i, kind, task } end
                if #waiting == 8 or i == count then
                    for _, each in ipairs(waiting) do
                        local i, kind, task = (table.unpack or unpack)(each)
                        assert(kind.check(i, task:await()), i)
                    end
                    waiting = {}
                end
            end
            collectgarbage()
            collectgarbage()
        end
        run(600)
        say("warm")
        hear()
        run(10000)
        say("done")
        hear()
        "#,
    )
    .private_shm("1G")
    .limit(Duration::from_secs(120))
    .start();
    session.expect("warm");
    session.expect_no_busy_processes();
    let (guard, zygote) = (session.guard(), session.zygote());
    let descriptors = |process: &Process| process::descriptors(process.pid).len();
    let before = (session.descriptors(), descriptors(&guard), descriptors(&zygote));
    let memory = session.shm_bytes();
    assert_eq!(session.shm_files().len(), 1, "{:?}", session.shm_files());
    session.say("on");
    session.expect("done");
    session.expect_no_busy_processes();
    assert_eq!((session.guard(), session.zygote()), (guard.clone(), zygote.clone()));
    assert_eq!((session.descriptors(), descriptors(&guard), descriptors(&zygote)), before);
    assert_eq!(session.shm_files().len(), 1, "{:?}", session.shm_files());
    let now = session.shm_bytes();
    assert!(now <= memory + (1 << 20), "shared memory grew from {memory} to {now} bytes");
    session.end().output();
    session.expect_nothing_left();
}

#[test]
fn nothing_is_left_after_the_end_of_a_script() {
    let ends = [
        ("the script ends", "", Some(0)),
        ("os.exit", "os.exit(3)", Some(3)),
        ("os.exit closes the state", "os.exit(4, true)", Some(4)),
        ("an error", "error('oops')", Some(1)),
    ];
    for interpreter in Interpreter::all() {
        for (claim, end, code) in ends {
            let session = busy(&format!("populate() say('busy') hear() {end}")).by(interpreter).start();
            session.expect("busy");
            session.learn_sessions();
            assert!(!session.busy_processes().is_empty());
            session.say("end");
            let outcome = session.end();
            assert_eq!(outcome.code, code, "{claim}: {outcome:?}");
            session.expect_nothing_left();
        }
    }
}

#[test]
fn nothing_is_left_after_a_deadly_signal_to_the_host() {
    for interpreter in Interpreter::all() {
        for signal in [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGSEGV] {
            let session = start_busy(interpreter);
            session.host.signal(signal);
            assert_eq!(session.end().signal, Some(signal as i32));
            session.expect_nothing_left();
        }
    }
}

#[test]
fn nothing_is_left_when_host_and_one_supervisor_are_killed_at_once() {
    for supervisor in [Session::guard, Session::zygote] {
        let session = start_busy(Interpreter::Builtin);
        let supervisor = supervisor(&session);
        process::kill_at_once(&[&supervisor, &session.host]);
        session.end();
        session.expect_nothing_left();
    }
}

/// Whatever the supervisors of `session` looked after is gone, while the host lives on.
fn expect_jobs_gone(session: &Session, supervisors: &[&Process]) {
    let only_host = || session.processes() == [session.host.clone()];
    assert!(until_true(PATIENCE, only_host), "left: {:#?}", session.processes());
    for supervisor in supervisors {
        // On its way out a process has no environment any more, by which the others were found.
        assert!(until_true(PATIENCE, || !supervisor.lives()), "{supervisor:?} lives");
    }
}

#[test]
fn nothing_is_left_when_a_supervisor_is_killed() {
    for supervisor in [Session::guard, Session::zygote] {
        let session = start_busy(Interpreter::Builtin);
        let supervisors = [&session.guard(), &session.zygote()];
        supervisor(&session).signal(Signal::SIGKILL);
        expect_jobs_gone(&session, &supervisors);
        assert!(until_true(PATIENCE, || session.shm_files().is_empty()), "{:?}", session.shm_files());
        session.end().output();
        session.expect_nothing_left();
    }
}

#[test]
fn after_the_death_of_both_supervisors_the_next_session_sweeps() {
    let session = busy(
        r#"
        populate()
        say("busy")
        hear()
        for _, task in ipairs(tasks) do task:clean() end
        say(thread.async(function() return 1 end):await())
        hear()
        "#,
    )
    .start();
    session.expect("busy");
    session.learn_sessions();
    let daemon = daemon(&session);
    let (guard, zygote) = (session.guard(), session.zygote());
    process::kill_at_once(&[&zygote, &guard]);
    // Workers die with the zygote. Nobody is left to look after what left its job.
    let workers_gone = || {
        let left = session.processes();
        left.iter().all(|process| *process == session.host || !process.name.starts_with("llib"))
    };
    assert!(until_true(PATIENCE, workers_gone), "left: {:#?}", session.processes());
    let old = session.shm_files();
    assert!(!old.is_empty());
    session.say("on");
    session.expect("1");
    let swept = || !session.shm_files().iter().any(|file| old.contains(file));
    assert!(until_true(PATIENCE, swept), "of {old:?} there are still {:?}", session.shm_files());
    session.processes().iter().filter(|process| !process.name.starts_with("llib")).for_each(Process::kill);
    assert!(!daemon.lives());
    session.end().output();
    session.expect_nothing_left();
}

#[test]
fn after_the_death_of_host_and_both_supervisors_the_next_host_sweeps() {
    // One shared memory for both hosts: the first one is the child of a script that starts the second.
    let session = Script::new(
        r#"
        local first = os.getenv("SCRATCH") .. "/first.lua"
        local file = io.open(first, "w")
        file:write([[
            local thread = require("llib").thread
            local tasks = {}
            for i = 1, 5 do tasks[i] = thread.async(function() while true do end end) end
            tasks[6] = thread.async(function() return ("x"):rep(0x100000) end)
            tasks[6]:await(nil, true)
            print("ready")
            io.stdout:flush()
            while true do thread.sleep(1000) end
        ]])
        file:close()
        local pipe = io.popen("exec " .. arg[1] .. " " .. first)
        assert(pipe:read() == "ready")
        say("first")
        hear()
        say(thread.async(function() return 1 end):await())
        hear()
        "#,
    )
    .argument(&support::binaries::llib().display().to_string())
    .private_shm("1G")
    .start();
    session.expect("first");
    let all = session.processes();
    let named = |name: &str| all.iter().find(|process| process.name == name).cloned();
    let (guard, zygote) = (named("llib-guard").expect("it runs"), named("llib-zygote").expect("it runs"));
    let first = process::children(session.host.pid).pop().expect("it runs");
    let old = session.shm_files();
    assert!(old.len() >= 2, "{old:?}");
    process::kill_at_once(&[&zygote, &guard, &first]);
    let calm = until_true(PATIENCE, || session.processes() == [session.host.clone()]);
    assert!(calm, "left: {:#?}", session.processes());
    assert_eq!(session.shm_files(), old);
    session.say("on");
    session.expect("1");
    let swept = || !session.shm_files().iter().any(|file| old.contains(file));
    assert!(until_true(PATIENCE, swept), "of {old:?} there are still {:?}", session.shm_files());
    session.end().output();
    session.expect_nothing_left();
}

#[test]
fn a_live_session_is_not_swept_by_another() {
    let session =
        busy("populate() say('busy') hear() say(tasks[7]:await() == ('x'):rep(0x100000)) hear()").start();
    session.expect("busy");
    let before = session.shm_files();
    // Only in everybody's shared memory could the other meet it, so that is where this one must be.
    let other = Script::new("say(thread.async(function() return 1 end):await())").run();
    assert_eq!(other.output(), "1\n");
    assert_eq!(session.shm_files(), before);
    session.say("on");
    session.expect("true");
}

/// The process that left its job by setsid and a double fork.
fn daemon(session: &Session) -> Process {
    let file = session.scratch.path().join("daemon");
    let pid = || std::fs::read_to_string(&file).ok()?.trim().parse().ok();
    let pid = until(PATIENCE, pid).expect("the job wrote it");
    Process::find(pid).expect("it runs")
}

#[test]
fn a_job_that_ended_leaves_no_daemon_once_it_was_awaited() {
    let session = Script::new(
        r#"
        for _ = 1, 20 do
            local task = thread.async(function()
                os.execute("setsid sh -c 'sleep 1000 & (sleep 1001 &)' >/dev/null 2>&1 &")
                return 1
            end)
            assert(task:await() == 1)
        end
        say("done")
        hear()
        "#,
    )
    .start();
    session.expect("done");
    session.expect_no_busy_processes();
}

#[test]
fn a_deep_chain_of_daemons_dies_with_the_session() {
    let session = Script::new(
        r#"
        local task = thread.async(function()
            local program = os.getenv("SCRATCH") .. "/chain"
            local file = io.open(program, "w")
            file:write('if [ $1 -gt 0 ]; then setsid sh ', program, ' $(($1 - 1)) & fi; sleep 1000')
            file:close()
            os.execute("sh " .. program .. " 60 >/dev/null 2>&1 &")
            while true do end
        end)
        hear()
        "#,
    )
    .start();
    assert!(until_true(PATIENCE, || session.processes().iter().filter(|it| it.name == "sleep").count() >= 61));
    session.host.signal(Signal::SIGKILL);
    session.end();
    session.expect_nothing_left();
}
