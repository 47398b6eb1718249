-- Threads of luv: one made for a job, and those of libuv's pool. See README.md.

local uv = require "luv"

local function nothing() return 1 end
local result
local work = uv.new_work(function(value) return value end, function(value) result = value end)

local function each(count, pause, call)
  local times = {}
  for i = 1, count do
    if pause > 0 then uv.sleep(pause // 1000) end
    local begun = uv.hrtime()
    call(i)
    times[i] = uv.hrtime() - begun
  end
  return times
end

local commands = {}

function commands.fresh(count, pause)
  return each(count, pause, function() assert(uv.thread_join(uv.new_thread(nothing))) end)
end

function commands.warm(count, pause)
  return each(count, pause, function(n)
    work:queue(n)
    uv.run()
    assert(result == n)
  end)
end

function commands.batch(count)
  return each(1, 0, function()
    for i = 1, count do work:queue(i) end
    uv.run()
  end)
end

function commands.payload(count, bytes)
  local text = ("x"):rep(bytes)
  return each(count, 0, function()
    work:queue(text)
    uv.run()
    assert(#result == bytes)
    result = nil
  end)
end

for line in io.lines() do
  if line == "quit" then break end
  local name, first, second = line:match("^(%l+) (%d+) ?(%d*)")
  local command = commands[name]
  print(command and table.concat(command(tonumber(first), tonumber(second) or 0), " ") or "")
  io.stdout:flush()
  collectgarbage()
end
