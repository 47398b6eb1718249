//! `task:kill`, and what it leaves: nothing.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use support::process::{Process, marked};
use support::{Interpreter, Script, Session, until};

/// A background process of a job, in four ways; each writes its process id into `$SCRATCH/child`.
const SPAWN: &str = r#"
    local file = os.getenv("SCRATCH") .. "/child"
    local note = os.getenv("SCRATCH") .. "/note"
    local program = io.open(note, "w")
    program:write("echo $$ >", file, ".new; mv ", file, ".new ", file, "; exec sleep 1000")
    program:close()
    local ways = {
        background = "sh " .. note .. " >/dev/null 2>&1 &",
        daemon = "setsid sh -c '(sh " .. note .. " &)' >/dev/null 2>&1 &",
        deaf = "sh -c 'trap \"\" TERM INT HUP; exec sh " .. note .. "' >/dev/null 2>&1 &",
        piped = "sh " .. note,
    }
    local function spawn(way)
        os.remove(file)
        return thread.async(function()
            if way == "piped" then pipe = io.popen(ways[way], "r") else os.execute(ways[way]) end
            while true do end
        end)
    end
"#;

fn with_spawn(text: &str) -> Script {
    Script::new(&format!("{SPAWN}\n{text}"))
}

fn process(session: &Session) -> Process {
    let pid = session.number();
    Process::find(pid).unwrap_or_else(|| panic!("process {pid} should run"))
}

#[test]
fn the_process_is_gone_when_kill_returns() {
    let script = r#"
        for i = 1, 50 do
            local task = thread.async(function() while true do end end)
            local pid = task:pid()
            assert(not gone(pid), "it ran")
            task:kill()
            assert(gone(pid), "it is gone")
            local value, err = task:await()
            assert(value == nil and err.kind == "killed" and err.signal == "KILL", tostring(err))
        end
        say("done")
    "#;
    for interpreter in Interpreter::all() {
        assert_eq!(Script::new(script).by(interpreter).run().output(), "done\n");
    }
}

