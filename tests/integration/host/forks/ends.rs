//! How long objects live, and what is left when processes end, in whatever order.

use support::session::{PATIENCE, Session};
use support::wait::{until, until_true};
use support::{Interpreter, Script};

use super::{calls_module, each, script};

/// What the script has said so far, or what is left of it: the process that was started may have ended.
fn said(session: &Session) -> String {
    std::fs::read_to_string(session.scratch.path().join("stdout")).unwrap_or_default()
}

/// The first line of that, once there is one.
fn line(session: &Session) -> String {
    let first = || said(session).split_once('\n').map(|(line, _)| line.to_owned());
    until(PATIENCE, first).expect("a line comes")
}

#[test]
fn an_object_lives_until_its_last_holder_ends_whichever_that_is() {
    each(
        r#"
        local b, go, told = thread.buffer "value", thread.channel(), thread.channel()
        -- The parent drops it, and the child, which has never touched it, has it still.
        local pid = child(function()
            go:pop()
            assert(b:get() == "value")
            assert(thread.async(function() return b:get() end):await() == "value")
            told:push(b)
        end)
        b = nil
        collectgarbage() collectgarbage()
        go:push(true)
        local again = told:pop()
        assert(ends(pid) == "exit 0")
        assert(again:get() == "value" and thread.async(function() return again:get() end):await() == "value")
        -- A child that exits in whatever way takes nothing away.
        local count = shm()
        for _, exit in ipairs { function() host.exit "0" end, function() os.exit(0) end, function() os.exit(0, true) end,
            function() again = nil collectgarbage() os.exit(0) end, function() host.kill(host.pid(), "9") end } do
            ends(child(function() assert(again:get() == "value") exit() end))
            ends(child(function() exit() end))
            assert(again:get() == "value")
        end
        assert(shm() == count)
        "#,
    );
}

#[test]
fn nothing_is_left_of_what_a_child_made_however_it_ends() {
    each(
        r#"
        local keep = thread.buffer(1)
        local function makes(exit)
            return child(function()
                for i = 1, 10 do made = { made, thread.buffer(i), thread.channel(), thread.mutex() } end
                made[2]:set(thread.buffer "inside")
                exit()
            end)
        end
        local count = shm()
        for _, exit in ipairs { function() os.exit(0) end, function() os.exit(0, true) end } do
            assert(ends(makes(exit)) == "exit 0")
            assert(shm() == count, "left by a child that exits")
        end
        -- After a kill it goes as soon as somebody makes something.
        assert(ends(makes(function() host.kill(host.pid(), "9") end)) == "signal 9")
        assert(shm() > count)
        wait(function() thread.mutex():free() return shm() == count end)
        -- Or when the child's own supervisors end.
        assert(ends(makes(function()
            thread.async(function() end):await()
            host.kill(host.pid(), "9")
        end)) == "signal 9")
        wait(function() return shm() == count end)
        "#,
    );
}

#[test]
fn a_daemon_goes_on_when_the_process_that_was_started_has_ended() {
    let Some(calls) = calls_module() else { return };
    for interpreter in Interpreter::all() {
        for closes in ["", "host.close_from '3'"] {
            let session = script(
                &calls,
                &format!(
                    r#"
                    local b, m = thread.buffer(1), thread.mutex()
                    thread.async(function() end):await()
                    m:lock()
                    if host.fork() ~= "0" then os.exit(0) end
                    if host.fork() ~= "0" then host.exit "0" end
                    {closes}
                    hear()
                    local held, how = m:lock()
                    assert(held and how == "abandoned")
                    b:mod(function(x) return x + 1 end)
                    assert(thread.async(function() return b:get() end):await() == 2)
                    b:set(thread.buffer "inside")
                    assert(b:get():get() == "inside")
                    say(tree())
                    hear()
                    "#
                ),
            )
            .by(interpreter)
            .start();
            assert!(until_true(PATIENCE, || session.ended()), "the first process ends at once");
            session.say("go on");
            let tree = line(&session);
            session.learn_sessions();
            session.say("end");
            session.end().output();
            session.expect_nothing_left();
            assert!(!session.shm().file(&tree).exists());
        }
    }
}

