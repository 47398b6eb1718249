//! The child's own session, and its parent's, which it leaves alone.

use support::Interpreter;

use super::{calls_module, each, each_in, script};

/// All that a program can do.
const EVERYTHING: &str = r#"
    local function everything()
        assert(thread.async(function() return 1 end):await() == 1)
        assert(thread.async(function() return require "llib".thread.async(function() return 2 end):await() end):await() == 2)
        local pool = thread.pool { size = 2 }
        local squares = pool:map(function(x) return x * x end, { 1, 2, 3 })
        assert(squares[1] == 1 and squares[2] == 4 and squares[3] == 9)
        pool:close()
        local b, c, m = thread.buffer(1), thread.channel(), thread.mutex()
        assert(b:mod(function(x) return x + 1 end) == 2 or b:get() == 2)
        thread.async(function() b:set(b:get() + 1) c:push "hello" end):await()
        assert(b:get() == 3 and c:pop(1000) == "hello")
        assert(m:lock() and thread.lock(77))
        m:unlock() thread.unlock(77)
        local task = thread.async(function() return 3 end)
        task:getfd()
        assert(task:await() == 3)
    end
"#;

#[test]
fn everything_works_in_a_child_whatever_its_parent_did_before_and_however_it_was_forked() {
    each(&format!(
        r#"{EVERYTHING}
        for _, before in ipairs {{ function() end, function() thread.stats() end, function() b = thread.buffer(1) end,
            function() thread.lock(1) thread.unlock(1) end, everything, function() thread.close() end }} do
            before()
            for _, fork in ipairs {{ host.fork, host.fork_bare }} do
                assert(ends(child(everything, fork)) == "exit 0")
            end
        end
        everything()
        "#
    ));
}

#[test]
fn where_the_kernel_wipes_no_pages_a_child_is_noticed_all_the_same() {
    let Some(calls) = calls_module() else { return };
    let text = r#"
        local b, m = thread.buffer(0), thread.mutex()
        m:lock()
        local pid = child(function()
            assert(not m:trylock() and thread.lock(1))
            for i = 1, 500 do b:mod(function(x) return x + 1 end) end
            host.kill(host.pid(), "9")
        end, host.fork_bare)
        for i = 1, 500 do b:mod(function(x) return x + 1 end) end
        assert(ends(pid) == "signal 9")
        local held, how = thread.lock(1, 5000)
        assert(b:get() == 1000 and held and how == "abandoned")
        say "done"
    "#;
    let madvise = u32::try_from(libc::SYS_madvise).expect("numbers of system calls are small");
    let outcome = script(&calls, text).without_system_call(madvise).run();
    assert_eq!(outcome.output(), "done\n");
}

#[test]
fn everything_works_in_each_generation() {
    each(&format!(
        r#"{EVERYTHING}
        everything()
        local b = thread.buffer(0)
        local function generation(n)
            if n == 0 then return end
            everything()
            assert(ends(child(function() generation(n - 1) end)) == "exit 0")
            b:mod(function(x) return x + 1 end)
        end
        generation(4)
        assert(b:get() == 4)
        -- One that uses nothing itself stands between.
        assert(ends(child(function()
            assert(ends(child(function() everything() b:set(7) end)) == "exit 0")
        end)) == "exit 0")
        assert(b:get() == 7)
        "#
    ));
}

#[test]
fn a_child_has_supervisors_of_its_own_and_takes_nothing_from_its_parents() {
    each(
        r#"
        local task = thread.async(function() while not closing do thread.sleep(1) end return "told" end)
        local quick = thread.async(function() return 1 end)
        assert(quick:await() == 1)
        local pool = thread.pool { size = 1 }
        local pooled = pool:submit(function() return 2 end)
        local before = thread.stats()
        local function in_child(finish)
            return child(function()
                assert(next(thread.stats()) == nil)
                assert(thread.async(function() return 5 end):await() == 5)
                local own = thread.stats()
                assert(own.guard ~= before.guard and own.zygote ~= before.zygote)
                task, quick, pool, pooled = nil
                collectgarbage() collectgarbage()
                finish()
            end)
        end
        assert(ends(in_child(function() end)) == "exit 0")
        assert(ends(in_child(function() os.exit(3) end)) == "exit 3")
        if _VERSION ~= "Lua 5.1" then
            assert(ends(in_child(function() os.exit(4, true) end)) == "exit 4")
        end
        assert(ends(in_child(function() thread.close() os.exit(5) end)) == "exit 5")
        local now = thread.stats()
        assert(now.guard == before.guard and now.zygote == before.zygote)
        assert(task:status() == "running" and pooled:await() == 2)
        task:kill()
        assert(thread.async(function() return 6 end):await() == 6)
        "#,
    );
}

