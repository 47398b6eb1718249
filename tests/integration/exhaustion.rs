//! Running out of descriptors, processes and shared memory: an error, and later things work again.

use std::fs;
use std::time::Duration;

use support::session::PATIENCE;
use support::wait::until_true;
use support::{Interpreter, Script, Session, shm};

/// Opens files until there are just `free` descriptors left.
const FILL: &str = r#"
    local open = {}
    local function fill(free)
        while true do
            local file = io.open("/dev/null")
            if not file then break end
            open[#open + 1] = file
        end
        for _ = 1, free do table.remove(open):close() end
    end
    local function release()
        for _, file in ipairs(open) do file:close() end
        open = {}
    end
"#;

#[test]
fn a_first_job_without_descriptors_is_refused_and_later_ones_run() {
    for interpreter in Interpreter::all() {
        for free in 0..17 {
            let script = format!(
                r#"{FILL}
                fill({free})
                local ok, task = pcall(thread.async, function() return 1 end)
                local value, err
                if ok then value, err = task:await() else err = task end
                release()
                assert(thread.async(function() return 2 end):await() == 2)
                say(value, err)
                hear()
                "#
            );
            let session = Script::new(&script).by(interpreter).wrapped(&["prlimit", "--nofile=40"]).start();
            let line = session.line();
            let refused =
                "nil\tfailed to make a channel to the worker program: Too many open files (os error 24)";
            assert!(line == "1\tnil" || free < 15 && line == refused, "{free} free: {line}");
            // Nothing of the attempt is there any more.
            let guards = |all: &[support::Process]| all.iter().filter(|it| it.name == "llib-guard").count();
            let calm = || guards(&session.processes()) == 1;
            assert!(until_true(PATIENCE, calm), "{:#?}", session.processes());
            session.end().output();
        }
    }
}

#[test]
fn jobs_go_on_without_descriptors_and_large_results_say_why_not() {
    for interpreter in Interpreter::all() {
        let script = format!(
            r#"{FILL}
            assert(thread.async(function() return 1 end):await() == 1)
            local large = thread.async(function() return ("x"):rep(0x100000) end)
            wait(function() return large:status() == "done" end)
            local killed = thread.async(function() while true do end end)
            fill(0)
            for i = 1, 20 do assert(thread.async(function() return i end):await() == i) end
            killed:kill()
            assert(select(2, killed:await()).kind == "killed")
            local value, err = large:await(nil, true)
            assert(value == nil and err.kind == "encode" and err.message:find("Too many open files"), tostring(err))
            local ok, problem = pcall(thread.async, function(_, _, text) return #text end, {{ args = {{ ("x"):rep(0x100000) }} }})
            assert(not ok and problem:find("Too many open files"), problem)
            ok, problem = pcall(function() return killed.getfd(thread.async(function() end)) end)
            assert(not ok and tostring(problem):find("Too many open files"), problem)
            release()
            assert(#large:await() == 0x100000)
            assert(thread.async(function(_, _, text) return #text end, {{ args = {{ ("x"):rep(0x100000) }} }}):await() == 0x100000)
            say("done")
            "#
        );
        let outcome = Script::new(&script).by(interpreter).wrapped(&["prlimit", "--nofile=40"]).run();
        assert_eq!(outcome.output(), "done\n");
    }
}

#[test]
fn a_small_limit_of_descriptors_gives_results_or_a_reason() {
    let script = r#"
        local ok, task = pcall(thread.async, function() return 1 end, { stdout = "capture" })
        if not ok then say(task) return end
        local value, err = task:await()
        say(value or err.kind .. ": " .. err.message)
    "#;
    for limit in 5..40 {
        let outcome = Script::new(script).wrapped(&["prlimit", &format!("--nofile={limit}")]).run();
        assert_eq!(outcome.code, Some(0), "limit {limit}: {outcome:?}");
        let line = outcome.stdout.trim_end();
        let reasons = ["Too many open files", "the worker program cannot serve: "];
        assert!(
            line == "1" || reasons.iter().any(|reason| line.contains(reason)),
            "limit {limit}: {outcome:?}"
        );
        assert!(!outcome.stderr.contains("panicked"), "limit {limit}: {outcome:?}");
    }
}

/// A script of nobody, who may have some processes alone; `None` where only the user is.
fn with_processes(text: &str, count: u32) -> Option<Script> {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can become a user whose processes are all known");
        return None;
    }
    // A user that nobody else is, nor another test, so that only these processes count.
    let user = format!("--reuid={}", 64000 + count);
    let limit = format!("--nproc={count}");
    Some(Script::new(text).wrapped(&["setpriv", &user, "--regid=64000", "--clear-groups", "prlimit", &limit]))
}

#[test]
fn a_job_for_which_no_process_can_be_made_is_lost_with_the_reason() {
    let Some(script) = with_processes(
        r#"
        local tasks, running, refused = {}, {}, 0
        for i = 1, 40 do tasks[i] = thread.async(function() while true do end end) end
        for i = 1, 40 do
            local value, err = tasks[i]:await(i == 1 and 500 or 20)
            if err.kind == "lost" then
                assert(err.message == "no worker process could be started: Resource temporarily unavailable (os error 11)", err.message)
                refused = refused + 1
            else
                assert(err.kind == "timeout", tostring(err))
                running[#running + 1] = tasks[i]
            end
        end
        say(refused > 20 and #running >= 3 and "refused" or refused)
        for _, task in ipairs(running) do task:kill() end
        for _ = 1, 20 do assert(thread.async(function() return 1 end):await() == 1) end
        say("works again")
        "#,
        12,
    ) else {
        return;
    };
    assert_eq!(script.run().output(), "refused\nworks again\n");
}

#[test]
fn a_host_that_cannot_start_its_supervisors_says_why() {
    for count in 1..4 {
        let script = r#"
            local ok, problem = pcall(thread.async, function() return 1 end)
            say(ok and select(2, problem:await()).message or problem)
        "#;
        let Some(script) = with_processes(script, count) else { return };
        let outcome = script.run();
        let line = outcome.output().trim_end();
        assert!(
            line.ends_with("Resource temporarily unavailable (os error 11)"),
            "{count} processes: {line}"
        );
    }
}

/// A script with this much shared memory of its own; `None` where that cannot be had.
fn with_memory(text: &str, size: &str) -> Option<Session> {
    shm::can_be_private().then(|| Script::new(text).private_shm(size).limit(Duration::from_secs(120)).start())
}

/// Fills the shared memory of a script but for so many bytes.
fn fill(session: &Session, free: u64) {
    let file = session.shm().file("filler");
    let mut size = 0;
    let mut step = 32 << 20;
    while step >= 4096 {
        // Grown in ever smaller steps until nothing fits.
        if fs::File::options()
            .create(true)
            .append(true)
            .open(&file)
            .is_ok_and(|mut to| std::io::Write::write_all(&mut to, &vec![1; step]).is_ok())
        {
            size += step as u64;
        } else {
            fs::File::options().write(true).open(&file).and_then(|to| to.set_len(size)).expect("it shrinks");
            step /= 2;
        }
    }
    let to = fs::File::options().write(true).open(&file).expect("it is there");
    to.set_len(size.saturating_sub(free)).expect("it shrinks");
}

fn empty(session: &Session) {
    fs::remove_file(session.shm().file("filler")).expect("it is there");
}

#[test]
fn a_first_job_without_shared_memory_is_refused_and_a_later_one_runs() {
    let Some(session) = with_memory(
        r#"
        say("ready")
        hear()
        local ok, err = pcall(thread.async, function() return 1 end)
        say(ok, err)
        hear()
        say(thread.async(function() return 1 end):await())
        hear()
        "#,
        "64M",
    ) else {
        return;
    };
    session.expect("ready");
    fill(&session, 0);
    session.say("on");
    let line = session.line();
    assert!(
        line.starts_with("false\t") && line.contains("no space left in shared memory (/dev/shm)"),
        "{line}"
    );
    assert!(session.shm_files().is_empty(), "{:?}", session.shm_files());
    empty(&session);
    session.say("on");
    session.expect("1");
    session.end().output();
    session.expect_nothing_left();
}

#[test]
fn arguments_and_results_beyond_shared_memory_are_errors_and_later_ones_pass() {
    let Some(session) = with_memory(
        r#"
        local function give(size) return thread.async(function(_, _, text) return #text end, { args = { ("x"):rep(size) } }) end
        local function take(size) return thread.async(function() return ("y"):rep(size) end) end
        assert(give(0x100000):await() == 0x100000 and #take(0x100000):await() == 0x100000)
        say("ready")
        hear()
        for _, size in ipairs { 30000, 0x20000, 0x100000, 0x1000000 } do
            local ok, err = pcall(give, size)
            assert(not ok and err:find("no space left in shared memory (/dev/shm)", 1, true), err)
            local started, task = pcall(take, size)
            if started then
                local value, err = task:await()
                assert(value == nil and err.kind == "encode", tostring(err))
                assert(err.message:find("no space left in shared memory (/dev/shm)", 1, true), err.message)
            else
                -- No slot was free that has memory already.
                assert(task:find("no space left in shared memory (/dev/shm)", 1, true), task)
            end
        end
        -- What needs no more than is there, once the zygote has freed a slot.
        wait(function()
            local ok, value = pcall(function() return give(100):await() + #take(100):await() end)
            return ok and value == 200
        end)
        say("refused")
        hear()
        for _, size in ipairs { 30000, 0x20000, 0x100000, 0x1000000 } do
            assert(give(size):await() == size and #take(size):await() == size)
        end
        say("done")
        hear()
        "#,
        "64M",
    ) else {
        return;
    };
    session.expect("ready");
    session.expect_no_busy_processes();
    fill(&session, 0);
    session.say("on");
    session.expect("refused");
    empty(&session);
    session.say("on");
    session.expect("done");
    session.end().output();
    session.expect_nothing_left();
}

#[test]
fn a_thousand_live_jobs_fit_into_64_mib() {
    let Some(session) = with_memory(
        r#"
        local tasks = {}
        for i = 1, 1000 do tasks[i] = thread.async(function() thread.sleep(1e9) end) end
        for i = 1, 1000 do assert(tasks[i]:pid()) end
        say("live")
        hear()
        for i = 1, 1000 do tasks[i]:kill() end
        for i = 1, 1000 do assert(select(2, tasks[i]:await()).kind == "killed") end
        tasks = nil
        collectgarbage()
        assert(#thread.async(function() return ("x"):rep(0x1000000) end):await() == 0x1000000)
        say("done")
        hear()
        "#,
        "64M",
    ) else {
        return;
    };
    session.expect("live");
    let live = session.processes().iter().filter(|it| it.name.starts_with("llib:")).count();
    assert_eq!(live, 1000);
    session.say("on");
    session.expect("done");
    session.expect_no_busy_processes();
    session.end().output();
    session.expect_nothing_left();
}

#[test]
fn a_crowd_that_is_gone_keeps_no_shared_memory() {
    let Some(session) = with_memory(
        r#"
        local function sleep() thread.sleep(1e9) end
        local tasks = {}
        for round = 1, 2 do
            local refused
            for i = 1, 1200 do
                -- In the mailbox itself, for a segment of its own is an easy one.
                local ok, task = pcall(thread.async, sleep, { args = { ("x"):rep(60000) } })
                if ok then tasks[#tasks + 1] = task else refused = task end
            end
            assert(refused:find("no space left in shared memory (/dev/shm)", 1, true), refused)
            assert(#tasks > 800, #tasks)
            for i, task in ipairs(tasks) do
                task:clean()
                tasks[i] = nil
            end
            local value, err = thread.async(function() return ("x"):rep(0x1000000) end):await()
            say(value and #value == 0x1000000 or tostring(err))
        end
        hear()
        "#,
        "64M",
    ) else {
        return;
    };
    session.expect("true");
    session.expect("true");
    // The last result's segment goes when its worker is reaped.
    let released = until_true(PATIENCE, || session.shm_bytes() < 16 << 20);
    assert!(released, "{} bytes of shared memory are kept", session.shm_bytes());
    session.end().output();
    session.expect_nothing_left();
}

#[test]
fn jobs_beyond_shared_memory_are_refused_one_by_one_and_the_space_comes_back() {
    let Some(session) = with_memory(
        r#"
        local function crowd(size)
            local text, tasks, refused = ("x"):rep(size), {}, 0
            for i = 1, 400 do
                local ok, task = pcall(thread.async, function(_, _, text) return text end, { args = { text } })
                if ok then
                    tasks[#tasks + 1] = task
                else
                    assert(task:find("no space left in shared memory (/dev/shm)", 1, true), task)
                    refused = refused + 1
                end
            end
            local full = 0
            for _, task in ipairs(tasks) do
                local value, err = task:await()
                if value then
                    assert(value == text)
                else
                    assert(err.kind == "encode" and err.message:find("no space left", 1, true), tostring(err))
                    full = full + 1
                end
            end
            return refused, full, #tasks
        end
        local refused = crowd(60000)
        say("small ones", refused)
        refused = crowd(0x100000)
        assert(refused > 0)
        say("large ones")
        collectgarbage()
        local size = 0x1000000
        local value, err
        -- The space of a result goes when its worker is reaped.
        wait(function()
            value, err = thread.async(function() return ("x"):rep(size) end):await()
            return value
        end)
        say(value and #value == size or tostring(err))
        hear()
        "#,
        "64M",
    ) else {
        return;
    };
    session.expect("small ones\t0");
    session.expect("large ones");
    session.expect("true");
    session.end().output();
    session.expect_nothing_left();
}
