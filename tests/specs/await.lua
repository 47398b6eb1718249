-- task:await: every line of its table, and clean.

local llib = require "llib"
local thread = llib.thread
local T = dofile((arg[0]:match("^(.*/)") or "./") .. "support.lua")
local spec, equal = T.spec, T.equal
local pack, unpack = T.pack, T.unpack

-- A job that ends when `path` exists, with the values 1, nil.
local function gated(path, options)
  return thread.async(function()
    while not io.open(path) do require "llib".thread.sleep(1) end
    return 1, nil
  end, options)
end

local function await(task, ...) return pack(task:await(...)) end

-- ---------------------------------------------------------------- a result comes in time

spec("await() waits, gives the values and cleans", function()
  local task = thread.async(function() require "llib".thread.sleep(30) return "late", nil end)
  T.results(await(task), "late", nil)
  equal(task:status(), "cleaned", "the status")
end)

spec("await(ms) gives the values and cleans", function()
  local task = thread.async(function() return 1 end)
  T.results(await(task, 5000), 1)
  equal(task:status(), "cleaned", "the status")
end)

spec("await(ms, true) gives the values and preserves; a later await returns them again", function()
  local task = thread.async(function() return 1, { 2 }, nil end)
  local first = await(task, 5000, true)
  equal(first.n, 3, "the number of values")
  equal(task:status(), "done", "the status")
  local second = await(task, 5000, true)
  T.same(second, { 1, { 2 }, nil, n = 3 }, "the values again")
  T.no(first[2] == second[2], "the two tables are one")
  first[2][1] = "changed"
  T.same(await(task, 0, true), { 1, { 2 }, nil, n = 3 }, "the values after one copy was changed")
  T.same(await(task, nil, true), { 1, { 2 }, nil, n = 3 }, "the values with nil as time")
  T.same(await(task), { 1, { 2 }, nil, n = 3 }, "the values for the last time")
  equal(task:status(), "cleaned", "the status after a plain await")
end)

spec("await(ms, false) gives the values and cleans", function()
  local task = thread.async(function() return 1 end)
  T.results(await(task, 5000, false), 1)
  equal(task:status(), "cleaned", "the status")
end)

spec("await(nil, keep) waits for ever, and keeps or cleans", function()
  local task = thread.async(function() require "llib".thread.sleep(20) return 1 end)
  T.results(await(task, nil, true), 1)
  equal(task:status(), "done", "the status with keep")
  T.results(await(task, nil, false), 1)
  equal(task:status(), "cleaned", "the status without keep")
end)

spec("await(ms, nil) is await(ms)", function()
  local path = T.path()
  local task = gated(path)
  T.failure(await(task, 5, nil), "timeout")
  equal(task:status(), "running", "the status after a timeout")
  T.write(path, "")
  T.results(await(task, 5000, nil), 1, nil)
  equal(task:status(), "cleaned", "the status")
end)

-- ---------------------------------------------------------------- it does not

spec("await(ms) that times out gives nil and a failure, and preserves the task", function()
  local path = T.path()
  local task = gated(path)
  local start = T.now()
  local err = T.failure(await(task, 50), "timeout")
  T.yes(T.now() - start >= 0.04, "it waited as long as it says")
  T.contains(err.message, "50 ms", "the message")
  equal(task:status(), "running", "the status")
  T.yes(T.exists(task:pid()), "the process exists")
  T.failure(await(task, 1.5), "timeout")
  T.write(path, "")
  T.results(await(task, 5000), 1, nil)
end)

spec("await(ms, true) that times out preserves the task", function()
  local path = T.path()
  local task = gated(path)
  T.failure(await(task, 5, true), "timeout")
  T.failure(await(task, 0, true), "timeout")
  equal(task:status(), "running", "the status")
  T.write(path, "")
  T.results(await(task, 5000, true), 1, nil)
  equal(task:status(), "done", "the status")
  task:clean()
end)

spec("await(ms, false) that times out kills and cleans", function()
  local task = T.endless()
  local pid = task:pid()
  T.failure(await(task, 20, false), "timeout")
  equal(task:status(), "cleaned", "the status")
  T.gone(pid)
  T.raises_here(function() task:await() end, "has been cleaned")
end)

spec("await(0, false) kills at once what has no result", function()
  local task = T.endless()
  local pid = task:pid()
  T.failure(await(task, 0, false), "timeout")
  T.gone(pid)
end)

spec("await(0) polls", function()
  local path = T.path()
  local task = gated(path)
  local start = T.now()
  for _ = 1, 100 do T.failure(await(task, 0), "timeout") end
  T.yes(T.now() - start < 2, "a hundred polls take no time")
  T.write(path, "")
  local packed
  T.wait(function()
    packed = await(task, 0)
    return packed[1] ~= nil
  end, "the result by polling")
  T.results(packed, 1, nil)
  equal(task:status(), "cleaned", "the status")
end)

