//! Children that give up privileges before they use anything: workers of a server that was started as root.

use support::Interpreter;

use super::{each, each_in};

/// Whether this user can become another one.
fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("skipped: only root can become another user");
    }
    root
}

const SHARED: &str = r#"
    local count, mutex, items, long = thread.buffer(0), thread.mutex(), thread.channel(), thread.buffer()
    local function work()
        for i = 1, 300 do
            count:mod(function(n) return n + 1 end)
            items:push { i, ("x"):rep(i) }
            assert(items:pop(1000))
        end
        local text = ("y"):rep(300000)
        mutex:with(function()
            long:set(text)
            assert(long:get() == text)
            long:set(nil)
        end)
    end
"#;

#[test]
fn a_child_of_another_user_shares_what_was_there_before() {
    if !is_root() {
        return;
    }
    each(&format!(
        r#"{SHARED}
        for _, changes in ipairs {{
            function() assert(host.setgid "65534" == "yes" and host.setuid "65534" == "yes") end,
            function() assert(host.chroot "/proc" == "yes") end,
        }} do
            local before = count:get()
            local pid = child(function() changes() work() end)
            work()
            assert(ends(pid) == "exit 0")
            assert(count:get() == before + 600)
            -- Its death is noticed.
            pid = child(function() changes() mutex:lock() host.kill(host.pid(), "9") end)
            assert(ends(pid) == "signal 9")
            local held, how = mutex:lock(5000)
            assert(held and how == "abandoned")
            mutex:unlock()
        end
        "#
    ));
}

#[test]
fn a_child_of_another_user_has_jobs_and_sends_them_old_objects_where_its_parent_had_jobs() {
    if !is_root() {
        return;
    }
    for (before, sent) in [("", "false"), ("thread.async(function() end):await()", "true")] {
        each_in(
            &[Interpreter::Builtin],
            &format!(
                r#"{SHARED}
                {before}
                local pid = child(function()
                    assert(host.setgid "65534" == "yes" and host.setuid "65534" == "yes")
                    work()
                    local own = thread.buffer(5)
                    assert(thread.async(function() return own:get() end):await() == 5)
                    assert(thread.lock(7))
                    assert(thread.async(function() return (thread.lock(7, 10)) end):await() == nil)
                    local sent, result = pcall(function()
                        return thread.async(function() return count:get() end):await()
                    end)
                    assert(sent == {sent}, result)
                    assert(sent and result == 300 or tostring(result):find "changed its user", result)
                end)
                assert(ends(pid) == "exit 0")
                "#
            ),
        );
    }
}
