//! A worker that goes mad: it overwrites what it shares with others, at random moments. The host gets errors or
//! values; it does not crash, hang, or take memory, and what the mad one has no handle of is untouched.

use std::time::Duration;

use support::{Interpreter, Script, process};

/// The mad job. It finds what it shares in /proc/self/maps and writes there through /proc/self/mem.
const MAD: &str = r#"
    local function mad(_, _, seed, times, b, f, o, c)
        math.randomseed(seed)
        pcall(function() b:get() f:get() o:get() thread.lock(1, 0) end)
        local memory = assert(io.open("/proc/self/mem", "r+b"))
        memory:setvbuf("no")
        local function put(at, bytes) return memory:seek("set", at) and memory:write(bytes) end
        local function garbage(count, kind)
            if kind == "ones" then return ("\255"):rep(count) end
            if kind == "zeros" then return ("\0"):rep(count) end
            local bytes = {}
            for i = 1, count do bytes[i] = string.char(math.random(0, 255)) end
            return table.concat(bytes)
        end
        local kinds = { "random", "ones", "zeros", "bits", "bits" }
        for _ = 1, times do
            local kind = kinds[math.random(#kinds)]
            local ranges = {}
            for line in io.lines("/proc/self/maps") do
                local from, to = line:match("^(%x+)%-(%x+) rw.- /dev/shm/llib%-")
                if from then ranges[#ranges + 1] = { tonumber(from, 16), tonumber(to, 16) } end
            end
            assert(#ranges >= 8, "nothing is shared")
            for _, range in ipairs(ranges) do
                local from, size = range[1], math.min(range[2] - range[1], 0x10000)
                if math.random(3) == 1 then
                    -- This one not now.
                elseif kind == "bits" then
                    for _ = 1, math.random(20) do
                        local at = from + math.random(0, math.random(2) == 1 and 255 or size - 1)
                        local old = memory:seek("set", at) and memory:read(1)
                        local byte, bit = old and old:byte(), 2 ^ math.random(0, 7)
                        if byte then put(at, string.char(byte + (byte % (2 * bit) < bit and bit or -bit))) end
                    end
                elseif math.random(2) == 1 then
                    put(from, garbage(math.random(2) == 1 and 4096 or size, kind))
                else
                    put(from + math.random(0, 4000), garbage(math.random(64), kind))
                end
            end
            pcall(function() b:set(("z"):rep(math.random(50000))) end)
            pcall(function() c:push("mine", 0) end)
            pcall(function() c:pop(0) end)
            if math.random(3) == 1 then thread.sleep(math.random(0, 2)) end
        end
    end
"#;

/// What the host does meanwhile: everything there is to do with objects, by lot.
const HOST: &str = r#"
    local control, other = thread.buffer({ 1, 2, 3, text = ("c"):rep(10000) }), thread.channel()
    other:push("sound")
    local count, stop = thread.buffer(0), thread.buffer(false)
    local sane = thread.async(function()
        local rounds = 0
        while not stop:get() do
            local v = control:get()
            assert(v[3] == 3 and v.text == ("c"):rep(10000))
            count:mod(function(n) return n + 1 end)
            rounds = rounds + 1
            thread.sleep(1)
        end
        return rounds
    end)
    local problems = {}
    local function try(f)
        local ok, problem = pcall(f)
        if not ok then
            problem = tostring(problem)
            problems[problem:match("damaged") or problem:match("does not exist") or problem] = true
        end
        return ok
    end
    local plus = 5
    local succeeded = 0
    for round = 1, 40 do
        local b = thread.buffer(("b"):rep(math.random(100000)))
        local f = thread.buffer({ n = 5, list = { 1, 2, { 3 } }, go = function(self, x) return plus + x end })
        local o = thread.buffer({ inner = thread.buffer(7), list = { 1, 2, 3 } })
        local c = thread.channel(math.random(2) == 1 and 5 or nil)
        local m = thread.mutex()
        for i = 1, 3 do c:push({ i, ("x"):rep(math.random(3000)) }) end
        local task = thread.async(mad, { args = { math.random(2 ^ 30), 25, b, f, o, c }, timeout = 2000 })
        local ways = {
            function() return b:get() end,
            function() b:set(("q"):rep(math.random(100000))) end,
            function() b:mod(function(v) return v end) end,
            function() return f.n end,
            function() return f:get(), #f, tostring(f), f == 5 end,
            function() f:set({ n = 5, list = { 1 }, go = function(self, x) return plus + x end }) end,
            function() return f:go(3) end,
            function() for _ in pairs(f) do end end,
            function() return o:get().inner:get() end,
            function() o:set({ inner = thread.buffer(7), list = { 1 } }) end,
            function() return c:push(("i"):rep(math.random(20000)), 5) end,
            function() return c:push({ thread.buffer(3) }, 5) end,
            function() return c:pop(5) end,
            function() return #c end,
            function() if m:lock(5) then m:unlock() end end,
            function() local id = math.random(40) if thread.lock(id, 5) then thread.unlock(id) end end,
            function() return task:status() end,
            function() return task:usage() end,
        }
        local pid = wait(function() return task:pid() end)
        repeat
            if try(ways[math.random(#ways)]) then succeeded = succeeded + 1 end
        until task:status() ~= "running"
        try(function() task:await(5000, false) end)
        -- What it left where its reply should be may have ended the wait before it.
        task = nil
        collectgarbage()
        wait(function() return gone(pid) end)
        try(function() return b:get() end)
        try(function() b:set(1) assert(b:get() == 1) end)
        try(function() return c:pop(0) end)
        try(function() c:close() end)
        try(function() for id = 1, 40 do if thread.lock(id, 20) then thread.unlock(id) end end end)
        try(function() thread.async(function() return o:get(), c:pop(0), f:get() end):await(5000, false) end)
    end
    assert(succeeded > 1000, succeeded)
    stop:set(true)
    assert(assert(sane:await(5000)) == count:get())
    local v = control:get()
    assert(v[3] == 3 and v.text == ("c"):rep(10000) and other:pop(0) == "sound")
    for problem in pairs(problems) do say(problem) end
    say("end")
    hear()
"#;

#[test]
fn a_thousand_fits_of_madness_cost_the_host_errors_and_nothing_else() {
    for interpreter in Interpreter::all() {
        let bystander = Script::new(
            "local b, c = thread.buffer({ 'mine' }), thread.channel() c:push(b)
             local t = thread.async(function() return c:pop() end)
             say('on') hear() say(t:await()[1], b[1])",
        )
        .start();
        bystander.expect("on");
        let session = Script::new(&format!("{MAD} {HOST}"))
            .by(interpreter)
            .private_shm("256M")
            .limit(Duration::from_secs(180))
            .start();
        loop {
            let line = session.line();
            if line == "end" {
                break;
            }
            // What it was told, in words that scripts can do something with.
            let known = [
                "damaged",
                "does not exist",
                "a sandboxed job can write here",
                "bad argument",
                "attempt to",
                "it is something else",
                "the value takes",
                "is not accepted",
                "cannot find '",
                "cannot load a function",
                "cannot copy userdata",
                "too many values",
                "would take more than",
            ];
            assert!(known.iter().any(|known| line.contains(known)), "{line}");
        }
        let peak = process::status(session.host.pid, "VmHWM").expect("it lives");
        let kib: u64 = peak.trim_end_matches(" kB").trim().parse().expect("a number");
        assert!(kib < 100 << 10, "the host took {peak}");
        let outcome = session.end();
        assert_eq!((outcome.code, outcome.signal), (Some(0), None), "{outcome:?}");
        assert!(!outcome.stderr.contains("panicked"), "{outcome:?}");
        session.expect_nothing_left();
        bystander.say("on");
        bystander.expect("mine\tmine");
        bystander.end().output();
        bystander.expect_nothing_left();
    }
}
