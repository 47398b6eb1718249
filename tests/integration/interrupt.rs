//! Ctrl-C: SIGINT to the host, alone or with its whole process group as a terminal sends it.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use support::{Interpreter, Outcome, Process, Script, Session};

/// How soon a blocking call has to let go.
const AT_ONCE: Duration = Duration::from_secs(2);

/// Waits until the host sleeps.
fn wait_until_blocked(session: &Session) {
    let asleep = || Process::find(session.host.pid).is_some_and(|now| now.state == 'S');
    assert!(support::wait::until_true(Duration::from_secs(5), asleep), "the host does not block");
}

fn interrupt(session: &Session) -> Instant {
    wait_until_blocked(session);
    let start = Instant::now();
    session.host.signal(Signal::SIGINT);
    start
}

fn assert_interrupted(outcome: &Outcome, call: &str) {
    assert_eq!((outcome.code, outcome.signal), (Some(1), None), "{outcome:?}");
    let (message, traceback) = outcome.stderr.split_once('\n').unwrap_or_else(|| panic!("{outcome:?}"));
    assert!(message.ends_with("interrupted!"), "{outcome:?}");
    assert!(traceback.starts_with("stack traceback:\n"), "{outcome:?}");
    assert!(traceback.contains(call), "the traceback names {call}: {outcome:?}");
}

#[test]
fn a_blocking_call_ends_at_once_with_the_interpreters_own_message() {
    let calls = [("await", "task:await()"), ("await", "task:await(1e9)"), ("sleep", "thread.sleep(1e9)")];
    for interpreter in Interpreter::all() {
        for (name, call) in calls {
            let script = format!(
                "local task = thread.async(function() while true do end end) task:pid() say('ready')\n{call}\nsay('not reached')"
            );
            let session = Script::new(&script).by(interpreter).start();
            session.expect("ready");
            let start = interrupt(&session);
            let outcome = session.end();
            assert!(start.elapsed() < AT_ONCE, "{interpreter:?}, {call}: {:?}", start.elapsed());
            assert_eq!(outcome.stdout, "ready\n");
            assert_interrupted(&outcome, name);
            session.expect_nothing_left();
        }
    }
}

#[test]
fn a_caught_interrupt_leaves_the_job_as_it_was() {
    for interpreter in Interpreter::all() {
        let session = Script::new(
            r#"
            local go = os.getenv("SCRATCH") .. "/go"
            local task = thread.async(function()
                while not io.open(go) do thread.sleep(1) end
                return "the result"
            end)
            task:pid()
            say("ready")
            local ok, err = pcall(task.await, task)
            say(ok, tostring(err):match("interrupted!"), task:status())
            io.open(go, "w"):close()
            say(task:await())
            "#,
        )
        .by(interpreter)
        .start();
        session.expect("ready");
        let start = interrupt(&session);
        session.expect("false\tinterrupted!\trunning");
        assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
        session.expect("the result");
        session.end().output();
    }
}

#[test]
fn an_interrupt_inside_a_coroutine_gets_through() {
    for interpreter in Interpreter::all() {
        let session = Script::new(
            r#"
            local task = thread.async(function() thread.sleep(200) return "the result" end)
            task:pid()
            local routine = coroutine.create(function()
                say("ready")
                local ok, err = pcall(task.await, task)
                say(ok, tostring(err):match("interrupted!"))
                return task:await()
            end)
            say(coroutine.resume(routine))
            "#,
        )
        .by(interpreter)
        .start();
        session.expect("ready");
        let start = interrupt(&session);
        session.expect("false\tinterrupted!");
        assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
        session.expect("true\tthe result");
        session.end().output();
    }
}

#[test]
fn workers_survive_an_interrupt_of_the_hosts_process_group() {
    for interpreter in Interpreter::all() {
        let session = Script::new(
            r#"
            local go = os.getenv("SCRATCH") .. "/go"
            local tasks = {}
            for i = 1, 10 do
                tasks[i] = thread.async(function()
                    os.execute("while ! [ -e " .. go .. " ]; do sleep 0.01; done")
                    return i
                end)
                tasks[i]:pid()
            end
            say("ready")
            local ok, err = pcall(tasks[1].await, tasks[1])
            say(ok, tostring(err):match("interrupted!"))
            hear()
            io.open(go, "w"):close()
            for i, task in ipairs(tasks) do assert(task:await() == i) end
            say("all")
            "#,
        )
        .by(interpreter)
        .in_own_group()
        .start();
        session.expect("ready");
        wait_until_blocked(&session);
        assert_eq!(
            session.host.group, session.host.pid,
            "it leads a group, as from a shell with job control"
        );
        let before: Vec<i32> =
            session.processes().iter().filter(|it| it.name.starts_with("llib")).map(|it| it.pid).collect();
        killpg(Pid::from_raw(session.host.group), Signal::SIGINT).expect("the group is there");
        session.expect("false\tinterrupted!");
        let now: Vec<i32> = session.processes().iter().map(|it| it.pid).collect();
        assert!(before.iter().all(|pid| now.contains(pid)), "of {before:?} there are still {now:?}");
        session.say("on");
        session.expect("all");
        session.end().output();
    }
}