#[test]
fn a_parents_task_and_pool_raise_in_the_child_and_their_ends_do_nothing() {
    each(
        r#"
        local channel = thread.channel()
        local task = thread.async(function() return channel:pop() end, { name = "waiter" })
        local pool = thread.pool { size = 1 }
        local pooled = pool:submit(function() return channel:pop() end)
        assert(ends(child(function()
            local belongs = "belongs to the process that this one was forked from"
            for _, method in ipairs { "await", "status", "kill", "pause", "resume", "pid", "usage", "output", "getfd", "close" } do
                fails("task 'waiter' " .. belongs, function() return task[method](task) end)
                fails(belongs, function() return pooled[method](pooled) end)
            end
            for method, arguments in pairs { close = {}, stats = {}, submit = { print }, map = { print, {} } } do
                fails("the pool " .. belongs, function() return pool[method](pool, arguments[1], arguments[2]) end)
            end
            assert(tostring(task) == "llib.task: waiter (of another process)")
            assert(tostring(pool):find "of another process")
            task:clean() pooled:clean()
            task, pool, pooled = nil
            collectgarbage() collectgarbage()
        end)) == "exit 0")
        channel:push(1) channel:push(2)
        assert(task:await() + pooled:await() == 3)
        pool:close()
        "#,
    );
}

#[test]
fn descriptors_of_the_parents_stay_open_there_and_are_not_closed_for_others_in_a_child_that_has_closed_them()
{
    each(
        r#"
        local channel = thread.channel()
        local task = thread.async(function() return channel:pop() end)
        local fd = task:getfd()
        local pool = thread.pool { size = 1 }
        local pooled = pool:submit(function() return 1 end)
        pooled:getfd()
        assert(ends(child(function()
            host.close_from "3"
            local files = {}
            for i = 1, 40 do files[i] = assert(io.open "/dev/null") end
            task, pool, pooled = nil
            collectgarbage() collectgarbage()
            assert(thread.async(function() return 1 end):await() == 1)
            for i = 3, 42 do assert(host.is_open(tostring(i)) == "yes", i) end
        end)) == "exit 0")
        assert(host.is_open(tostring(fd)) == "yes")
        channel:push "value"
        assert(task:await() == "value" and pooled:await() == 1)
        pool:close()
        "#,
    );
}

#[test]
fn each_lua_state_of_a_child_is_as_one_of_a_fresh_program() {
    // The command `llib` has the module for its own state alone.
    each_in(
        &[Interpreter::Stock],
        r#"
        local text = [[
            local thread = require "llib".thread
            local b = thread.buffer(1)
            assert(thread.async(function() return b:get() end):await() == 1)
        ]]
        text = "package.cpath = [==[" .. package.cpath .. "]==] package.path = [==[" .. package.path .. "]==]" .. text
        local function run()
            local told = host.run(text)
            assert(told == "yes", told)
        end
        run()
        local b = thread.buffer(1)
        thread.async(function() end):await()
        local guard = thread.stats().guard
        assert(ends(child(function()
            run()
            assert(thread.async(function() return b:get() end):await() == 1)
            local own = thread.stats().guard
            run()
            assert(thread.stats().guard == own)
        end)) == "exit 0")
        run()
        assert(thread.stats().guard == guard)
        "#,
    );
}

#[test]
fn a_session_can_be_closed_though_a_child_has_its_descriptors() {
    each(
        r#"
        thread.async(function() end):await()
        local guard = thread.stats().guard
        local pid = child(function() thread.sleep(60000) end)
        thread.close()
        wait(function() return gone(guard) end)
        host.kill(pid, "9")
        assert(ends(pid) == "signal 9")
        "#,
    );
}
