-- One measure of one peer, in an interpreter of its own: measure.lua PEER WHAT LIBRARY
--
-- A peer is a table:
--   version       text
--   run(f, ...)   runs f in a worker; returns its value, or nil and what the library tells of its failure
--   stop(f, ...)  starts f, which never ends, and after a moment does what can be done to end it; returns what the library
--                 tells
--   echo()        starts a worker that sends back what it gets; returns a function for one message there and back, and one
--                 that ends it. Nil: the peer has no messages
--   hold(n)       starts n workers that wait; returns a function that ends them
-- Functions given to peers have no upvalues, which not all of them can send.

local here = arg[0]:match("^(.*/)") or "./"
local name, what, library = arg[1], arg[2], arg[3]

local uv = require "luv"
local begun = uv.hrtime()
local peer = dofile(here .. "with/" .. name .. ".lua")
local system = dofile(here .. "../system.lua")

local function answer() return 42 end
local function fail() error("no luck", 0) end
local function leave() os.exit(3) end
local function loop() while true do end end
local function call(path, symbol) assert(package.loadlib(path, symbol))() end

local function timed(f, ...)
  local start = uv.hrtime()
  f(...)
  return uv.hrtime() - start
end

local function median(list)
  table.sort(list)
  return list[math.floor((#list + 1) / 2)]
end

-- This process, and all below it.
local function family(pid, list)
  list = list or {}
  list[#list + 1] = pid
  for task in io.popen(("ls /proc/%d/task 2>/dev/null"):format(pid)):lines() do
    local file = io.open(("/proc/%d/task/%s/children"):format(pid, task))
    for child in (file and file:read("*a") or ""):gmatch("%d+") do family(tonumber(child), list) end
    if file then file:close() end
  end
  return list
end

local function pss()
  local sum = 0
  for _, pid in ipairs(family(uv.os_getpid())) do sum = sum + (system.pss(pid) or 0) end
  return sum
end

-- Clock ticks of CPU time that this process and all below it have used.
local function ticks()
  local sum = 0
  for _, pid in ipairs(family(uv.os_getpid())) do
    local file = io.open(("/proc/%d/stat"):format(pid))
    if file then
      local user, system_time = file:read("*a"):match("%) %a" .. (" %S+"):rep(10) .. " (%d+) (%d+)")
      sum = sum + user + system_time
      file:close()
    end
  end
  return sum
end

local function text(value) return (tostring(value):gsub("%s+", " ")) end

local measures = {}

function measures.version() print(peer.version) end

function measures.first()
  assert(peer.run(answer) == 42)
  print((uv.hrtime() - begun) / 1e6)
end

function measures.job()
  local times = {}
  for i = 1, peer.slow and 20 or 200 do
    uv.sleep(1)
    times[i] = timed(function() assert(peer.run(answer) == 42) end)
  end
  print(median(times) / 1e3)
end

function measures.messages()
  if not peer.echo then return print("none") end
  local send, stop = peer.echo()
  for _ = 1, 100 do assert(send("ready") == "ready") end
  local times = {}
  for i = 1, 5 do
    times[i] = timed(function() for n = 1, 1000 do send("message") end end)
  end
  stop()
  print(median(times) / 1e6)
end

function measures.string()
  if peer.no_strings then return print("none") end
  local long = ("x"):rep(16 * 1024 * 1024)
  local function same(s) return s end
  local times = {}
  for i = 1, 10 do
    local back
    times[i] = timed(function() back = peer.run(same, long) end)
    assert(back == long)
    back = nil
    collectgarbage()
  end
  print(median(times) / 1e6)
end

function measures.memory()
  if not peer.hold then return print("none") end
  local COUNT = 20
  -- What the library itself needs is there once.
  assert(peer.run(answer) == 42)
  uv.sleep(300)
  local before = pss()
  local stop = peer.hold(COUNT)
  uv.sleep(500)
  print((pss() - before) / COUNT)
  io.stdout:flush()
  stop()
end

local function mishap(f, ...)
  local value, problem = peer.run(f, ...)
  print("told: " .. text(problem or value or "nothing"))
end

measures.error = function() mishap(fail) end
measures.exit = function() mishap(leave) end
measures.fault = function() mishap(call, library, "fault") end

local function endless(f, ...)
  if not peer.stop then return print("told: there is no way to end it") end
  print("told: " .. text(peer.stop(f, ...)))
  uv.sleep(100)
  local before = ticks()
  uv.sleep(400)
  -- Of forty ticks.
  print("after: " .. (ticks() - before >= 8 and "**it runs on**" or "it is gone"))
end

measures.loop = function() endless(loop) end
measures.hang = function() endless(call, library, "hang") end

measures[what]()
print("alive")
io.stdout:flush()
-- What runs on would keep some libraries from ending.
uv.kill(uv.os_getpid(), "sigkill")
