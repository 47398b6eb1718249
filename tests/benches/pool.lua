-- What jobs of a pool cost: alone, in a batch, and as a map; beside luv's thread pool.
--
--   cargo bench -p llib-tests --bench pool [-- [--json] [--quick] [NAME...]]
--   lua5.4 -e 'package.cpath = "TARGET/release/lib?.so;" .. package.cpath' pool.lua
--
-- Both sides are warm, and take turns. harness.lua tells the options.

local harness = dofile((arg[0]:match("^(.*/)") or "./") .. "harness.lua")
local uv, thread, report = harness.uv, harness.llib.thread, harness.report
local measure, times = harness.measure, harness.times

local function same(n) return n end
local function with_global(n) return math.floor(n) end

local result
local work = uv.new_work(function(n) return n end, function(n) result = n end)
local function by_luv(n)
  result = nil
  work:queue(n)
  uv.run()
  return result
end

-- Samples of `ours` and `theirs`, which take turns.
local function turns(count, pause, ours, theirs)
  local a, b = {}, {}
  for i = 1, times(count) do
    if pause then thread.sleep(pause) end
    local begun = uv.hrtime()
    ours(i)
    a[i] = uv.hrtime() - begun
    if pause then thread.sleep(pause) end
    begun = uv.hrtime()
    theirs(i)
    b[i] = uv.hrtime() - begun
  end
  return a, b
end

measure("latency", function()
  local pool = thread.pool { size = 2 }
  for name, f in pairs { ["without globals"] = same, ["with a global"] = with_global } do
    local function ours(n) return pool:submit(f, n):await() end
    for i = 1, 500 do ours(i) by_luv(i) end
    -- In blocks, since each side's turn lets the other's workers fall asleep.
    local a, b = {}, {}
    for _ = 1, times(40) do
      for _ = 1, 20 do ours(1) end
      for i = 1, 50 do
        local begun = uv.hrtime()
        ours(i)
        a[#a + 1] = uv.hrtime() - begun
      end
      for _ = 1, 20 do by_luv(1) end
      for i = 1, 50 do
        local begun = uv.hrtime()
        by_luv(i)
        b[#b + 1] = uv.hrtime() - begun
      end
    end
    report:row {
      what = "submit + await, " .. name, unit = "us", llib = a, against = "luv new_work", baseline = b,
      goal = f == same and { ratio = 0.25 } or nil,
    }
    a, b = turns(300, 1, ours, by_luv)
    report:row {
      what = "the same, arrivals 1 ms apart, " .. name, unit = "us", llib = a, against = "luv new_work", baseline = b,
    }
  end
  pool:close()
end)

measure("map", function()
  local pool = thread.pool { size = 2 }
  local list = {}
  for i = 1, 10000 do list[i] = i end
  for name, f in pairs { ["without globals"] = same, ["with a global"] = with_global } do
    local samples = {}
    for i = 1, times(50) do
      local begun = uv.hrtime()
      local results = pool:map(f, list)
      samples[i] = (uv.hrtime() - begun) / #list
      assert(#results == #list)
    end
    report:row { what = "map of 10,000 items, each, " .. name, unit = "us", llib = samples, goal = { most = 3 } }
  end
  pool:close()
end)

measure("throughput", function()
  local COUNT = 20000
  local pool = thread.pool { size = 2 }
  for name, f in pairs { ["without globals"] = same, ["with a global"] = with_global } do
    local samples, luv = {}, {}
    for round = 1, times(30) do
      local tasks = {}
      local begun = uv.hrtime()
      for i = 1, COUNT do tasks[i] = pool:submit(f, i) end
      for i = 1, COUNT do tasks[i]:await() end
      samples[round] = (uv.hrtime() - begun) / COUNT
      begun = uv.hrtime()
      for i = 1, COUNT do work:queue(i) end
      uv.run()
      luv[round] = (uv.hrtime() - begun) / COUNT
    end
    report:row {
      what = "20,000 jobs by 2 workers, each, " .. name, unit = "us", llib = samples, against = "luv new_work",
      baseline = luv, goal = f == same and { most = 1e6 / 300000 } or nil,
    }
  end
  pool:close()
end)

measure("payload", function()
  local pool = thread.pool { size = 2 }
  for _, size in ipairs { 8, 512, 4096, 65536, 1 << 20, 16 << 20 } do
    local text, samples = ("x"):rep(size), {}
    for i = 1, times(size < 1 << 20 and 300 or 30) do
      local begun = uv.hrtime()
      local back = pool:submit(same, text):await()
      samples[i] = uv.hrtime() - begun
      assert(#back == size)
    end
    report:row { what = ("a string of %d bytes there and back"):format(size), unit = "us", llib = samples }
  end
  pool:close()
end)

harness.finish()
