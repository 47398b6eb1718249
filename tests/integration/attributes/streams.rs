//! Standard streams that are led elsewhere after the first job, as daemons do.

use support::session::PATIENCE;
use support::wait::until_true;

use super::script;

#[test]
fn jobs_print_where_the_program_prints_now() {
    let Some((script, folder)) = script(
        r#"
        local pool = thread.pool { size = 1 }
        local function speak(_, _, who, complain)
            print(who)
            if complain then io.stderr:write("complaint\n") end
        end
        local function all(when, complain)
            thread.async(speak, { args = { when .. " fresh", complain } }):await()
            thread.async(function(_, _, when)
                require("llib").thread.async(function(_, _, when) print(when .. " nested") end, { args = { when } }):await()
            end, { args = { when } }):await()
            thread.async(function(_, _, when) print(when .. " sandboxed") end, { sandbox = true, args = { when } }):await()
            pool:submit(function(when) print(when .. " pool") end, when):await()
        end
        all("first")
        calls.stream(1, folder .. "/output") calls.stream(2, folder .. "/errors")
        all("second", true)
        calls.stream(1, folder .. "/other")
        thread.async(function() print("third") end):await()
        "#,
    ) else {
        return;
    };
    let outcome = script.run();
    assert_eq!(outcome.output(), "first fresh\nfirst nested\nfirst sandboxed\nfirst pool\n");
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(read("output"), "second fresh\nsecond nested\nsecond sandboxed\nsecond pool\n");
    assert_eq!(read("errors"), "complaint\n");
    assert_eq!(read("other"), "third\n");
}

#[test]
fn a_stream_that_was_closed_is_empty_and_swallows() {
    let Some((script, _folder)) = script(
        r#"
        local function look() return io.read("*l") or "end", io.stderr:write("x") and "written" end
        thread.async(function() end):await()
        calls.stream(0) calls.stream(2)
        say(thread.async(look):await())
        say(thread.pool { size = 1 }:submit(look):await())
        "#,
    ) else {
        return;
    };
    let session = script.start();
    session.say("a line for the first job");
    session.expect("end\twritten");
    session.expect("end\twritten");
    session.end().output();
}

#[test]
fn nobody_holds_the_old_output_once_the_program_has_another() {
    let Some((script, folder)) = script(
        r#"
        local pool = thread.pool { size = 1 }
        pool:submit(function() end):await()
        thread.async(function() end):await()
        say("once")
        calls.stream(1, folder .. "/output")
        thread.async(function() end):await()
        pool:submit(function() end):await()
        hear()
        "#,
    ) else {
        return;
    };
    let session = script.start();
    session.expect("once");
    let old = session.scratch.path().join("stdout");
    let let_go = || session.descriptors().iter().all(|(_, file)| *file != old);
    assert!(until_true(PATIENCE, let_go), "{:?}", session.descriptors());
    session.end().output();
    drop(folder);
}
