//! Limits of time: kept by the supervisors, whatever the host does meanwhile.

use std::time::{Duration, Instant};

use support::process::Process;
use support::session::PATIENCE;
use support::wait::until_true;
use support::{Interpreter, Script};

#[test]
fn a_deadline_is_kept_while_the_host_is_busy() {
    for interpreter in Interpreter::all() {
        let session = Script::new(
            r#"
            local running = os.getenv("SCRATCH") .. "/running"
            local tasks = {}
            for i = 1, 8 do
                tasks[i] = thread.async(function()
                    os.execute("setsid sh -c 'sleep 1000 &' >/dev/null 2>&1 &")
                    io.open(running .. i, "w"):close()
                    while true do end
                end, { timeout = 300 })
                say(tasks[i]:pid())
            end
            -- Until the test has seen them go, pure Lua code: no call into llib, and none into the system.
            local clock, stop = os.clock, os.clock() + 0.5
            while clock() < stop do end
            say("busy")
            while clock() < stop + 30 do end
            "#,
        )
        .by(interpreter)
        .start();
        let jobs: Vec<Process> = (0..8).filter_map(|_| Process::find(session.number())).collect();
        let start = Instant::now();
        assert!(until_true(PATIENCE, || jobs.iter().all(|job| !job.lives())), "{jobs:#?}");
        // The limit began before; on a machine with other work a kill has its time.
        assert!(start.elapsed() < Duration::from_secs(3), "it took {:?}", start.elapsed());
        let host = Process::find(session.host.pid).expect("it is our child");
        assert_eq!(host.state, 'R', "the host is still busy");
        session.expect_no_busy_processes();
    }
}

#[test]
fn a_job_lives_until_its_deadline_and_not_much_longer() {
    let script = r#"
        for _, limit in ipairs { 1, 20, 150 } do
            local task = thread.async(function() while true do end end, { timeout = limit })
            local pid = task:pid()
            local value, err = task:await()
            local wall = err.usage.wall
            assert(value == nil and err.kind == "deadline", tostring(err))
            assert(wall >= limit and wall < limit + 1000, wall)
            assert(not pid or gone(pid), "its process is gone")
        end
        -- A stopped one, and one that waits for others, too.
        local task = thread.async(function() while true do end end, { timeout = 100 })
        task:pause()
        assert(select(2, task:await()).kind == "deadline")
        task = thread.async(function() os.execute("sleep 1000") end, { timeout = 100 })
        assert(select(2, task:await()).kind == "deadline")
        -- A reply comes first.
        task = thread.async(function() return 1 end, { timeout = 1000 })
        assert(task:await() == 1)
        say("done")
    "#;
    for interpreter in Interpreter::all() {
        assert_eq!(Script::new(script).by(interpreter).run().output(), "done\n");
    }
}

#[test]
fn an_await_with_a_limit_comes_back_in_time_and_leaves_the_job() {
    let script = r#"
        local task = thread.async(function() thread.sleep(300) return "late" end)
        for i = 1, 5 do
            local value, err = task:await(10)
            assert(value == nil and err.kind == "timeout" and task:status() == "running", tostring(err))
        end
        assert(task:await() == "late")
        task = thread.async(function() while true do end end)
        local pid = task:pid()
        local value, err = task:await(10, false)
        assert(err.kind == "timeout" and task:status() == "cleaned")
        wait(function() return gone(pid) end)
        say("done")
    "#;
    for interpreter in Interpreter::all() {
        assert_eq!(Script::new(script).by(interpreter).run().output(), "done\n");
    }
}

#[test]
fn hundreds_of_deadlines_at_once_are_all_kept() {
    let session = Script::new(
        r#"
        local tasks = {}
        for i = 1, 300 do tasks[i] = thread.async(function() thread.sleep(1e9) end, { timeout = 50 + i % 7 }) end
        for i = 1, 300 do
            local value, err = tasks[i]:await()
            assert(err.kind == "deadline", tostring(err))
        end
        say("done")
        hear()
        "#,
    )
    .start();
    session.expect("done");
    session.expect_no_busy_processes();
    session.end().output();
}
