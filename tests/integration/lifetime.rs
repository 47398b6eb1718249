//! How long shared objects live: as long as anybody has a handle, and not longer.

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;
use support::process::kill_at_once;
use support::session::PATIENCE;
use support::wait::until_true;
use support::{Interpreter, Script, Session};

/// Files of shared objects of a session's tree, once they are few enough or a while has passed.
pub(super) fn objects(session: &Session) -> Vec<String> {
    let files = || {
        let mut files = session.shm_files();
        files.retain(|file| file.starts_with("llib-tree-") && file.contains('.'));
        files
    };
    until_true(PATIENCE, || files().is_empty());
    files()
}

/// Lines of `/proc/PID/maps`.
fn mappings(session: &Session) -> usize {
    fs::read_to_string(format!("/proc/{}/maps", session.host.pid)).map_or(0, |maps| maps.lines().count())
}

/// Runs pieces of a script in one session, each in a function of its own, and expects that after each of them, once
/// its handles are collected, no object is left. `ill_timed` of all may be, where workers are killed at any instant:
/// one that dies between two neighbouring instructions, of which the first takes a handle out of a message and the
/// second counts it off, leaves an object that goes with its host (`src/core/shared/object/holders.rs`).
fn expect_no_objects_after(ill_timed: usize, pieces: &[(&str, &str)]) {
    for interpreter in Interpreter::all() {
        let mut script = String::from(
            r#"
            -- What a function left in its registers is no handle that the script has.
            local function wipe(...) return (...) end
            local function run(f)
                f()
                wipe((table.unpack or unpack)({}, 1, 200))
                -- Compiled code holds values that it took for constants.
                if jit then jit.flush() end
                collectgarbage() collectgarbage()
                say("done") hear()
            end
            thread.async(function() end):await()
            say("ready") hear()
            "#,
        );
        for (_, piece) in pieces {
            script.push_str(&format!("run(function() {piece} end)\n"));
        }
        let session = Script::new(&script).by(interpreter).start();
        session.expect("ready");
        let before = mappings(&session);
        for (what, _) in pieces {
            session.say("on");
            session.expect("done");
            let left = objects(&session);
            assert!(left.len() <= ill_timed, "{what}: {left:?}");
        }
        let after = mappings(&session);
        assert!(after <= before + 8, "{before} mappings became {after}");
        session.say("on");
        session.end().output();
        session.expect_nothing_left();
    }
}

#[test]
fn ten_thousand_collected_buffers_leave_nothing() {
    expect_no_objects_after(
        0,
        &[
            (
                "buffers",
                "for i = 1, 10000 do thread.buffer({ i, ('x'):rep(i % 3000) }) if i % 500 == 0 then collectgarbage() end end",
            ),
            (
                "objects in objects",
                "for i = 1, 200 do thread.buffer(thread.buffer({ thread.channel(), thread.mutex() })) end",
            ),
            (
                "cleaned ones",
                "for i = 1, 200 do local b = thread.buffer(i) b:clean() thread.mutex():free() end",
            ),
            (
                "replaced ones",
                "local b = thread.buffer(0)
             for i = 1, 50 do b:set({ thread.buffer(i), thread.mutex() }) end
             b:mod(function() return { thread.channel() } end)",
            ),
            (
                "items",
                "local c = thread.channel() for i = 1, 50 do c:push({ thread.buffer(i) }) end for i = 1, 20 do c:pop() end",
            ),
        ],
    );
}

