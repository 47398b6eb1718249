//! Changes of everything that is no stream.

use super::script;

#[test]
fn each_change_is_in_the_next_fresh_pool_and_nested_job() {
    let Some((script, _folder)) = script(
        r#"
        local pool = thread.pool { size = 2 }
        local function compare(name)
            local host, seen = probe(), {}
            seen[1] = thread.async(probe):await()
            seen[2] = pool:submit(probe):await()
            seen[3] = pool:map(function(_, _) return probe() end, { 1 })[1]
            seen[4] = thread.async(nested_probe):await()
            seen[5] = pool:submit(nested_probe):await()
            for place, job in ipairs(seen) do
                if job ~= host then say(name, place, "host:", host, "job:", job) end
            end
        end
        compare("at first")
        calls.setenv("FOO", "bar") compare("a variable is new")
        calls.setenv("FOO", "baz") compare("it changes")
        calls.setenv("FOO") compare("it is gone")
        calls.directory("/usr") compare("directory")
        calls.directory("/") compare("another")
        calls.nice(3) compare("niceness")
        calls.processors(0) compare("processors")
        calls.umask(63) thread.refresh() compare("umask")
        calls.limit(NOFILE, 300) thread.refresh() compare("descriptors")
        calls.limit(FSIZE, 40000000) thread.refresh() compare("file size")
        calls.umask(18) calls.limit(NOFILE, 200) calls.setenv("FOO", "again") compare("with another change")
        say("done", pool:stats().died)
        "#,
    ) else {
        return;
    };
    assert_eq!(script.run().output(), "done\t0\n");
}

#[test]
fn umask_and_limits_alone_arrive_after_some_jobs() {
    let Some((script, _folder)) = script(
        r#"
        thread.async(probe):await()
        calls.umask(63) calls.limit(NOFILE, 300)
        say(wait(function() return thread.async(probe):await() == probe() end))
        "#,
    ) else {
        return;
    };
    assert_eq!(script.run().output(), "true\n");
}

#[test]
fn a_job_that_runs_or_waits_in_a_pool_keeps_what_there_was() {
    let Some((script, _folder)) = script(
        r#"
        local function stand()
            while not io.open(folder .. "/go") do thread.sleep(1) end
            return os.getenv("FOO") .. " " .. require("attribute_calls").directory()
        end
        local function look() return os.getenv("FOO") .. " " .. require("attribute_calls").directory() end
        calls.setenv("FOO", "old") calls.directory("/usr")
        local pool = thread.pool { size = 1 }
        pool:submit(look):await()
        local tasks = { thread.async(stand), pool:submit(stand), pool:submit(look) }
        calls.setenv("FOO", "new") calls.directory("/")
        thread.refresh()
        tasks[4], tasks[5] = pool:submit(look), thread.async(look)
        io.open(folder .. "/go", "w"):close()
        for _, task in ipairs(tasks) do say(task:await()) end
        "#,
    ) else {
        return;
    };
    assert_eq!(script.run().output(), "old /usr\nold /usr\nold /usr\nnew /\nnew /\n");
}

#[test]
fn a_pool_of_one_runs_one_job_at_a_time_also_while_its_worker_is_replaced() {
    let Some((script, _folder)) = script(
        r#"
        local pool = thread.pool { size = 1 }
        local inside, worst = thread.buffer(0), thread.buffer(0)
        local function enter()
            local now = inside:mod(function(n) return n + 1 end)
            worst:mod(function(n) return math.max(n, now) end)
            thread.sleep(2)
            inside:mod(function(n) return n - 1 end)
            return os.getenv("FOO")
        end
        local tasks = {}
        for i = 1, 40 do
            calls.setenv("FOO", tostring(i))
            thread.refresh()
            tasks[i] = pool:submit(enter)
        end
        -- A job that waited while there were more changes may have a later one.
        local right = 0
        for i, task in ipairs(tasks) do if tonumber((task:await())) >= i then right = right + 1 end end
        say(right, worst:get(), pool:stats().died)
        "#,
    ) else {
        return;
    };
    assert_eq!(script.run().output(), "40\t1\t0\n");
}