spec("await(0) gives a result that is there", function()
  local task = thread.async(function() return 1 end)
  T.wait(function() return task:status() == "done" end, "the job's end")
  T.results(await(task, 0), 1)
end)

spec("a failure settles as values do: cleaned, or kept and given again", function()
  local task = thread.async(function() error("no", 0) end)
  equal(T.failure(await(task, 5000, true), "error").message, "no", "the message")
  equal(task:status(), "failed", "the status")
  equal(T.failure(await(task, 0, true), "error").message, "no", "the message again")
  T.failure(await(task, 5000), "error")
  equal(task:status(), "cleaned", "the status")
  local killed = T.endless()
  killed:kill()
  T.failure(await(killed, nil, true), "killed")
  T.failure(await(killed, nil, true), "killed")
  T.failure(await(killed, 0), "killed")
  equal(killed:status(), "cleaned", "the status")
end)

-- ---------------------------------------------------------------- values

spec("nil results are counted exactly", function()
  T.results(T.job(function() end))
  T.results(T.job(function() return nil end), nil)
  T.results(T.job(function() return nil, nil, nil, nil end), nil, nil, nil, nil)
  T.results(T.job(function() return false end), false)
end)

spec("many results come in order", function()
  for _, count in ipairs(T.lua >= 5.2 and { 200, 255, 256, 5000, 100000 } or { 200, 255, 256, 3000 }) do
    local packed = T.job(function(_, _, n)
      local t = {}
      for i = 1, n do t[i] = i end
      return unpack(t, 1, n)
    end, { args = { count } })
    equal(packed.n, count, "the number of values" .. (type(packed[2]) == "table" and tostring(packed[2]) or ""))
    for i = 1, count do
      if packed[i] ~= i then T.equal(packed[i], i, "value " .. i) end
    end
  end
end)

spec("values already returned stay usable after clean", function()
  local task = thread.async(function()
    local n = 0
    return { deep = { 1, 2, 3 } }, ("x"):rep(0x100000), function() n = n + 1 return n end
  end)
  local t, s, f = task:await(5000, true)
  task:clean()
  collectgarbage()
  for _ = 1, 20 do thread.async(function() return ("y"):rep(0x100000) end):await() end
  T.same(t, { deep = { 1, 2, 3 } }, "the table")
  T.yes(s == ("x"):rep(0x100000), "the string is what it was")
  equal(f(), 1, "the function's first call")
  equal(f(), 2, "the function's second call")
end)

-- ---------------------------------------------------------------- clean

local methods = { "await", "kill", "close", "pause", "resume", "pid", "usage", "output", "getfd" }

spec("await after clean raises", function()
  local task = thread.async(function() return 1 end)
  task:clean()
  local problem = T.raises_here(function() task:await() end, task:name(), "has been cleaned")
  T.raises_here(function() task:await(0) end, "has been cleaned")
  T.raises_here(function() task:await(5, true) end, "has been cleaned")
  T.raises_here(function() task:await(5, false) end, "has been cleaned")
  T.matches(problem, "task '.*' has been cleaned", "the error")
end)

spec("a second await raises", function()
  local task = thread.async(function() return 1 end)
  task:await()
  T.raises_here(function() task:await() end, "has been cleaned")
end)

spec("methods of a cleaned task raise, or say that it is cleaned", function()
  local task = thread.async(function() return 1 end)
  local id, name = task:id(), task:name()
  task:clean()
  for _, method in ipairs(methods) do
    T.raises_here(function() task[method](task) end, "has been cleaned")
  end
  equal(task:status(), "cleaned", "the status")
  equal(task:id(), id, "the id")
  equal(task:name(), name, "the name")
  equal(tostring(task), "llib.task: " .. name .. " (cleaned)", "tostring")
end)

spec("clean is idempotent and returns nothing", function()
  local task = T.endless()
  local pid = task:pid()
  equal(select("#", task:clean()), 0, "the number of values")
  task:clean()
  task:clean()
  T.gone(pid)
  equal(task:status(), "cleaned", "the status")
end)

spec("clean kills what still runs", function()
  local busy = thread.async(function() while true do end end)
  local pid = busy:pid()
  busy:clean()
  T.gone(pid, "the process of a busy job")
  local child = thread.async(function() os.execute("sleep 600") end)
  pid = child:pid()
  local sleeper = T.wait(function()
    return T.read(("/proc/%d/task/%d/children"):format(pid, pid)):match("%d+")
  end, "the job's child")
  child:clean()
  T.gone(pid, "the process of a job with a child")
  T.gone(T.integer(sleeper), "what the job started")
end)

