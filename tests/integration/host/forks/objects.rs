//! What was there before the fork is shared: parent and child are two owners of its locks.

use super::each;

#[test]
fn parent_and_child_exclude_each_other() {
    each(
        r#"
        for _, before in ipairs { function() end, function() thread.async(function() end):await() end } do
            before()
            local count, value, channel = thread.buffer(0), thread.buffer { n = 1, s = "x" }, thread.channel(50)
            local function work(seed)
                for i = 1, 1500 do
                    count:mod(function(n) return n + 1 end)
                    thread.lock(5)
                    local n = (i * seed) % 9000 + 1
                    thread.unlock(5)
                    value:set { n = n, s = ("a"):rep(n) }
                    local v = value:get()
                    assert(#v.s == v.n, "torn")
                    channel:push({ i, ("x"):rep(n % 500) }, 10)
                    local item = channel:pop(0)
                    assert(item == nil or type(item[1]) == "number")
                end
            end
            local pids = { child(function() work(7) end), child(function() work(11) end, host.fork_bare) }
            work(13)
            for _, pid in ipairs(pids) do assert(ends(pid) == "exit 0") end
            assert(count:get() == 4500)
        end
        "#,
    );
}

#[test]
fn a_child_has_none_of_the_locks_that_its_parent_held() {
    each(
        r#"
        local mutex, other, b = thread.mutex(), thread.mutex(), thread.buffer(1)
        mutex:lock() mutex:lock() thread.lock(9) other:lock()
        local pid = child(function()
            assert(not mutex:trylock() and not mutex:lock(20) and not thread.lock(9, 20))
            fails("does not hold the mutex", mutex.unlock, mutex)
            fails("lock 9 is not held", thread.unlock, 9)
            assert(other:lock())
            assert(thread.async(function() return (mutex:lock(20)) end):await() == nil)
        end)
        other:unlock()
        assert(ends(pid) == "exit 0")
        mutex:unlock() mutex:unlock() thread.unlock(9)
        assert(mutex:lock() and thread.lock(9))
        -- It ended with this one.
        local held, how = other:lock()
        assert(held and how == "abandoned")
        "#,
    );
}

#[test]
fn a_change_in_which_a_process_is_forked_is_its_parents_alone() {
    each(
        r#"
        local b, m = thread.buffer(1), thread.mutex()
        local pid
        local ok, reason = pcall(b.mod, b, function(n)
            pid = host.fork()
            return pid == "0" and 100 or n + 1
        end)
        if pid == "0" then
            local told = not ok and tostring(reason):find "forked in the middle of a change"
            b:mod(function(n) return n * 10 end)
            host.exit(told and "0" or "1")
        end
        assert(ok and ends(pid) == "exit 0")
        assert(b:get() == 20)
        pid = m:with(host.fork)
        if pid == "0" then host.exit(m:lock() and "0" or "1") end
        assert(ends(pid) == "exit 0")
        "#,
    );
}

#[test]
fn a_child_that_dies_in_the_middle_of_a_change_harms_nobody() {
    each(
        r#"
        local b, m = thread.buffer(0), thread.mutex()
        local function dies(f) return child(function() f(function() host.kill(host.pid(), "9") end) end) end
        for _, before in ipairs { function() end, function() thread.async(function() end):await() end } do
            before()
            b:set(0)
            local pid = dies(function(die) b:mod(function(n) die() end) end)
            assert(ends(pid) == "signal 9")
            b:mod(function(n) return n + 1 end)
            assert(b:get() == 1)
            pid = dies(function(die) b:mod(function(n) die() end) end)
            assert(ends(pid) == "signal 9")
            assert(thread.async(function() return b:get() end):await(5000) == 1)
            -- And says so where that can be said.
            for _, lock in ipairs { function() return m:lock(5000) end, function() return m:trylock() end } do
                pid = dies(function(die) m:lock() die() end)
                assert(ends(pid) == "signal 9")
                local held, how = lock()
                assert(held and how == "abandoned")
                m:unlock()
            end
            pid = dies(function(die) thread.lock(3) die() end)
            assert(ends(pid) == "signal 9")
            local held, how = thread.lock(3, 0)
            assert(held and how == "abandoned")
            thread.unlock(3)
        end
        "#,
    );
}

#[test]
fn who_waits_for_a_lock_gets_it_when_the_child_that_has_it_dies() {
    each(
        r#"
        local m, ready = thread.mutex(), thread.channel()
        for _, waits in ipairs {
            function() return m:lock(20000) end,
            function() return thread.async(function() return m:lock(20000) end):await() end,
            -- Behind walls nobody can ask who lives.
            function()
                local job = function(_, _, mutex) return mutex:lock(20000) end
                return thread.async(job, { args = { m }, sandbox = true }):await()
            end,
        } do
            local pid = child(function() m:lock() ready:push(true) thread.sleep(60000) end)
            ready:pop()
            local killer = child(function() thread.sleep(50) host.kill(pid, "9") end)
            local held, how = waits()
            assert(held and how == "abandoned")
            assert(ends(killer) == "exit 0" and ends(pid) == "signal 9")
            pcall(m.unlock, m)
        end
        "#,
    );
}

#[test]
fn objects_go_to_the_jobs_of_parent_and_child_alike() {
    each(
        r#"
        local b, c, m = thread.buffer(1), thread.channel(), thread.mutex()
        thread.async(function() end):await()
        local function send()
            local got = thread.async(function(_, _, buffer, channel, mutex)
                return mutex:with(function()
                    buffer:mod(function(x) return x + 1 end)
                    channel:push(buffer)
                    return buffer
                end)
            end, { args = { b, c, m } }):await()
            return got
        end
        local pid = child(function() assert(send():get() >= 2) end)
        assert(send():get() >= 2)
        assert(ends(pid) == "exit 0")
        assert(c:pop(0):get() == 3 and c:pop(0):get() == 3)
        -- One that the child made comes over a channel, and stays when the child has ended.
        assert(ends(child(function()
            local made = thread.buffer "of the child"
            c:push(made)
            b:set(made)
        end)) == "exit 0")
        assert(c:pop(0):get() == "of the child" and b:get():get() == "of the child")
        assert(thread.async(function() return b:get():get() end):await() == "of the child")
        "#,
    );
}
