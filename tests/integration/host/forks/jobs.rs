//! Jobs that fork.

use super::each;

#[test]
fn a_process_that_a_job_forks_is_an_owner_of_its_own_and_the_job_answers_alone() {
    each(
        r#"
        local b, m = thread.buffer(0), thread.mutex()
        local job = function(_, _, cpath)
            package.cpath = cpath
            local thread = require "llib".thread
            local host = require "host_calls"
            m:lock()
            local pid = host.fork()
            if pid == "0" then
                local none = not m:trylock() and not pcall(m.unlock, m)
                for i = 1, 200 do b:mod(function(x) return x + 1 end) end
                local sum = thread.async(function() return 1 + 1 end):await()
                host.exit(none and sum == 2 and "0" or "1")
            end
            for i = 1, 200 do b:mod(function(x) return x + 1 end) end
            local how = host.wait_for(pid)
            m:unlock()
            -- And one that comes to the end of the job's function too.
            pid = host.fork()
            if pid ~= "0" then host.wait_for(pid) end
            return pid == "0" and "child" or "job", how
        end
        local who, how = thread.async(job, { args = { package.cpath } }):await()
        assert(who == "job" and how == "exit 0", how)
        assert(b:get() == 400)
        assert(m:lock())
        "#,
    );
}

#[test]
fn what_a_job_has_forked_harms_nobody_when_both_are_killed() {
    each(
        r#"
        local b, m, ready = thread.buffer(0), thread.mutex(), thread.channel()
        local task = thread.async(function(_, _, cpath)
            package.cpath = cpath
            local thread = require "llib".thread
            local host = require "host_calls"
            local own = thread.buffer "own"
            if host.fork() == "0" then
                m:lock()
                ready:push(true)
                b:mod(function() ready:push(true) thread.sleep(60000) end)
            end
            thread.sleep(60000)
        end, { args = { package.cpath } })
        ready:pop() ready:pop()
        task:kill()
        local held, how = m:lock(5000)
        assert(held and how == "abandoned")
        assert(b:get() == 0)
        m:unlock()
        task:clean()
        task = nil
        collectgarbage() collectgarbage()
        -- The tree, the two buffers, mutex and channel; the session has another name.
        wait(function() return shm() == 4 end)
        "#,
    );
}
