//! Shared objects where something runs out: shared memory, descriptors, lengths of files.

use std::time::Duration;

use support::{Interpreter, Script, shm};

/// Tries a call and compares what it says; a failure has to contain the text.
const TRY: &str = r#"
    local function refused(text, f, ...)
        local ok, problem = pcall(f, ...)
        assert(not ok and problem:find(text, 1, true), tostring(problem))
    end
"#;

#[test]
fn full_shared_memory_is_an_error_that_leaves_every_object_as_it_was() {
    if !shm::can_be_private() {
        return;
    }
    for interpreter in Interpreter::all() {
        let script = format!(
            r#"{TRY}
            local full = "no space left in shared memory (/dev/shm)"
            local big = thread.buffer(("b"):rep(0x500000))
            local c = thread.channel()
            c:push("first")
            -- A job in the same need.
            local busy = thread.async(function()
                while true do
                    local ok, problem = pcall(big.mod, big, function(v) return v .. "y" end)
                    assert(ok or problem:find(full, 1, true), problem)
                    pcall(c.push, c, ("z"):rep(100000), 0)
                    thread.sleep(1)
                end
            end)
            thread.lock(1)
            for round = 1, 3 do
                -- A fresh one: small pages stay with an object once it has them.
                local b = thread.buffer("small")
                -- What the last round left would make room in the middle of this one.
                if jit then jit.flush() end
                collectgarbage() collectgarbage()
                local filler = assert(io.open("/dev/shm/filler", "w"))
                filler:setvbuf("no")
                while filler:write(("f"):rep(4096)) do end
                -- The job gives pages back now and then; what needs more than it has is refused for certain.
                refused(full, big.set, big, ("q"):rep(0x3000000))
                refused(full, c.push, c, ("q"):rep(0x3000000))
                assert(#big:get() >= 0x500000)
                busy:pause()
                while filler:write(("f"):rep(4096)) do end
                refused(full, thread.buffer, 1)
                refused(full, thread.channel)
                refused(full, thread.mutex)
                b:set("tiny")
                b:set(("x"):rep(700))
                refused(full, b.set, b, ("x"):rep(3000))
                refused(full, b.mod, b, function(v) return v:rep(2000) end)
                assert(b:get() == ("x"):rep(700))
                assert(thread.lock(1) and not pcall(function()
                    for id = 1, 30000 do thread.lock(id) thread.unlock(id) end
                end))
                thread.unlock(1)
                busy:resume()
                filler:close()
                os.remove("/dev/shm/filler")
                b:set(("x"):rep(3000))
                assert(#b:get() == 3000)
            end
            busy:kill()
            assert(c:pop() == "first")
            big:set(("q"):rep(0x600000))
            assert(#big:get() == 0x600000 and thread.buffer(1):get() == 1)
            for id = 1, 3000 do assert(thread.lock(id)) thread.unlock(id) end
            say("sound")
            hear()
            "#
        );
        let session =
            Script::new(&script).by(interpreter).private_shm("64M").limit(Duration::from_secs(120)).start();
        session.expect("sound");
        session.end().output();
        session.expect_nothing_left();
    }
}

#[test]
fn without_descriptors_objects_work_on_and_new_ones_are_refused() {
    for interpreter in Interpreter::all() {
        let script = format!(
            r#"{TRY}
            local b, big, c = thread.buffer(1), thread.buffer(("b"):rep(500000)), thread.channel()
            c:push(("z"):rep(500000))
            c:push({{ thread.buffer("inner") }})
            local open = {{}}
            while true do
                local file = io.open("/dev/null")
                if not file then break end
                open[#open + 1] = file
            end
            local few = "Too many open files"
            refused(few, thread.buffer, 1)
            refused(few, thread.channel)
            -- Numbered locks need none.
            assert(thread.lock(5))
            thread.unlock(5)
            assert(b:get() == 1 and #big:get() == 500000)
            big:set(("c"):rep(6000000))
            assert(#big:get() == 6000000 and #c:pop() == 500000)
            -- It cannot be taken over, so it stays.
            refused(few, c.pop, c)
            for _, file in ipairs(open) do file:close() end
            assert(c:pop()[1]:get() == "inner")
            assert(thread.lock(5) and thread.buffer(2):get() == 2)
            say("sound")
            hear()
            "#
        );
        let session = Script::new(&script).by(interpreter).wrapped(&["prlimit", "--nofile=40"]).start();
        session.expect("sound");
        session.end().output();
        session.expect_nothing_left();
    }
}

#[test]
fn a_host_whose_files_may_not_be_long_gets_reasons_and_no_signal() {
    let script = r#"
        local function try(f)
            local ok, problem = pcall(f)
            say(ok and "works" or problem:match("File too large") or problem:match("there is room for %d+"))
        end
        try(function() thread.lock(1) thread.unlock(1) end)
        try(function() assert(thread.buffer(("x"):rep(1000)):get()) end)
        try(function() thread.buffer(("x"):rep(300000)) end)
        try(function() thread.channel():push(("x"):rep(300000)) end)
        try(function() assert(thread.async(function() return 1 end):await() == 1) end)
        local long = ("x"):rep(400000000)
        try(function() thread.async(function() end, { args = { long } }) end)
    "#;
    let none = ["File too large"; 6].join("\n");
    let some =
        "works\nworks\nthere is room for 262144\nthere is room for 262144\nFile too large\nFile too large";
    let most = "works\nworks\nworks\nworks\nworks\nFile too large";
    // What it says goes to a file, too, so that the limit is not zero.
    for (limit, lines) in [("500", &*none), ("100000", &none), ("2000000", some), ("300000000", most)] {
        let outcome = Script::new(script).wrapped(&["prlimit", &format!("--fsize={limit}")]).run();
        assert_eq!(outcome.output().trim_end(), lines, "{limit}: {outcome:?}");
    }
}
