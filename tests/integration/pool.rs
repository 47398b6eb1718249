//! Pools under attack: killed workers, killed supervisors, a killed host; and what idle workers cost.

use std::time::Duration;

use nix::sys::signal::Signal;
use support::process::Process;
use support::session::PATIENCE;
use support::wait::until_true;
use support::{Interpreter, Script, Session};

/// Workers of pools, as process lists show them.
fn workers(session: &Session) -> Vec<Process> {
    session.busy_processes().into_iter().filter(|process| process.name.starts_with("llib:")).collect()
}

#[test]
fn of_many_jobs_whose_workers_are_killed_at_any_moment_each_settles_and_nothing_is_left() {
    for interpreter in Interpreter::all() {
        let session = Script::new(
            r#"
            local pool = thread.pool { size = 3 }
            local plain = function(n) return n end
            local global = function(n) leaked = n return tostring(n) end
            local done, killed = 0, 0
            say("running")
            local rounds = 0
            while rounds < 200 or pool:stats().died < 20 do
                rounds = rounds + 1
                local tasks = {}
                for i = 1, 100 do tasks[i] = pool:submit(i % 2 == 0 and plain or global, i) end
                for i = 1, 100 do
                    local value, err = tasks[i]:await(20000)
                    if value == (i % 2 == 0 and i or tostring(i)) then
                        done = done + 1
                    else
                        assert(value == nil and err.kind == "signal" and err.signal == "KILL", tostring(err))
                        killed = killed + 1
                    end
                end
            end
            assert(done + killed == rounds * 100 and done > 3 * killed)
            local list = {}
            for i = 1, 1000 do list[i] = i end
            local stats = pool:stats()
            assert(stats.queued == 0 and stats.running == 0, "jobs are left")
            assert(stats.done == done and stats.failed == killed, "the numbers differ")
            say("done")
            hear()
            assert(#pool:map(plain, list) == 1000)
            assert(pool:close())
            say("closed")
            hear()
            "#,
        )
        .by(interpreter)
        .limit(Duration::from_secs(120))
        .start();
        session.expect("running");
        let said = std::thread::scope(|scope| {
            let (stop, stopped) = std::sync::mpsc::channel::<()>();
            let mark = session.processes();
            let zygote = session.zygote().pid;
            scope.spawn(move || {
                drop(mark);
                // One after the other, at moments that have nothing to do with what they are at.
                while stopped
                    .recv_timeout(Duration::from_millis(7))
                    .is_err_and(|error| error == std::sync::mpsc::RecvTimeoutError::Timeout)
                {
                    let children = support::process::children(zygote);
                    if let Some(worker) = children.iter().find(|child| child.name.starts_with("llib:")) {
                        worker.signal(Signal::SIGKILL);
                    }
                }
            });
            let said = session.line();
            drop(stop);
            said
        });
        assert_eq!(said, "done");
        session.say("on");
        session.expect("closed");
        session.expect_no_busy_processes();
        session.say("on");
        session.end().output();
        session.expect_nothing_left();
    }
}

#[test]
fn jobs_of_a_pool_whose_supervisor_is_killed_are_lost_and_so_is_the_pool() {
    for supervisor in [Session::guard, Session::zygote] {
        let session = Script::new(
            r#"
            local pool = thread.pool { size = 2 }
            local tasks = {}
            for i = 1, 2000 do tasks[i] = pool:submit(function() thread.sleep(1e9) end) end
            say("running")
            for i = 1, 2000 do
                local value, err = tasks[i]:await()
                assert(value == nil and err.kind == "lost", tostring(err))
            end
            local ok, problem = pcall(pool.submit, pool, function() end)
            assert(not ok and problem:find("the pool is lost", 1, true), problem)
            assert(thread.pool { size = 1 }:submit(function() return "works" end):await() == "works")
            say("again")
            "#,
        )
        .start();
        session.expect("running");
        assert!(until_true(PATIENCE, || workers(&session).len() == 2));
        supervisor(&session).signal(Signal::SIGKILL);
        session.expect("again");
        session.end().output();
        session.expect_nothing_left();
    }
}

#[test]
fn a_signal_for_a_job_goes_to_its_worker_however_many_died_at_its_seat_before() {
    let session = Script::new(
        r#"
        -- More than there are spares: some workers are forked for their seat, others were spares before.
        local pool = thread.pool { size = 24 }
        local function hang() while true do thread.sleep(1e9) end end
        for round = 1, 30 do
            local tasks = {}
            for i = 1, 24 do tasks[i] = pool:submit(hang) end
            for i = 1, 24 do
                wait(function() return tasks[i]:pid() end)
                tasks[i]:kill()
                local value, err = tasks[i]:await(10000)
                assert(value == nil and err.kind == "killed", tostring(err))
            end
        end
        say("killed")
        hear()
        "#,
    )
    .start();
    session.expect("killed");
    session.end().output();
    session.expect_nothing_left();
}

#[test]
fn a_pool_keeps_nothing_of_jobs_that_are_over() {
    let session = Script::new(
        r#"
        local pool = thread.pool { size = 2 }
        local function same(n) return n end
        local function jobs(count)
            for n = 1, count / 20 do
                local tasks = {}
                for i = 1, 20 do tasks[i] = pool:submit(same, n) end
                for i = 1, 20 do assert(tasks[i]:await() == n) end
            end
            collectgarbage()
            collectgarbage()
            local file = assert(io.open("/proc/self/status"))
            local kib = tonumber(file:read("*a"):match("RssAnon:%s*(%d+) kB"))
            file:close()
            return kib
        end
        local before = jobs(20000)
        -- A word for each of them would be a megabyte.
        local more = jobs(260000) - before
        assert(more < 400, "the host has grown by " .. more .. " KiB")
        say("done")
        hear()
        "#,
    )
    .limit(Duration::from_secs(180))
    .start();
    session.expect("done");
    session.end().output();
}

#[test]
fn a_killed_host_leaves_nothing_of_its_pool() {
    let session = Script::new(
        r#"
        local pool = thread.pool { size = 4 }
        for i = 1, 3000 do pool:submit(function() os.execute("sleep 1000") end) end
        say("running")
        hear()
        "#,
    )
    .start();
    session.expect("running");
    assert!(until_true(PATIENCE, || workers(&session).len() == 4));
    session.host.signal(Signal::SIGKILL);
    session.expect_nothing_left();
}

#[test]
fn a_hundred_idle_workers_cost_no_cpu_time() {
    let session = Script::new(
        r#"
        local pool = thread.pool { size = 100 }
        local tasks = {}
        for i = 1, 400 do tasks[i] = pool:submit(function() thread.sleep(5) end) end
        for i = 1, 400 do tasks[i]:await() end
        say("idle")
        hear()
        "#,
    )
    .limit(Duration::from_secs(60))
    .start();
    session.expect("idle");
    let ticks = |pid: i32| -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields: Vec<&str> =
            stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
        fields.get(11).and_then(|ticks| ticks.parse().ok()).unwrap_or(0)
            + fields.get(12).and_then(|ticks| ticks.parse().ok()).unwrap_or(0)
    };
    let all = |session: &Session| workers(session).iter().map(|worker| ticks(worker.pid)).sum::<u64>();
    assert!(until_true(PATIENCE, || workers(&session).len() == 100));
    // What is left to tidy up is tidied up at the first calm.
    std::thread::sleep(Duration::from_millis(500));
    let before = all(&session);
    std::thread::sleep(Duration::from_secs(2));
    let spent = all(&session) - before;
    // A hundredth of a second each; looking out once every 20 ms would take some hundred of them.
    assert!(spent <= 2, "{spent} ticks in two seconds");
    session.say("on");
    session.end().output();
    session.expect_nothing_left();
}
