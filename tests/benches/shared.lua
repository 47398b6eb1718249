-- What shared objects cost: buffers, locks, channels, alone and contended.
--
--   cargo bench -p llib-tests --bench shared [-- [--json] [--quick] [NAME...]]
--   lua5.4 -e 'package.cpath = "TARGET/release/lib?.so;" .. package.cpath' shared.lua
--
-- Calls that take less than a microsecond are timed a thousand at a time. harness.lua tells the options.

local harness = dofile((arg[0]:match("^(.*/)") or "./") .. "harness.lua")
local system = dofile(harness.here .. "system.lua")
local uv, thread, report = harness.uv, harness.llib.thread, harness.report
local measure, times = harness.measure, harness.times
local bare = system.baseline("--baseline")

-- Samples of the time that one call takes, in nanoseconds: `count` of them, each the mean of `batch` calls.
local function each(count, batch, f)
  local samples = {}
  for i = 1, times(count) do
    local begun = uv.hrtime()
    for _ = 1, batch do f() end
    samples[i] = (uv.hrtime() - begun) / batch
  end
  return samples
end

measure("buffer", function()
  local buffer = thread.buffer(0)
  report:row {
    what = "set + get of an integer", unit = "us", goal = { most = 0.6 },
    llib = each(300, 1000, function() buffer:set(7) return buffer:get() end),
  }
  local text = ("x"):rep(1000)
  report:row {
    what = "set + get of 1,000 bytes", unit = "us",
    llib = each(300, 1000, function() buffer:set(text) return buffer:get() end),
  }
  buffer:set({ a = 1, b = "two", c = 3.5, d = true, e = 5 })
  report:row {
    what = "buffer.field of a table of 5", unit = "us", goal = { most = 0.5 },
    llib = each(300, 1000, function() return buffer.d end),
  }
  report:row {
    what = "buffer:get() of a table of 5", unit = "us",
    llib = each(300, 1000, function() return buffer:get() end),
  }
  buffer:set(0)
  report:row {
    what = "buffer:mod, adding one", unit = "us",
    llib = each(300, 1000, function() buffer:mod(function(v) return v + 1 end) end),
  }
  report:row {
    what = "create and clean a buffer", unit = "us",
    llib = each(100, 50, function() thread.buffer(1):clean() end),
  }
end)

measure("lock", function()
  local mutex = thread.mutex()
  report:row {
    what = "thread.lock + unlock", unit = "us", goal = { most = 0.25 },
    llib = each(300, 1000, function() thread.lock(1) thread.unlock(1) end),
  }
  report:row {
    what = "mutex:lock + unlock", unit = "us", goal = { most = 0.25 },
    llib = each(300, 1000, function() mutex:lock() mutex:unlock() end),
  }
end)

-- 16 MiB out of a buffer, beside a memcpy of as much in the same minute.
measure("large", function()
  local BYTES = 16 << 20
  local buffer = thread.buffer(("x"):rep(BYTES))
  local gets, copies = {}, {}
  for i = 1, times(40) do
    collectgarbage()
    local begun = uv.hrtime()
    local text = buffer:get()
    gets[i] = uv.hrtime() - begun
    assert(#text == BYTES)
    text = nil
    if bare then
      local warm, _, private = table.unpack(bare("copy", 1, BYTES))
      copies.warm, copies.fresh = copies.warm or {}, copies.fresh or {}
      copies.warm[i], copies.fresh[i] = warm, private
    end
  end
  report:row {
    what = "get of 16 MiB", unit = "ms", llib = gets, goal = { ratio = 2 },
    against = "memcpy into fresh memory", baseline = copies.fresh,
  }
  report:row {
    what = "get of 16 MiB", unit = "ms", llib = gets, against = "memcpy into warm memory", baseline = copies.warm,
  }
end)

measure("channel", function()
  local there, back = thread.channel(), thread.channel()
  local echo = thread.async(function()
    for value in there:iter() do back:push(value) end
  end)
  local function turn() there:push(1) return back:pop() end
  for _ = 1, 1000 do turn() end
  report:row {
    what = "channel ping-pong, there and back", unit = "us", goal = { most = 6 }, llib = each(300, 100, turn),
  }
  there:close()
  assert(echo:await() == nil)
  local channel = thread.channel()
  report:row {
    what = "channel push + pop, one process", unit = "us",
    llib = each(300, 1000, function() channel:push(1) return channel:pop() end),
  }
  -- One way, as fast as it goes.
  local stream = thread.channel(1000)
  local COUNT = times(200000)
  local samples = {}
  for i = 1, 5 do
    local producer = thread.async(function(_, _, count) for n = 1, count do stream:push(n) end end, { args = { COUNT } })
    local begun = uv.hrtime()
    for _ = 1, COUNT do stream:pop() end
    samples[i] = (uv.hrtime() - begun) / COUNT
    producer:await()
  end
  report:row { what = "channel, a stream of integers, each", unit = "us", llib = samples }
end)

-- Four workers that add to one counter, and one that has it for itself: time an addition.
measure("contended", function()
  local TIME = harness.options["--quick"] and 200 or 1000
  local function count(workers)
    local counter, go = thread.buffer(0), thread.mutex()
    go:lock()
    local tasks = {}
    for i = 1, workers do
      tasks[i] = thread.async(function()
        go:with(function() end)
        while true do counter:mod(function(v) return v + 1 end) end
      end)
    end
    thread.sleep(50)
    local begun = uv.hrtime()
    go:unlock()
    thread.sleep(TIME)
    local total = counter:get()
    local taken = uv.hrtime() - begun
    for _, task in ipairs(tasks) do task:kill() end
    return taken / total
  end
  local alone, four = {}, {}
  for i = 1, 5 do alone[i], four[i] = count(1), count(4) end
  report:row {
    what = "mod on one counter, 4 workers, an addition", unit = "us", llib = four, goal = { ratio = 2 },
    against = "1 worker", baseline = alone,
  }
end)

harness.finish()
