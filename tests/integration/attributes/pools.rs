//! What a pool's job does to its process is gone for the next one.

use super::script;

#[test]
fn the_next_job_of_a_pool_finds_its_process_as_if_it_were_new() {
    let Some((script, _folder)) = script(
        r#"
        local pool = thread.pool { size = 1 }
        local function look()
            local calls = require "attribute_calls"
            return calls.umask() .. " " .. calls.limit(7) .. " " .. calls.processors() .. " " .. calls.nice() .. " "
                .. (os.getenv("FOO") or "none") .. " " .. tostring(calls.ignore(28)) .. " " .. calls.directory() .. " " .. calls.user()
        end
        local function try(name, change)
            local before = pool:submit(look):await()
            local ok, err = pool:submit(change):await()
            local after = pool:submit(look):await()
            if err or before ~= after then say(name, err, before, after) end
        end
        try("umask", function() require("attribute_calls").umask(7) end)
        try("a variable", function() require("attribute_calls").setenv("FOO", "left") end)
        try("no variable", function() require("attribute_calls").setenv("PATH") end)
        try("directory", function() require("attribute_calls").directory("/usr") end)
        try("signals", function() require("attribute_calls").ignore(28, true) end)
        local before = pool:stats().recycled
        try("descriptors", function() require("attribute_calls").limit(7, 100) end)
        try("niceness", function() require("attribute_calls").nice(7) end)
        try("processors", function() require("attribute_calls").processors(0) end)
        try("output", function() require("attribute_calls").stream(1, "/dev/null") end)
        if require("attribute_calls").user() == 0 then try("user", function() require("attribute_calls").user(65534) end) end
        pool:submit(function() print("seen") end):await()
        say(before, pool:stats().recycled - before <= 5, pool:stats().died)
        "#,
    ) else {
        return;
    };
    assert_eq!(script.run().output(), "seen\n0\ttrue\t0\n");
}
