-- require "llib": what it returns, and that it does nothing yet.

-- The globals before this script loads llib. In the command `llib` it is one of them.
local before = {}
for name in pairs(_G) do before[name] = true end

local llib = require "llib"
local thread = llib.thread
local T = dofile((arg[0]:match("^(.*/)") or "./") .. "support.lua")
local spec, equal = T.spec, T.equal
local pack = T.pack

spec("require sets no global", function()
  for name in pairs(_G) do T.yes(before[name], "global " .. tostring(name) .. " was there before require") end
  -- In the command it was there before.
  equal(rawget(_G, "llib"), before.llib and llib, "global llib")
  equal(rawget(_G, "thread"), nil, "global thread")
  equal(rawget(_G, "res"), nil, "global res in the host")
  equal(rawget(_G, "rej"), nil, "global rej in the host")
end)

spec("require starts no process and no thread", function()
  local output = T.script [[
    local llib = require "llib"
    local function read(path) local f = assert(io.open(path)) local text = f:read("*a") f:close() return text end
    io.write("threads ", read("/proc/self/status"):match("Threads:%s*(%d+)"), "\n")
    -- Whoever has this process as its parent; reading it starts none.
    io.write("children ", read("/proc/thread-self/children"), "\n")
    io.write("stats ", tostring(next(llib.thread.stats())), "\n")
  ]]
  T.contains(output, "threads 1\n", "threads of the host")
  T.contains(output, "children \n", "children of the host")
  T.contains(output, "stats nil\n", "stats before the first job")
end)

spec("require and async add no signal handler", function()
  local output, code = T.script [[
    local function caught()
      for line in io.lines("/proc/self/status") do
        local mask = line:match("^SigCgt:%s*(%x+)")
        if mask then return mask end
      end
    end
    local before = caught()
    local llib = require "llib"
    assert(caught() == before, "require")
    assert(llib.thread.async(function() return 1 end):await() == 1)
    assert(caught() == before, "async")
    io.write("fine")
  ]]
  equal(output, "fine", "the script's output")
  equal(code, 0, "the exit code")
end)

spec("the first async starts supervisors, and stats names them", function()
  local output = T.script [[
    local thread = require "llib".thread
    thread.async(function() end):await()
    local stats = thread.stats()
    assert(stats.guard % 1 == 0 and stats.zygote % 1 == 0)
    assert(io.open("/proc/" .. stats.zygote .. "/stat"), "zygote")
    assert(io.open("/proc/" .. stats.guard .. "/stat"), "guard")
    io.write("fine")
  ]]
  equal(output, "fine", "the script's output")
end)

spec("a second require gives the same table", function()
  equal(require "llib", llib, "require twice")
  equal(require "llib".thread, thread, "its field thread")
  equal(package.loaded.llib, llib, "package.loaded.llib")
end)

spec("a module that was unloaded can be loaded again, and works", function()
  local output = T.script [[
    local first = require "llib"
    assert(first.thread.async(function() return 1 end):await() == 1)
    package.loaded.llib = nil
    local second = require "llib"
    assert(second.thread.async(function() return 2 end):await() == 2)
    -- Tasks of the one are tasks of the other.
    assert(second.thread.async(function() return 3 end).await == first.thread.async(function() end).await)
    io.write("fine")
  ]]
  equal(output, "fine", "the script's output")
end)

spec("every function of the contract is there", function()
  for _, name in ipairs { "async", "self", "sleep", "cores", "stats" } do
    T.type(thread[name], "function", "thread." .. name)
  end
end)

spec("self is nil in the host", function()
  local values = pack(thread.self())
  equal(values.n, 1, "the number of values")
  equal(values[1], nil, "thread.self()")
end)

spec("cores is the number of processors that this process may use", function()
  local cores = T.type(thread.cores(), "integer", "cores()")
  -- nproc knows the affinity, but no quota of a container.
  local most = T.integer(T.shell("nproc"))
  T.yes(cores >= 1 and cores <= most, ("cores() is %d, from 1 to %d"):format(cores, most))
  equal(T.values(function() return thread.cores() end), cores, "cores() in a worker")
end)

spec("sleep sleeps as long as it says, with fractions and zero", function()
  local start = T.now()
  thread.sleep(60)
  thread.sleep(40.5)
  local slept = T.now() - start
  T.yes(slept >= 0.08, ("100 ms of sleep took %.3f s, no less than it says"):format(slept))
  T.yes(slept < 3, ("100 ms of sleep took %.3f s"):format(slept))
  start = T.now()
  thread.sleep(0)
  thread.sleep(0.0)
  thread.sleep(1e-9)
  T.yes(T.now() - start < 1, "sleep(0) returns at once")
  equal(select("#", thread.sleep(0)), 0, "the number of values of sleep")
end)

spec("sleep refuses what is no time", function()
  T.bad_argument(function() thread.sleep("x") end, 1, "sleep", "number of milliseconds", "string")
  T.bad_argument(function() thread.sleep("10") end, 1, "sleep", "number of milliseconds", "string")
  T.bad_argument(function() thread.sleep({}) end, 1, "sleep", "number of milliseconds", "table")
  T.bad_argument(function() thread.sleep() end, 1, "sleep", "number of milliseconds", "no value")
  T.raises_here(function() thread.sleep(-1) end, "bad argument #1 to 'sleep' (", "below zero")
  T.raises_here(function() thread.sleep(0 / 0) end, "bad argument #1 to 'sleep' (", "NaN")
end)

spec("the end of the host ends its supervisors and jobs", function()
  local output, code = T.script [[
    local thread = require "llib".thread
    local task = thread.async(function() require "llib".thread.sleep(600000) end)
    local stats = thread.stats()
    io.write(task:pid(), " ", stats.guard, " ", stats.zygote)
  ]]
  equal(code, 0, "the exit code")
  for pid in output:gmatch("%d+") do T.gone(T.integer(pid), "process of an ended host") end
  T.matches(output, "^%d+ %d+ %d+$", "the script's output")
end)

for how, last in pairs {
  ["os.exit"] = "os.exit(7)",
  ["os.exit that closes the state"] = "os.exit(7, true)",
  ["an uncaught error"] = "error 'the end'",
  ["SIGKILL"] = "os.execute('kill -KILL $PPID')",
} do
  spec("a host that ends by " .. how .. " leaves no process behind", function()
    local output = T.script([[
      local thread = require "llib".thread
      local task = thread.async(function() os.execute("sleep 600") end)
      local stats = thread.stats()
      io.write("<", task:pid(), " ", stats.guard, " ", stats.zygote, ">")
      io.flush()
    ]] .. last)
    local pids = output:match("<(.-)>")
    T.yes(pids, "the process ids in " .. output)
    local count = 0
    for pid in pids:gmatch("%d+") do
      count = count + 1
      T.gone(T.integer(pid), "process of an ended host")
    end
    equal(count, 3, "the number of processes")
  end)
end

T.finish()