#[test]
fn many_changes_leave_no_descriptor_and_no_job_has_an_earlier_one() {
    let Some((script, _folder)) = script(
        r#"
        local function count()
            local pipe = io.popen("ls /proc/" .. thread.stats().zygote .. "/fd | wc -l")
            local n = pipe:read("*n")
            pipe:close()
            return n
        end
        local function look() return os.getenv("FOO") end
        local before, wrong = nil, 0
        for i = 1, 60 do
            -- By then the zygote has opened what it keeps.
            if i == 10 then before = count() end
            calls.setenv("FOO", tostring(i))
            calls.stream(2, folder .. "/log" .. i % 2)
            local options = i % 3 == 0 and { stdout = "capture" } or nil
            if thread.async(look, options):await() ~= tostring(i) then wrong = wrong + 1 end
        end
        say(wrong, wait(function() return count() <= before end))
        "#,
    ) else {
        return;
    };
    assert_eq!(script.run().output(), "0\ttrue\n");
}

#[test]
fn an_environment_may_have_thousands_of_entries_and_bytes_that_are_no_text() {
    let Some((script, _folder)) = script(
        r#"
        local function sum()
            local length = 0
            for i = 1, 5000 do length = length + #(os.getenv("VARIABLE_" .. i) or "") end
            return length, os.getenv("ODD"), os.getenv("EMPTY")
        end
        thread.async(sum):await()
        for i = 1, 5000 do calls.setenv("VARIABLE_" .. i, ("x"):rep(i % 100)) end
        calls.setenv("ODD", "\255\254=\1\10") calls.setenv("EMPTY", "")
        local length, odd, empty = thread.async(sum):await()
        say(length == sum(), odd == "\255\254=\1\10", empty == "")
        calls.setenv("VARIABLE_4999", "another")
        say(thread.async(sum):await() == sum())
        local pool = thread.pool { size = 1 }
        calls.setenv("VARIABLE_4999")
        say(pool:submit(sum):await() == sum())
        "#,
    ) else {
        return;
    };
    assert_eq!(script.run().output(), "true\ttrue\ttrue\ntrue\ntrue\n");
}

#[test]
fn a_job_that_changes_itself_passes_that_on_to_its_own_jobs() {
    let Some((script, _folder)) = script(
        r#"
        say(thread.async(function()
            local thread = require("llib").thread
            local calls = require("attribute_calls")
            thread.async(probe):await()
            calls.setenv("FOO", "inner") calls.directory("/usr") calls.umask(7) calls.limit(7, 250)
            return thread.async(probe):await() == probe()
        end):await())
        say(os.getenv("FOO"), calls.limit(NOFILE) ~= 250)
        "#,
    ) else {
        return;
    };
    assert_eq!(script.run().output(), "true\nnil\ttrue\n");
}

#[test]
fn in_a_directory_that_was_removed_relative_names_lead_nowhere_in_jobs_too() {
    let Some((script, _folder)) = script(
        r#"
        local calls = require "attribute_calls"
        local scratch = os.getenv "SCRATCH"
        local pool = thread.pool { size = 1 }
        local function makes() local file = io.open("relative", "w") return file and "made" or "none" end
        say(thread.async(makes):await(), pool:submit(makes):await())
        os.execute("mkdir " .. scratch .. "/gone")
        calls.directory(scratch .. "/gone")
        os.execute("rmdir " .. scratch .. "/gone")
        thread.refresh()
        say(makes(), thread.async(makes):await(), pool:submit(makes):await(), thread.async(function(_, _, makes)
            return require "llib".thread.async(makes):await()
        end, { args = { makes } }):await())
        calls.directory(scratch)
        thread.refresh()
        say(thread.async(makes):await(), pool:submit(makes):await())
        "#,
    ) else {
        return;
    };
    assert_eq!(script.run().output(), "made\tmade\nnone\tnone\tnone\tnone\nmade\tmade\n");
}