spec("clean frees the job's slot", function()
  collectgarbage()
  T.jobs(0)
  local tasks = {}
  for i = 1, 10 do tasks[i] = thread.async(T.forever) end
  T.jobs(10)
  for i = 1, 10 do tasks[i]:clean() end
  T.jobs(0)
end)

-- ---------------------------------------------------------------- arguments

spec("await refuses what is no time and no flag", function()
  local task = T.scoped(T.endless())
  T.bad_argument(function() task:await("5") end, 1, "await", "number of milliseconds", "string")
  T.bad_argument(function() task:await({}) end, 1, "await", "number of milliseconds", "table")
  T.bad_argument(function() task:await(true) end, 1, "await", "number of milliseconds", "boolean")
  T.raises_here(function() task:await(-1) end, "bad argument #1 to 'await' (", "below zero")
  T.raises_here(function() task:await(0 / 0) end, "bad argument #1 to 'await' (", "NaN")
  T.bad_argument(function() task:await(5, 1) end, 2, "await", "boolean", "number")
  T.bad_argument(function() task:await(5, "true") end, 2, "await", "boolean", "string")
  equal(task:status(), "running", "the status after wrong arguments")
end)

spec("await takes floats, integers and infinity", function()
  local function ready() return thread.async(function() return 1 end) end
  T.results(await(ready(), 5000.5), 1)
  T.results(await(ready(), math.huge), 1)
  T.results(await(ready(), math.maxinteger or 2 ^ 53), 1)
  T.results(await(ready(), 1e300), 1)
end)

-- ---------------------------------------------------------------- settling

spec("await settles when the supervisor is killed, with kind lost, and the next job runs", function()
  local output, code = T.script [[
    local thread = require "llib".thread
    local task = thread.async(function() require "llib".thread.sleep(600000) end)
    local other = thread.async(function() return "before" end)
    local pid = task:pid()
    assert(other:await(5000, true) == "before")
    local killed = thread.stats().zygote
    os.execute("kill -KILL " .. killed)
    local value, err = task:await(5000)
    assert(value == nil and err.kind == "lost", tostring(err))
    io.write("next ", thread.async(function() return "works" end):await(5000), "\n")
    assert(thread.stats().zygote ~= killed)
    io.write("worker ", pid, "\n")
  ]]
  T.contains(output, "next works\n", "the script's output")
  equal(code, 0, "the exit code")
  T.gone(T.integer(output:match("worker (%d+)")), "a worker without supervisor")
end)

spec("await settles when the guard is killed", function()
  local output, code = T.script [[
    local thread = require "llib".thread
    local task = thread.async(function() require "llib".thread.sleep(600000) end)
    task:pid()
    os.execute("kill -KILL " .. thread.stats().guard)
    local value, err = task:await(5000)
    assert(value == nil and err.kind == "lost", tostring(err))
    io.write(thread.async(function() return "works" end):await(5000))
  ]]
  T.contains(output, "works", "the script's output")
  equal(code, 0, "the exit code")
end)

spec("SIGINT ends a blocking await at once, as it ends any Lua code", function()
  local output, code = T.script [[
    local thread = require "llib".thread
    local parent = tonumber(io.open("/proc/self/stat"):read("*a"):match("^(%d+)"))
    local task = thread.async(function()
      require "llib".thread.sleep(50)
      os.execute("kill -INT " .. parent)
      require "llib".thread.sleep(600000)
    end)
    local ok, problem = pcall(task.await, task, 5000)
    io.write(tostring(ok), " ", tostring(problem), " ", task:status())
  ]]
  T.contains(output, "false", "the end of await")
  T.contains(output, "interrupted!", "the error")
  T.contains(output, " running", "the task's status")
  equal(code, 0, "the exit code")
end)

for what, call in pairs {
  ["a sleep"] = "thread.sleep(5000)",
  ["an await in a coroutine"] = "coroutine.wrap(function() endless:await(5000) return 'not interrupted' end)()",
  ["an await inside pcall"] = "assert(pcall(endless.await, endless, 5000))",
} do
  spec("SIGINT ends " .. what, function()
    local output = T.script(([[
      local thread = require "llib".thread
      local parent = tonumber(io.open("/proc/self/stat"):read("*a"):match("^(%%d+)"))
      local endless = thread.async(function() require "llib".thread.sleep(600000) end)
      local task = thread.async(function()
        require "llib".thread.sleep(50)
        os.execute("kill -INT " .. parent)
      end)
      print(pcall(function() %s end))
    ]]):format(call))
    T.matches(output, "^false\t[^\n]*interrupted!", "the script's output")
  end)
end

T.finish()