#[test]
fn a_child_goes_on_when_its_parent_is_killed_and_nothing_is_left_after_it() {
    let Some(calls) = calls_module() else { return };
    for before in ["", "thread.async(function() end):await()"] {
        let session = script(
            &calls,
            &format!(
                r#"
                local b = thread.buffer(0)
                {before}
                local pid = host.fork()
                if pid == "0" then
                    say(tree())
                    for i = 1, 100 do b:mod(function(x) return x + 1 end) end
                    hear()
                    for i = 1, 100 do b:mod(function(x) return x + 1 end) end
                    assert(b:get() == 200 and thread.async(function() return b:get() end):await() == 200)
                    say "went on"
                    hear()
                    os.exit(0)
                end
                thread.sleep(60000)
                "#
            ),
        )
        .start();
        let tree = line(&session);
        session.learn_sessions();
        session.host.kill();
        assert!(until_true(PATIENCE, || session.ended()));
        session.say("go on");
        until(PATIENCE, || said(&session).lines().nth(1).map(str::to_owned)).expect("it goes on");
        session.learn_sessions();
        session.say("end");
        session.expect_nothing_left();
        assert!(!session.shm().file(&tree).exists());
    }
}

#[test]
fn what_the_last_process_leaves_that_is_killed_goes_when_any_llib_starts() {
    let Some(calls) = calls_module() else { return };
    let session = script(
        &calls,
        r#"
        local b = thread.buffer(0)
        if host.fork() == "0" then
            b:set(1)
            say(tree())
            host.kill(host.pid(), "9")
        end
        hear()
        host.kill(host.pid(), "9")
        "#,
    )
    .start();
    let tree = session.shm().file(&line(&session));
    Script::new("thread.buffer(1)").run().output();
    assert!(tree.exists(), "its root lives");
    session.say("die");
    assert!(until_true(PATIENCE, || session.ended()));
    Script::new("thread.buffer(1)").run().output();
    assert!(!tree.exists());
}

#[test]
fn a_child_for_which_there_is_no_place_among_the_owners_says_so_and_harms_nobody() {
    each(
        r#"
        local b = thread.buffer(1)
        local path = "/dev/shm/" .. tree()
        local file = assert(io.open(path, "r+b"))
        local function number(n)
            local bytes = ""
            for _ = 1, 4 do bytes = bytes .. string.char(n % 256) n = math.floor(n / 256) end
            return bytes
        end
        -- All places but the root's.
        file:seek("set", 8)
        local places = file:read(8 * 16383)
        local taken = number(1) .. number(tonumber(host.pid()))
        local full = places:gsub(("."):rep(8), function(entry) return entry:byte(1) % 2 == 0 and taken or nil end)
        assert(full ~= places)
        local function write(text) file:seek("set", 8) file:write(text) file:flush() end
        write(full)
        assert(ends(child(function()
            for _, f in ipairs { function() b:get() end, function() thread.buffer(1) end, function() thread.lock(1) end,
                function() thread.async(function() end) end } do
                fails("too many processes share memory", f)
            end
        end)) == "exit 0")
        assert(b:get() == 1 and thread.lock(1))
        thread.unlock(1)
        write(places)
        assert(ends(child(function() assert(b:get() == 1) end)) == "exit 0")
        file:close()
        "#,
    );
}

#[test]
fn places_of_children_that_have_ended_are_given_to_others() {
    each(
        r#"
        local b = thread.buffer(0)
        local function places()
            local file = assert(io.open("/dev/shm/" .. tree(), "rb"))
            local count = 0
            for entry in file:read(8 * 16384):gmatch(("."):rep(8)) do
                if entry:sub(1, 4) ~= "\0\0\0\0" then count = count + 1 end
            end
            file:close()
            return count
        end
        for i = 1, 40 do
            assert(ends(child(function() b:mod(function(n) return n + 1 end) end)) == "exit 0")
        end
        local before = places()
        wait(function()
            thread.mutex():free()
            assert(ends(child(function() b:mod(function(n) return n + 1 end) end)) == "exit 0")
            local count = places()
            before, count = count, before
            return count == before
        end)
        "#,
    );
}
