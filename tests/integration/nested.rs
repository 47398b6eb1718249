//! Jobs that start jobs: each such job is a host itself, with supervisors of its own.

use std::time::Duration;

use nix::sys::signal::Signal;
use support::process::{self, Process};
use support::session::PATIENCE;
use support::wait::until_true;
use support::{Interpreter, Script, Session};

/// A tree of jobs, two below each, that stand until they are told; 2^(depth + 1) - 2 in all.
const TREE: &str = r#"
    local folder = os.getenv("SCRATCH")
    local function stand(depth, path)
        local below = {}
        if depth > 0 then
            for _, side in ipairs { "l", "r" } do
                below[#below + 1] = thread.async(function() return stand(depth - 1, path .. side) end)
            end
        end
        if path ~= "" then io.open(folder .. "/" .. path, "w"):close() end
        while not io.open(folder .. "/go") do thread.sleep(20) end
        local sum = 1
        for _, task in ipairs(below) do sum = sum + assert(task:await()) end
        return sum
    end
"#;

/// Waits until every job of a tree has said that it stands.
fn wait_until_they_stand(session: &Session, jobs: usize) {
    let standing = || {
        let entries = std::fs::read_dir(session.scratch.path()).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names.filter(|name| name.bytes().all(|byte| b"lr".contains(&byte))).count()
    };
    let all = until_true(Duration::from_secs(60), || standing() == jobs);
    assert!(all, "{} of {jobs} jobs stand", standing());
}

#[test]
fn a_tree_of_a_hundred_live_jobs_comes_to_its_sum() {
    let session =
        Script::new(&format!("{TREE} say('ready') say(stand(6, '') - 1) hear()")).private_shm("2G").start();
    session.expect("ready");
    wait_until_they_stand(&session, 126);
    let jobs = || session.processes().iter().filter(|it| it.name.starts_with("llib:")).count();
    assert!(jobs() >= 126, "{} jobs live", jobs());
    session.scratch.write("go", "");
    session.expect("126");
    session.expect_no_busy_processes();
    assert!(until_true(PATIENCE, || session.shm_files().len() == 1), "{:?}", session.shm_files());
    session.end().output();
    session.expect_nothing_left();
}

#[test]
fn fib_by_two_jobs_a_level_computes() {
    let script = r#"
        local function fib(n)
            if n < 2 then return n end
            local left = thread.async(function() return fib(n - 1) end)
            local right = thread.async(function() return fib(n - 2) end)
            return left:await() + right:await()
        end
        say(fib(7))
    "#;
    for interpreter in Interpreter::all() {
        let session = Script::new(script).by(interpreter).private_shm("2G").start();
        session.expect("13");
        session.end().output();
        session.expect_nothing_left();
    }
}

#[test]
fn the_death_of_an_owner_ends_its_jobs() {
    for way in ["kill", "clean", "signal", "exit"] {
        let session = Script::new(&format!(
            r#"{TREE}
            local task = thread.async(function() return stand(3, "") end)
            say(task:pid())
            hear()
            if arg[1] == "kill" then task:kill() end
            if arg[1] == "clean" then task:clean() end
            if arg[1] == "signal" then say(select(2, task:await()).kind) end
            say("gone")
            if arg[1] ~= "exit" then hear() end
            "#
        ))
        .argument(way)
        .private_shm("1G")
        .start();
        let owner = Process::find(session.number()).expect("it runs");
        wait_until_they_stand(&session, 14);
        session.learn_sessions();
        assert!(session.shm_files().len() >= 8, "{:?}", session.shm_files());
        if way == "signal" {
            owner.signal(Signal::SIGKILL);
        }
        session.say("on");
        if way == "signal" {
            session.expect("signal");
        }
        session.expect("gone");
        if way == "kill" {
            let left = session.busy_processes();
            assert!(left.is_empty(), "left: {left:#?}");
        }
        if way != "exit" {
            session.expect_no_busy_processes();
            let files = until_true(PATIENCE, || session.shm_files().len() == 1);
            assert!(files, "{way}: {:?}", session.shm_files());
        }
        session.end().output();
        session.expect_nothing_left();
    }
}

#[test]
fn nothing_of_a_tree_is_left_after_the_death_of_host_or_supervisor() {
    for victim in ["host", "guard", "zygote"] {
        let session = Script::new(&format!("{TREE} say('ready') stand(3, '')")).private_shm("1G").start();
        session.expect("ready");
        wait_until_they_stand(&session, 14);
        session.learn_sessions();
        match victim {
            "host" => session.host.signal(Signal::SIGKILL),
            "guard" => session.guard().signal(Signal::SIGKILL),
            _ => session.zygote().signal(Signal::SIGKILL),
        }
        let calm = until_true(PATIENCE, || session.processes().iter().all(|it| *it == session.host));
        assert!(calm, "{victim}: left: {:#?}", session.processes());
        let empty = until_true(PATIENCE, || session.shm_files().is_empty());
        assert!(empty, "{victim}: left in shared memory: {:?}", session.shm_files());
    }
}

#[test]
fn a_nested_supervisor_that_dies_costs_the_jobs_below_it_alone() {
    let session = Script::new(
        r#"
        local task = thread.async(function()
            local inner = thread.async(function() while true do end end)
            inner:pid()
            io.open(os.getenv("SCRATCH") .. "/l", "w"):close()
            local value, err = inner:await()
            return err.kind, (thread.async(function() return "again" end):await())
        end)
        local other = thread.async(function() while true do end end)
        say(task:pid())
        say(task:await())
        say(other:status())
        hear()
        "#,
    )
    .private_shm("1G")
    .start();
    let owner = session.number();
    wait_until_they_stand(&session, 1);
    let guard = process::guard_of(owner).expect("it runs");
    guard.signal(Signal::SIGKILL);
    session.expect("lost\tagain");
    session.expect("running");
    session.end().output();
    session.expect_nothing_left();
}
