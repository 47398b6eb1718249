//! Templates as processes: when there is one, and what becomes of jobs when it dies.

use nix::sys::signal::Signal;
use support::process::{Process, children};
use support::session::PATIENCE;
use support::wait::until_true;
use support::{Interpreter, Session};

use super::script;

/// A module that counts how often it is loaded, and jobs that have it.
const COUNTED: &str = r#"
    module("counted", [[
        local log = io.open(os.getenv("SCRATCH") .. "/loads", "a")
        log:write("x")
        log:close()
        return { answer = 42 }
    ]])
    local function answer() return package.loaded.counted and package.loaded.counted.answer end
    local running = thread.async(function() require("llib").thread.sleep(1e9) end)
    wait(function() return running:pid() end)
"#;

fn templates(session: &Session) -> Vec<Process> {
    // A worker has this name too until it has its own, and is no subreaper's heir for long.
    let zygote = session.zygote().pid;
    let mut found = children(zygote);
    found.retain(|process| process.name == "llib-template");
    found
}

/// Waits until there is one template, and no other.
fn template(session: &Session) -> Process {
    let one = || templates(session).len() == 1 && templates(session).len() == 1;
    assert!(until_true(PATIENCE, one), "{:#?}", session.processes());
    templates(session).remove(0)
}

#[test]
fn there_is_no_template_before_the_first_module_and_one_afterwards() {
    for interpreter in Interpreter::all() {
        let session = script(
            &format!(
                "{COUNTED} thread.async(function() end):await() say('before') hear()
                thread.preload('counted', 'string', 'table') say(thread.async(answer):await()) hear()"
            ),
            interpreter,
        )
        .start();
        session.expect("before");
        assert!(templates(&session).is_empty());
        session.say("on");
        session.expect("42");
        let template = template(&session);
        assert_eq!(template.parent, session.zygote().pid);
        session.say("on");
        session.end().output();
        session.expect_nothing_left();
    }
}

#[test]
fn a_template_that_is_killed_is_made_again_and_no_job_notices() {
    let session = script(
        &format!(
            "{COUNTED} thread.preload('counted') say(thread.async(answer):await()) hear()
            wait(function() return read('loads') == 'xx' end)
            for _ = 1, 40 do thread.async(function() end):await() end
            wait(function() return thread.async(answer):await() == 42 end)
            say(running:status(), read('loads')) hear()
            for _ = 1, 40 do assert(thread.async(function() return 7 end):await() == 7) end
            say(running:status(), read('loads'))"
        ),
        Interpreter::Builtin,
    )
    .start();
    session.expect("42");
    template(&session).kill();
    session.say("on");
    session.expect("running\txx");
    // Dead again so soon, it is not made again.
    template(&session).kill();
    session.say("on");
    session.expect("running\txx");
    session.end().output();
    session.expect_nothing_left();
}

#[test]
fn a_template_that_was_stopped_is_replaced_when_it_does_not_answer() {
    let session = script(
        &format!(
            "{COUNTED} thread.preload('counted') say(thread.async(answer):await()) hear()
            for _ = 1, 40 do assert(thread.async(function() return 7 end):await() == 7) end
            wait(function() return thread.async(answer):await() == 42 end)
            say(running:status())"
        ),
        Interpreter::Builtin,
    )
    .start();
    session.expect("42");
    let stopped = template(&session);
    stopped.signal(Signal::SIGSTOP);
    session.say("on");
    session.expect("running");
    assert!(until_true(PATIENCE, || !stopped.lives()));
    session.end().output();
    session.expect_nothing_left();
}

#[test]
fn workers_of_a_template_are_as_others_are() {
    for interpreter in Interpreter::all() {
        let session = script(
            &format!(
                r#"{COUNTED} thread.preload("counted")
                local task = thread.async(function() io.write("out") io.stderr:write("err") return answer() end,
                    {{ stdout = "capture", stderr = "capture", args = {{}}, globals = "named" }})
                local result = task:await(nil, true)
                local output = task:output() task:clean()
                assert(result == 42 and output == "out", tostring(result) .. tostring(output))
                local kinds = {{}}
                for _, body in ipairs {{
                    function() os.exit(9) end,
                    function() while true do end end,
                    function() os.execute("setsid sleep 1000 & setsid sleep 1001 &") error("x") end,
                }} do
                    local task = thread.async(body, {{ cpu = 50 }})
                    kinds[#kinds + 1] = select(2, task:await()).kind
                end
                assert(table.concat(kinds, " ") == "exit cpu error", table.concat(kinds, " "))
                local task = thread.async(function() require("llib").thread.sleep(1e9) end)
                task:pause() task:resume() task:kill()
                assert(select(2, task:await()).kind == "killed")
                -- A job's own jobs, and those of a sandboxed job.
                assert(thread.async(function() return require("llib").thread.async("return 5"):await() end):await() == 5)
                assert(thread.async(function() return require("llib").thread.async("return 6"):await() end,
                    {{ sandbox = {{ jobs = 2 }} }}):await() == 6)
                running:kill() running:await()
                say("done") hear()"#
            ),
            interpreter,
        )
        .start();
        session.expect("done");
        session.expect_no_busy_processes();
        session.say("end");
        session.end().output();
        session.expect_nothing_left();
    }
}
