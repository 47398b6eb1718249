-- What jobs cost: latency, throughput, start, copying and memory, beside what they are measured against.
--
--   cargo bench -p llib-tests --bench jobs [-- [--json] [--quick] [NAME...]]
--   lua5.4 -e 'package.cpath = "TARGET/release/lib?.so;" .. package.cpath' jobs.lua
--
-- Compared things take turns within one run, so that a busy machine slows both down; ratios are those of the
-- medians of one run. Without `cargo bench` there is no process for the system's own costs, and those columns
-- stay empty. harness.lua tells the options.

local harness = dofile((arg[0]:match("^(.*/)") or "./") .. "harness.lua")
local system = dofile(harness.here .. "system.lua")
local uv, thread, report = harness.uv, harness.llib.thread, harness.report
local measure, times, time, add, interleave =
  harness.measure, harness.times, harness.time, harness.add, harness.interleave

-- The job: next to nothing, so that what is measured is the way there and back.
local SOURCE = "local t = {} for i = 1, 10 do t[i] = i end return #t"

local job = assert(load(SOURCE, "=job"))
local bare = system.baseline("--baseline")
local fork_loop = system.fork_loop()
local with_lua = system.baseline("--baseline-with-lua")
if with_lua then with_lua("function", SOURCE) end

-- Waits until every job is gone and the spares are ready.
local function settle()
  assert(thread.async(job):await() == 10)
  local deadline = uv.hrtime() + 10e9
  repeat
    uv.sleep(50)
    local stats = thread.stats()
  until (stats.jobs == 0 and stats.spares >= 3) or uv.hrtime() > deadline
  uv.sleep(100)
  collectgarbage()
end

local function repeated(count, f)
  return function()
    local samples = {}
    for i = 1, count do samples[i] = f() end
    return samples
  end
end

-- The three ways to run the job. The thread's result is not looked at: luv has no way to return one.
local function in_llib() return time(function() assert(thread.async(job):await() == 10) end) end
local function in_luv() return time(function() assert(uv.thread_join(uv.new_thread(job))) end) end

-- In fresh interpreters: `require "llib"` from the call to its return (luv is loaded before, for the clock),
-- and from the first `async` to the end of its `await`, which starts the supervisors.
measure("start", function()
  local quoted, program = system.interpreter()
  local script = ([[
    package.cpath = %q
    local uv = require "luv"
    local a = uv.hrtime()
    local llib = require "llib"
    local b = uv.hrtime()
    local v = llib.thread.async(function() return 10 end):await()
    local c = uv.hrtime()
    assert(v == 10)
    print(("%%d %%d"):format(b - a, c - b))
  ]]):format(package.cpath)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(script)
  file:close()
  local requires, firsts = {}, {}
  local _, spawns = interleave(times(20), {
    function()
      local pipe = assert(io.popen(quoted .. " " .. path))
      local require_time, first_time = pipe:read("n", "n")
      assert(pipe:close())
      add(requires, { require_time })
      add(firsts, { first_time })
      return {}
    end,
    function() return bare and bare("spawn", 1, program, "-e", "return") or {} end,
  })
  os.remove(path)
  report:row { what = 'require "llib"', unit = "ms", llib = requires, goal = { most = 2 } }
  report:row {
    what = "first async():await()", unit = "ms", llib = firsts, goal = { most = 8 },
    against = "spawn of the interpreter", baseline = spawns,
  }
end)

-- One job at a time after a pause of 1 ms, which is time enough for a spare to be there again. luv's thread
-- and the fork come after the same pause: all of them start with a core that has gone to sleep.
measure("latency", function()
  settle()
  local PAUSE = 1
  local ours, luv, fork = interleave(times(400), {
    function() uv.sleep(PAUSE) return in_llib() end,
    function() uv.sleep(PAUSE) return in_luv() end,
    function() return with_lua and with_lua("fork", 1, PAUSE * 1000) or {} end,
  })
  report:row {
    what = "job, spares ready", unit = "us", llib = ours, goal = { ratio = 0.3 },
    against = "luv new_thread + join", baseline = luv,
  }
  report:row {
    what = "job, spares ready", unit = "us", llib = ours, goal = { ratio = 1 },
    against = "fork + run + wait", baseline = fork,
  }
end)