#[test]
fn handles_of_killed_workers_count_as_dropped() {
    expect_no_objects_after(2, &[
        (
            "created there",
            "local count = thread.buffer(0)
             local t = thread.async(function()
                 local made = {}
                 for i = 1, 100 do made[i] = thread.buffer(i) count:set(i) end
                 thread.sleep(1e9)
             end)
             wait(function() return count:get() == 100 end)
             t:kill()",
        ),
        (
            "killed while creating",
            "for i = 1, 40 do
                 local t = thread.async(function()
                     local made = {}
                     while true do made[#made % 50 + 1] = thread.buffer(1) end
                 end)
                 t:pid()
                 thread.sleep(math.random(0, 3))
                 t:kill()
             end",
        ),
        (
            "sent there",
            "local b, got = {}, thread.buffer(false)
             for i = 1, 50 do b[i] = thread.buffer(i) end
             local t = thread.async(function(_, _, b) got:set(true) thread.sleep(1e9) return b end, { args = { b } })
             wait(function() return got:get() end)
             t:kill()",
        ),
        (
            "in flight",
            "for i = 1, 60 do
                 local filler = ('x'):rep(i % 2 * 100000)
                 thread.async(function() thread.sleep(1e9) end, { args = { thread.buffer(i), filler } }):kill()
             end",
        ),
        (
            "in replies that nobody reads",
            "for i = 1, 30 do
                 local t = thread.async(function() return thread.buffer(1), thread.channel(), ('x'):rep(i % 2 * 100000) end)
                 wait(function() return t:status() == 'done' end)
                 if i % 3 == 0 then t:clean() elseif i % 3 == 1 then t:kill() end
             end",
        ),
        (
            "in replies that are read, once and again",
            "for i = 1, 10 do
                 local t = thread.async(function() return thread.buffer(1), thread.channel() end)
                 assert(t:await(nil, true):get() == 1)
                 assert(t:await():get() == 1)
             end",
        ),
        (
            "in failures",
            "for i = 1, 10 do
                 thread.async(function() error({ thread.buffer(1) }) end):await()
                 thread.async(function(_, rej) rej(thread.buffer(1)) end):await()
                 thread.async(function(_, rej) rej(thread.buffer(1)) end)
             end",
        ),
        (
            "in a channel",
            "local c = thread.channel()
             local t = thread.async(function()
                 for i = 1, 40 do c:push({ thread.buffer(i), ('x'):rep(3000) }) end
                 thread.sleep(1e9)
             end)
             wait(function() return #c == 40 end)
             t:kill()
             for i = 1, 20 do assert(c:pop()[1]:get() == i) end",
        ),
        (
            "popping",
            "local c = thread.channel()
             for i = 1, 30 do
                 local t = thread.async(function() while true do c:pop() end end)
                 for i = 1, 30 do c:push({ thread.buffer(i) }) end
                 t:kill()
             end",
        ),
    ]);
}

#[test]
fn handles_below_a_killed_job_that_was_a_host_count_as_dropped() {
    let nested = "local count = thread.buffer(0)
        local t = thread.async(function()
            local outer = {}
            for i = 1, 10 do outer[i] = thread.buffer(i) end
            local task = thread.async(function(_, _, outer)
                local inner = {}
                for i = 1, 40 do inner[i] = thread.buffer(i) end
                count:set(50)
                thread.sleep(1e9)
                return outer, inner
            end, { args = { outer } })
            task:await()
        end)
        wait(function() return count:get() == 50 end)
        t:kill()";
    // The supervisors below are killed in the midst of clearing up, each time somewhere else.
    expect_no_objects_after(0, &[("one level down", nested); 8]);
    expect_no_objects_after(
        0,
        &[(
            "handles that came from below",
            "local c = thread.channel()
         local t = thread.async(function()
             local below = thread.async(function() local b = thread.buffer(5) c:push(b) return b end)
             return (below:await())
         end)
         local first, second = t:await(), c:pop()
         assert(first:get() == 5 and second:get() == 5)
         first:set(6)
         assert(second:get() == 6)",
        )],
    );
}

#[test]
fn an_object_outlives_whoever_created_it_as_long_as_there_is_a_handle() {
    let script = r#"
        local inner = thread.buffer(0)
        local t = thread.async(function() local b = thread.buffer("alive") inner:set({ b }) thread.sleep(1e9) end)
        wait(function() return inner:get() ~= 0 end)
        t:kill()
        local b = inner:get()[1]
        inner:clean()
        assert(b:get() == "alive")
        b:set("still")
        assert(thread.async(function() return b:get() end):await() == "still")
        say("held")
        hear()
    "#;
    let session = Script::new(script).start();
    session.expect("held");
    assert_eq!(
        session.shm_files().iter().filter(|file| file.contains(".")).count(),
        1,
        "{:?}",
        session.shm_files()
    );
    session.end().output();
    session.expect_nothing_left();
}

#[test]
fn hosts_that_end_leave_nothing_however_they_do() {
    let objects = "local b, c = thread.buffer(('x'):rep(100000)), thread.channel() c:push(b) thread.lock(5)";
    let ends = ["", "os.exit(0)", "os.exit(0, true)", "KEEP = { b, c } os.exit()", "return"];
    for interpreter in Interpreter::all() {
        for with_job in ["", "thread.async(function() return b:get() end):await()"] {
            for end in ends {
                let script = format!("{objects} {with_job} say('on') hear() {end}");
                let session = Script::new(&script).by(interpreter).start();
                session.expect("on");
                assert!(!session.shm_files().is_empty());
                session.end().output();
                session.expect_nothing_left();
            }
        }
    }
}

#[test]
fn segments_of_a_crashed_host_go_with_the_next_start_and_those_of_a_live_one_stay() {
    let script = r#"
        local b, c = thread.buffer(("x"):rep(100000)), thread.channel()
        c:push({ b, thread.mutex() })
        local t = thread.async(function() b:set("changed") thread.sleep(1e9) end)
        wait(function() return b:get() == "changed" end)
        say("on")
        hear()
        assert(b:get() == "changed" and c:pop()[1]:get() == "changed")
        say("sound")
    "#;
    for starter in ["thread.lock(1)", "thread.buffer(1)", "thread.async(function() end):await()"] {
        let (live, crashed) = (Script::new(script).start(), Script::new(script).start());
        live.expect("on");
        crashed.expect("on");
        let left = crashed.shm_files();
        assert!(left.len() >= 3, "{left:?}");
        let (guard, zygote) = (crashed.guard(), crashed.zygote());
        kill_at_once(&[&crashed.host, &guard, &zygote]);
        assert!(until_true(PATIENCE, || crashed.ended() && crashed.processes().is_empty()));
        let others = live.shm_files();
        Script::new(starter).run().output();
        assert_eq!(crashed.shm_files(), Vec::<String>::new());
        assert_eq!(live.shm_files(), others);
        live.say("on");
        live.expect("sound");
        live.end().output();
        live.expect_nothing_left();
    }
}

#[test]
fn a_crashed_host_without_jobs_leaves_what_the_next_one_removes() {
    let session = Script::new("KEEP = thread.buffer(('x'):rep(100000)) say('on') hear()").start();
    session.expect("on");
    session.learn_sessions();
    session.host.signal(Signal::SIGKILL);
    assert!(until_true(PATIENCE, || session.ended()));
    Script::new("thread.buffer(1)").run().output();
    session.expect_nothing_left();
}

#[test]
fn more_buffers_than_the_process_can_map_are_refused_in_words() {
    let script = r#"
        local kept, problem = {}, nil
        for i = 1, 80000 do
            local ok, b = pcall(thread.buffer, i)
            if not ok then problem = b break end
            kept[i] = b
        end
        assert(not problem or problem:find("Cannot allocate memory", 1, true), problem)
        assert(#kept >= 10000, #kept)
        for i = 1, #kept, 1000 do assert(kept[i]:get() == i) end
        kept = nil
        collectgarbage() collectgarbage()
        assert(thread.buffer(7):get() == 7)
        assert(thread.async(function() return 8 end):await() == 8)
        say("done")
        hear()
    "#;
    let session = Script::new(script).limit(Duration::from_secs(180)).start();
    session.expect("done");
    session.end().output();
    session.expect_nothing_left();
}
