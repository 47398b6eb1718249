//! Storms of SIGKILL: whatever a killed process was in the midst of, others see what was before or what comes
//! after, and go on.

use std::time::Duration;

use support::Script;
use support::session::PATIENCE;
use support::wait::until_true;

/// Values of many sizes, from within the first page to several hundred KiB, that tell whether they are whole.
const VALUES: &str = r#"
    local sizes = { 0, 10, 300, 700, 800, 1500, 2100, 5000, 9000, 20000, 33000, 70000, 140000, 300000 }
    local function make(n, size)
        return { n = n, size = size, text = string.char(97 + n % 26):rep(size), sum = n * 31 + size, list = { n, n + 1 } }
    end
    local function flaw(v)
        if type(v) ~= "table" then return "no table but " .. tostring(v) end
        if v.sum ~= v.n * 31 + v.size or #v.text ~= v.size or v.list[2] ~= v.n + 1 then return "numbers" end
        if v.text ~= string.char(97 + v.n % 26):rep(v.size) then return "text" end
    end
"#;

#[test]
fn two_thousand_kills_inside_mod_and_set_leave_old_values_or_new_ones() {
    let script = format!(
        r#"{VALUES}
        local b, stop = thread.buffer(make(1, 10)), thread.buffer(false)
        local started, flaws = thread.channel(), thread.channel()
        local function write(_, _, seed)
            math.randomseed(seed)
            started:push(true)
            while true do
                local size = sizes[math.random(#sizes)] + math.random(0, 50)
                if math.random(2) == 1 then
                    b:mod(function(v)
                        local seen = flaw(v)
                        if seen then flaws:push("mod saw wrong " .. seen) end
                        return make(v.n % 1000000 + 1, size)
                    end)
                else
                    b:set(make(math.random(1000000), size))
                end
            end
        end
        local reader = thread.async(function()
            local reads = 0
            repeat
                local seen = flaw(b:get())
                if seen then flaws:push("a reader saw wrong " .. seen) end
                reads = reads + 1
            until stop:get()
            return reads
        end)
        local killed = 0
        while killed < 2000 do
            local writers = {{}}
            for i = 1, 8 do writers[i] = thread.async(write, {{ args = {{ math.random(2 ^ 30) }} }}) end
            -- Each is at work by then, and does nothing but what it is to be killed in.
            for i = 1, 8 do assert(started:pop(20000)) end
            thread.sleep(math.random(0, 3))
            for i = 1, 8 do writers[i]:kill() end
            killed = killed + 8
            local seen = flaw(b:get())
            assert(not seen, seen)
            b:mod(function(v) assert(not flaw(v)) end)
        end
        stop:set(true)
        assert(reader:await(20000) > 100)
        assert(#flaws == 0, flaws:pop(0))
        b:clean() stop:clean()
        started, flaws, reader = nil, nil, nil
        collectgarbage() collectgarbage()
        say("stood")
        hear()
        "#
    );
    let session = Script::new(&script).limit(Duration::from_secs(180)).start();
    session.expect("stood");
    session.expect_no_busy_processes();
    assert_eq!(super::lifetime::objects(&session), Vec::<String>::new());
    session.end().output();
    session.expect_nothing_left();
}

/// Producers number their items, and note each in a buffer of their own once it is pushed. Consumers pass each item
/// on to a log of their own. `%capacity` is that of the channel.
const CHANNEL: &str = r#"
    local ch = thread.channel(%capacity)
    local function produce(_, _, id, pushed, seed)
        math.randomseed(seed)
        for n = 1, math.huge do
            local size = math.random(4) == 1 and math.random(0, 60000) or math.random(0, 200)
            ch:push({ id = id, n = n, text = string.char(97 + n % 26):rep(size) })
            pushed:set(n)
            -- An unbounded channel is not to outgrow the machine.
            while #ch > 200 do thread.sleep(1) end
        end
    end
    local function consume(_, _, log)
        for v in ch:iter() do
            log:push({ v.id, v.n, v.text == string.char(97 + v.n % 26):rep(#v.text) })
        end
        return "drained"
    end
    local producers, consumers, made, pushed, seen = {}, {}, 0, {}, {}
    local function start()
        for i = 1, 4 do
            if not producers[i] then
                made = made + 1
                pushed[made] = thread.buffer(0)
                local args = { made, pushed[made], math.random(2 ^ 30) }
                producers[i] = { task = thread.async(produce, { args = args }), id = made }
            end
            if not consumers[i] then
                local log = thread.channel()
                consumers[i] = { task = thread.async(consume, { args = { log } }), log = log }
            end
        end
    end
    local function read(log)
        local last = {}
        while true do
            local v = log:pop(0)
            if not v then return end
            local id, n, whole = v[1], v[2], v[3]
            assert(whole, "half an item")
            assert(n > (last[id] or 0), "out of order")
            last[id] = n
            seen[id] = seen[id] or {}
            assert(not seen[id][n], "an item came twice")
            seen[id][n] = true
        end
    end
    local killed_producers, killed_consumers = 0, 0
    while killed_producers + killed_consumers < 400 do
        start()
        thread.sleep(math.random(1, 10))
        for i = 1, 4 do
            if math.random(2) == 1 then
                producers[i].task:kill()
                producers[i], killed_producers = nil, killed_producers + 1
            end
            if math.random(2) == 1 then
                consumers[i].task:kill()
                read(consumers[i].log)
                consumers[i], killed_consumers = nil, killed_consumers + 1
            end
        end
    end
    start()
    for i = 1, 4 do
        producers[i].task:kill()
        killed_producers = killed_producers + 1
    end
    ch:close()
    for i = 1, 4 do
        -- Nobody waits for ever.
        assert(assert(consumers[i].task:await(30000)) == "drained")
        read(consumers[i].log)
    end
    local lost, unnoted, items = 0, 0, 0
    for id = 1, made do
        local noted = pushed[id]:get()
        local got = seen[id] or {}
        for n = 1, noted do
            if not got[n] then lost = lost + 1 end
        end
        items = items + noted
        for n in pairs(got) do
            -- One it was killed after pushing, and before it had noted it.
            assert(n <= noted + 1, "an item that was never pushed")
            if n > noted then unnoted = unnoted + 1 end
        end
    end
    assert(lost <= killed_consumers, lost .. " items are lost, and " .. killed_consumers .. " consumers were killed")
    assert(items > 500, items)
    for id = 1, made do pushed[id]:clean() end
    ch, producers, consumers, pushed = nil, nil, nil, nil
    collectgarbage() collectgarbage()
    say("stood")
    hear()
"#;

#[test]
fn killed_producers_and_consumers_lose_their_own_item_at_most_and_block_nobody() {
    for capacity in ["", "1", "7"] {
        let script = CHANNEL.replace("%capacity", capacity);
        let session = Script::new(&script).limit(Duration::from_secs(120)).start();
        session.expect("stood");
        session.expect_no_busy_processes();
        assert_eq!(super::lifetime::objects(&session), Vec::<String>::new());
        session.end().output();
        session.expect_nothing_left();
    }
}

/// Sandboxed jobs that start jobs that start jobs, of which some fail, spin, are killed, closed or forgotten, and some
/// lose their starter.
const LINES: &str = r#"
    math.randomseed(7)
    local buffer = thread.buffer("here")
    local function source(_, _, depth, how, buffer, source, seed)
        local thread = require "llib".thread
        math.randomseed(seed)
        local tasks = {}
        for i = 1, math.random(1, 3) do
            local ok, task = pcall(thread.async, function(_, _, depth, how, buffer, source, seed)
                if depth > 0 then return source(nil, nil, depth - 1, how, buffer, source, seed) end
                if how == 1 then error "no" elseif how == 2 then while true do end elseif how == 3 then return buffer end
                return ("x"):rep(100000)
            end, { args = { depth, math.random(1, 5), buffer, source, seed + i }, cpu = 30, memory = "4M" })
            if ok then tasks[#tasks + 1] = task end
        end
        for _, task in ipairs(tasks) do
            local act = math.random(1, 5)
            if act == 1 then task:kill() elseif act == 2 then task:close(2) end
            if act == 3 then task:await(1, false) elseif how ~= 4 then task:await() end
        end
        return #tasks
    end
    local ended = 0
    for round = 1, 40 do
        local tasks = {}
        for i = 1, 6 do
            tasks[i] = thread.async(source, {
                sandbox = i % 2 == 0 and true or { env = { "LANG" } }, cpu = 1000, args = { i % 3, round % 5, buffer, source, round * 10 + i },
            })
        end
        for i = 1, 6 do
            local act = math.random(1, 4)
            if act == 1 then
                thread.sleep(math.random() * 3)
                tasks[i]:kill()
            end
            if act == 2 then
                tasks[i] = nil
            else
                local value, err = tasks[i]:await(60000)
                assert(value or err.kind == "killed" or err.kind == "cpu", tostring(err))
                ended = ended + 1
            end
        end
    end
    assert(ended > 100, ended)
    wait(function()
        collectgarbage()
        return thread.stats().jobs == 0
    end)
    assert(buffer:get() == "here")
    say("stood")
    hear()
"#;

#[test]
fn lines_of_sandboxed_jobs_leave_nothing_wherever_they_are_cut() {
    let session = Script::new(LINES).limit(Duration::from_secs(120)).start();
    session.expect("stood");
    session.expect_no_busy_processes();
    let rooms = || session.shm_files().iter().filter(|file| file.ends_with(".room")).count();
    // Those of spares behind walls.
    assert!(until_true(PATIENCE, || rooms() <= 16), "{:?}", session.shm_files());
    session.end().output();
    session.expect_nothing_left();
}