#[test]
fn what_the_job_started_is_gone_when_kill_returns() {
    let session = with_spawn(
        r#"
        for way in pairs(ways) do
            local task = spawn(way)
            local child = wait(function() local f = io.open(file) if f then return f:read("*n") end end)
            assert(not gone(child), way .. " ran")
            task:kill()
            assert(gone(child), way .. " is gone")
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
fn a_job_killed_while_it_starts_daemons_leaves_none() {
    let session = Script::new(
        r#"
        local random = math.random
        for round = 1, 60 do
            local task = thread.async(function()
                while true do
                    os.execute("setsid sh -c 'sleep 1000 & sleep 1001 & (sleep 1002 &)' >/dev/null 2>&1 &")
                    io.popen("setsid sleep 1003 & sleep 1004", "r")
                end
            end)
            thread.sleep(random(0, 25))
            task:kill()
            say("killed")
            hear()
            task:clean()
        end
        "#,
    )
    .start();
    for _ in 0..60 {
        session.expect("killed");
        // At once: the host has not done anything since `kill` returned.
        let left = session.busy_processes();
        assert!(left.is_empty(), "left: {left:#?}");
        session.say("on");
    }
    session.end().output();
    session.expect_nothing_left();
}

#[test]
fn a_thousand_kills_at_random_moments_leave_nothing() {
    let script = r#"
        local kinds = {
            function() return 1 end,
            function() while true do end end,
            function() thread.sleep(1e6) end,
            function(res) res(("x"):rep(200000)) end,
            function() return ("y"):rep(20000) end,
            function() error("oops") end,
            function() os.exit(3) end,
            function() os.execute("sleep 1000 &") while true do end end,
            function() io.popen("setsid sleep 1000") while true do end end,
        }
        local function spin(rounds) for _ = 1, rounds do end end
        local function kill_some(count)
            for i = 1, count do
                local kind = kinds[i % 40 == 0 and math.random(8, 9) or math.random(1, 7)]
                local task = thread.async(kind)
                local moment = math.random(5)
                if moment == 2 then spin(math.random(20000)) end
                if moment == 3 then thread.sleep(math.random() * 2) end
                if moment == 4 then task:await(math.random() * 2, true) end
                local pid = task:pid()
                task:kill()
                if pid then assert(gone(pid)) end
                if moment == 5 then task:await() else task:clean() end
            end
        end
        kill_some(50)
        collectgarbage()
        say("warm")
        hear()
        kill_some(1000)
        collectgarbage()
        say("done")
        hear()
    "#;
    let session = Script::new(script).private_shm("1G").start();
    session.expect("warm");
    session.expect_no_busy_processes();
    let zygote = session.zygote();
    let count = |process: &Process| support::process::descriptors(process.pid).len();
    let before = (session.descriptors(), count(&zygote), session.shm_files());
    session.say("on");
    session.expect("done");
    session.expect_no_busy_processes();
    assert_eq!((session.descriptors(), count(&zygote), session.shm_files()), before);
    assert_eq!(session.zygote(), zygote, "the zygote is the same one");
    session.end().output();
    session.expect_nothing_left();
}

#[test]
fn a_paused_job_stands_still_and_a_resumed_one_goes_on() {
    let session = Script::new(
        r#"
        local task = thread.async(function() while true do end end)
        say(task:pid())
        task:pause()
        say(task:status())
        hear()
        task:resume()
        say(task:status())
        hear()
        task:pause()
        say("again")
        hear()
        task:kill()
        say("killed")
        hear()
        "#,
    )
    .start();
    let job = process(&session);
    let comes_to = |state: &str| {
        let now = || Process::find(job.pid).filter(|now| state.contains(now.state));
        assert!(until(Duration::from_secs(5), now).is_some(), "{:?}", Process::find(job.pid));
    };
    session.expect("paused");
    comes_to("T");
    session.say("resume");
    session.expect("running");
    comes_to("RS");
    session.say("pause");
    session.expect("again");
    comes_to("T");
    session.say("kill");
    session.expect("killed");
    assert!(!job.lives(), "a paused job is killed like any other");
}

#[test]
fn a_worker_stopped_from_outside_can_be_killed() {
    let session = Script::new(
        r#"
        local task = thread.async(function() while true do end end)
        say(task:pid())
        hear()
        say(select(2, task:await(20)).kind)
        task:kill()
        say("killed")
        hear()
        say(select(2, task:await()).kind)
        "#,
    )
    .start();
    let job = process(&session);
    job.signal(Signal::SIGSTOP);
    until(Duration::from_secs(5), || Process::find(job.pid).filter(|now| now.state == 'T'))
        .expect("it stops");
    session.say("on");
    session.expect("timeout");
    session.expect("killed");
    assert!(!job.lives());
    session.say("on");
    session.expect("killed");
    session.end().output();
}

#[test]
fn a_worker_killed_from_outside_is_a_failure_of_kind_signal() {
    for interpreter in Interpreter::all() {
        let session = Script::new(
            r#"
            local task = thread.async(function() while true do end end)
            say(task:pid())
            local value, err = task:await()
            say(err.kind, err.signal, err.message)
            "#,
        )
        .by(interpreter)
        .start();
        let job = process(&session);
        let cause = Instant::now();
        job.signal(Signal::SIGKILL);
        session.expect("signal\tKILL\tthe worker process died of SIGKILL");
        let took = cause.elapsed();
        assert!(took < Duration::from_secs(2), "it took {took:?} to hear of a death");
        session.end().output();
    }
}

#[test]
fn only_the_job_that_is_killed_dies() {
    let session = Script::new(
        r#"
        local tasks = {}
        for i = 1, 20 do tasks[i] = thread.async(function() thread.sleep(i % 2 == 0 and 20 or 1e6) return i end) end
        for i = 1, 20, 2 do tasks[i]:kill() end
        for i = 1, 20 do
            local value, err = tasks[i]:await()
            assert(i % 2 == 0 and value == i or err and (err.kind == "killed"), tostring(err))
        end
        say("done")
        "#,
    )
    .start();
    session.expect("done");
    session.end().output();
}

#[test]
fn a_signal_with_grace_comes_first_and_sigkill_after_it() {
    let session = with_spawn(
        r#"
        local task = spawn("deaf")
        local child = wait(function() local f = io.open(file) if f then return f:read("*n") end end)
        say(task:pid())
        say(child)
        hear()
        task:kill("TERM", 100)
        local value, err = task:await()
        say(err.kind, err.signal)
        -- One that does no harm.
        task = thread.async(function() while true do end end)
        say(task:pid())
        hear()
        task:kill("WINCH", 50)
        value, err = task:await()
        say(err.kind, err.signal)
        hear()
        "#,
    )
    .start();
    let (job, child) = (process(&session), session.number());
    session.say("on");
    session.expect("killed\tTERM");
    let gone =
        until(Duration::from_secs(5), || (!job.lives() && Process::find(child).is_none()).then_some(()));
    assert!(gone.is_some(), "left: {:#?}", session.busy_processes());
    let job = process(&session);
    session.say("on");
    session.expect("killed\tKILL");
    assert!(!job.lives());
}

#[test]
fn a_harmless_signal_after_a_deadly_one_does_not_hide_who_sent_it() {
    let script = r#"
        for i = 1, 30 do
            local task = thread.async(function() while true do end end)
            task:kill("TERM")
            task:kill("WINCH")
            local value, err = task:await()
            assert(err.kind == "killed" and err.signal == "TERM", tostring(err))
        end
        say("done")
    "#;
    assert_eq!(Script::new(script).run().output(), "done\n");
}

#[test]
fn the_mark_finds_what_a_session_started() {
    // What every other test here relies on.
    let session = with_spawn(
        r#"
        local task = spawn("daemon")
        local child = wait(function() local f = io.open(file) if f then return f:read("*n") end end)
        say(child)
        hear()
        "#,
    )
    .start();
    let child = process(&session);
    assert!(session.processes().contains(&child), "{child:?} is not among {:#?}", session.processes());
    assert!(session.busy_processes().contains(&child));
    assert_ne!(child.session, session.host.session, "it left the host's session");
    assert!(marked("nobody's").is_empty());
}