-- The same in a sandbox, beside the job without one, and beside the usual way to run a script that nobody trusts:
-- an interpreter of its own under bubblewrap, which is as much of a sandbox as can be had from outside. The pause is
-- longer: a spare behind walls takes longer to make.
measure("sandbox", function()
  settle()
  local PAUSE = 3
  local bwrap = {
    "--unshare-all", "--die-with-parent", "--new-session", "--clearenv", "--ro-bind", "/usr", "/usr",
    "--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64", "--symlink", "usr/bin", "/bin",
    "/usr/bin/lua5.4", "-e", "return",
  }
  local has_bwrap = bare and os.execute("bwrap " .. table.concat(bwrap, " ", 1, 16) .. " true >/dev/null 2>&1")
  if not has_bwrap then
    io.stderr:write("jobs.lua: bwrap is missing or may not make namespaces, so sandboxed jobs have no peer here\n")
  end
  local function in_sandbox() return time(function() assert(thread.async(job, { sandbox = true }):await() == 10) end) end
  local function with_grant()
    return time(function() assert(thread.async(job, { sandbox = { read = { "/usr" } } }):await() == 10) end)
  end
  -- The first one tells the zygote that there is a demand.
  in_sandbox()
  settle()
  local walled, plain, granted, outside = interleave(times(300), {
    function() uv.sleep(PAUSE) return in_sandbox() end,
    function() uv.sleep(PAUSE) return in_llib() end,
    function() uv.sleep(PAUSE) return with_grant() end,
    function() return has_bwrap and bare("spawn", 1, "bwrap", table.unpack(bwrap)) or {} end,
  })
  report:row {
    what = "job in a sandbox, spares ready", unit = "us", llib = walled, against = "without a sandbox", baseline = plain,
  }
  report:row {
    what = "job in a sandbox, spares ready", unit = "us", llib = walled, goal = { ratio = 0.05 },
    against = "bwrap ... lua5.4 -e ...", baseline = outside,
  }
  report:row {
    what = "job in a sandbox with files", unit = "us", llib = granted, against = "without a sandbox", baseline = plain,
  }
  -- Its median is the difference of the medians.
  local sorted = table.move(plain, 1, #plain, 1, {})
  table.sort(sorted)
  local more = {}
  for i = 1, #walled do more[i] = walled[i] - sorted[(#sorted + 1) // 2] end
  report:row { what = "what a sandbox adds to a job", unit = "us", llib = more, goal = { most = 60 } }
end)

-- Pss of each spare that waits, from /proc/PID/smaps_rollup.
measure("spare", function()
  settle()
  local samples = {}
  for _, pid in ipairs(system.children(thread.stats().zygote)) do add(samples, { system.pss(pid) }) end
  report:row { what = "Pss of a spare", unit = "KiB", llib = samples, goal = { most = 350 } }
  report:row { what = "Pss of the zygote", unit = "KiB", llib = { system.pss(thread.stats().zygote) } }
  report:row { what = "Pss of the guard", unit = "KiB", llib = { system.pss(thread.stats().guard) } }
end)

-- One job right after the other, in blocks of 100: each needs a new process, so that no more than a fork's
-- throughput is to be had once the spares are used up.
measure("back to back", function()
  settle()
  local BLOCK = 100
  local ours, luv, fork = interleave(times(20), {
    repeated(BLOCK, in_llib),
    repeated(BLOCK, in_luv),
    function() return with_lua and with_lua("fork", BLOCK, 0) or {} end,
  })
  report:row {
    what = "job, back to back", unit = "us", llib = ours, against = "luv new_thread + join", baseline = luv,
  }
  report:row {
    what = "job, back to back", unit = "us", llib = ours, against = "fork + run + wait", baseline = fork,
  }
  local function means(samples)
    local blocks = {}
    for first = 1, #samples, BLOCK do
      local sum = 0
      for i = first, first + BLOCK - 1 do sum = sum + samples[i] end
      blocks[#blocks + 1] = sum / BLOCK
    end
    return blocks
  end
  report:row {
    what = "job, back to back, mean of 100", unit = "us", llib = means(ours),
    against = "fork + run + wait", baseline = means(fork),
  }
end)

-- 1,000 jobs at once: all are handed over, then all awaited; time a job. The loops fork 1,000 times, one
-- after the other: a C program, and a process with a Lua state. Their children do nothing, and so do the
-- jobs. "All gone" is the time until no process of
-- them is left, which the loops' time contains as well.
measure("1,000 at once", function()
  local function nothing() return true end
  settle()
  local COUNT = 1000
  local gone = {}
  local function mean(samples)
    local sum = 0
    for _, sample in ipairs(samples) do sum = sum + sample end
    return sum / #samples
  end
  local ours, bares, forks = interleave(times(20), {
    function()
      local tasks = {}
      local begun = uv.hrtime()
      for i = 1, COUNT do tasks[i] = thread.async(nothing) end
      for i = 1, COUNT do assert(tasks[i]:await() == true) end
      local taken = uv.hrtime() - begun
      while thread.stats().jobs > 0 do uv.sleep(1) end
      gone[#gone + 1] = (uv.hrtime() - begun) / COUNT
      uv.sleep(50)
      return taken / COUNT
    end,
    function() return fork_loop and fork_loop("bare", COUNT) or {} end,
    function() return with_lua and mean(with_lua("bare", COUNT)) or {} end,
  })
  report:row {
    what = "1,000 jobs at once, each", unit = "us", llib = ours, goal = { ratio = 1.3 },
    against = "C loop: fork + exit + wait", baseline = bares,
  }
  report:row {
    what = "1,000 jobs at once, each", unit = "us", llib = ours, against = "the same with a Lua state",
    baseline = forks,
  }
  report:row {
    what = "1,000 jobs, until all gone, each", unit = "us", llib = gone, against = "fork + exit + wait",
    baseline = bares,
  }
end)

-- 16 MiB there and back, from the call of `async` to the end of `await`. Four copies have to be made: into the
-- job's segment, into the worker's Lua, into the reply's segment, into the host's Lua; all four into memory that
-- nobody has touched, two of them shared. So the goal is four copies into warm memory and what the faults of two
-- shared and two private fresh pieces cost beside that.
measure("string", function()
  settle()
  local BYTES = 16 << 20
  local text = ("x"):rep(BYTES)
  local function echo(_, _, s) return s end
  local function there_and_back()
    local back
    local taken = time(function() back = thread.async(echo, { args = { text } }):await() end)
    assert(back == text)
    back = nil
    collectgarbage()
    return taken
  end
  local ours, copies = interleave(times(30), {
    there_and_back,
    function() return bare and bare("copy", 1, BYTES) or {} end,
  })
  local sums, warm, shared, private = {}, {}, {}, {}
  for i = 1, #copies, 3 do
    local w, s, p = copies[i], copies[i + 1], copies[i + 2]
    add(warm, { w })
    add(shared, { s })
    add(private, { p })
    add(sums, { 4 * w + 2 * (s - w) + 2 * (p - w) })
  end
  report:row {
    what = "16 MiB string there and back", unit = "ms", llib = ours, goal = { ratio = 1 },
    against = "4 memcpy + page faults", baseline = sums,
  }
  for _, part in ipairs { { "warm memory", warm }, { "fresh shared pages", shared }, { "fresh private pages", private } } do
    report:row {
      what = "16 MiB string there and back", unit = "ms", llib = ours,
      against = "memcpy into " .. part[1], baseline = part[2],
    }
  end
end)

-- A table of 100,000 rows there and back. Beside it: making such a table twice in Lua itself.
measure("table", function()
  settle()
  local ROWS = 100000
  local function make()
    local rows = {}
    for i = 1, ROWS do rows[i] = { i, tostring(i) } end
    return rows
  end
  local rows = make()
  local function echo(_, _, t) return t end
  local ours, lua = interleave(times(30), {
    function()
      collectgarbage()
      local back
      local taken = time(function() back = thread.async(echo, { args = { rows } }):await() end)
      assert(#back == ROWS and back[ROWS][1] == ROWS and back[ROWS][2] == tostring(ROWS))
      return taken
    end,
    function()
      collectgarbage()
      return time(function() make() make() end)
    end,
  })
  report:row {
    what = "100,000 rows there and back", unit = "ms", llib = ours, goal = { most = 80 },
    against = "making them twice in Lua", baseline = lua,
  }
end)

-- 1,000 jobs that are alive together, each asleep: time until all have a process, memory of all of them
-- with their supervisors, and time until all are gone.
measure("1,000 alive", function()
  settle()
  local COUNT = 1000
  local tasks = {}
  local started = time(function()
    for i = 1, COUNT do
      tasks[i] = thread.async(function() require "llib".thread.sleep(600000) end)
    end
    for i = 1, COUNT do assert(tasks[i]:pid()) end
  end)
  uv.sleep(1000)
  for i = 1, COUNT do assert(tasks[i]:status() == "running") end
  local stats = thread.stats()
  local each, total = {}, system.pss(stats.zygote) + system.pss(stats.guard)
  for i = 1, COUNT do
    each[i] = assert(system.pss(tasks[i]:pid()))
    total = total + each[i]
  end
  local ended = time(function()
    for i = 1, COUNT do tasks[i]:clean() end
    while thread.stats().jobs > 0 do uv.sleep(1) end
  end)
  report:row { what = "1,000 jobs alive: start of all", unit = "ms", llib = { started } }
  report:row { what = "1,000 jobs alive: Pss of each", unit = "KiB", llib = each }
  report:row { what = "1,000 jobs alive: Pss of all", unit = "MiB", llib = { total / 1024 } }
  report:row { what = "1,000 jobs alive: clean all", unit = "ms", llib = { ended } }
end)

harness.finish()
