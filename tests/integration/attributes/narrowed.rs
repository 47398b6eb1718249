//! A sandbox only takes away.

use super::script;

#[test]
fn a_sandboxed_job_has_the_host_s_mask_and_processors_gives_way_and_has_no_wider_limit() {
    let Some((script, _folder)) = script(
        r#"
        local function about(pid, file, pattern)
            local opened = io.open("/proc/" .. pid .. "/" .. file)
            local text = opened:read("*a")
            opened:close()
            return text:match(pattern)
        end
        local function look(options)
            options.sandbox = true
            local task = thread.async(function() while true do end end, options)
            local pid = task:pid()
            wait(function() return about(pid, "status", "NoNewPrivs:%s+1") end)
            wait(function() return about(pid, "status", "Seccomp:%s+2") end)
            local function limit() return about(pid, "limits", "Max open files%s+(%d+)%s+%d+") end
            wait(function() return not about(pid, "limits", "Max cpu time%s+unlimited") end)
            say(about(pid, "status", "Umask:%s+(%d+)"), about(pid, "status", "Cpus_allowed_list:%s+(%S+)"),
                about(pid, "stat", "%) " .. ("%S+ "):rep(16) .. "(%S+)"), limit(),
                about(pid, "limits", "Max file size%s+(%d+)%s+%d+"))
            task:kill()
        end
        thread.async(function() end, { sandbox = true }):await()
        calls.setenv("FOO", "secret") calls.umask(63) calls.processors(0) calls.nice(4)
        calls.limit(NOFILE, 60) calls.limit(FSIZE, 30000000)
        look { files = 200 }
        look { fsize = 50000000 }
        say(thread.async(function() return os.getenv and os.getenv("FOO") end, { sandbox = true }):await())
        calls.setenv("FOO", "granted")
        say(thread.async(function() return os.getenv("FOO") end, { sandbox = { env = { "FOO" } } }):await())
        "#,
    ) else {
        return;
    };
    // It is nicer than the host, by ten.
    let line = |files: u32| format!("0077\t0\t14\t{files}\t30000000\n");
    assert_eq!(script.run().output(), format!("{}{}nil\ngranted\n", line(60), line(16)));
}
