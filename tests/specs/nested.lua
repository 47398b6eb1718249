-- Jobs that start jobs.

local llib = require "llib"
local thread = llib.thread
local T = dofile((arg[0]:match("^(.*/)") or "./") .. "support.lua")
local spec, equal = T.spec, T.equal
local pack = T.pack

spec("async works inside a worker, and inside a worker's worker", function()
  local a, b, c = T.values(function(res)
    local second, third = thread.async(function(res)
      return res.pid, thread.async(function(res) return res.pid end):await()
    end):await()
    return res.pid, second, third
  end)
  T.type(a, "integer", "the first pid")
  T.type(b, "integer", "the second pid")
  T.type(c, "integer", "the third pid")
  T.no(a == b or b == c or a == c, "two of the three are one process")
end)

spec("fib by two jobs a level", function()
  local function fib(n)
    if n < 2 then return n end
    local a = thread.async(function() return fib(n - 1) end)
    local b = thread.async(function() return fib(n - 2) end)
    return assert(a:await()) + assert(b:await())
  end
  equal(T.values(function() return fib(5) end), 5, "fib(5)")
end)

spec("a worker's jobs have the whole interface", function()
  T.results(T.job(function()
    local killed = thread.async(function() require "llib".thread.sleep(600000) end)
    local before = killed:status()
    killed:kill()
    local _, err = killed:await()
    local late = thread.async(function() return "late" end, { name = "inner", timeout = 5000, args = { 1 } })
    local name = late:name()
    local captured = thread.async(function() print "inner output" end, { stdout = "capture" })
    captured:await(5000, true)
    return before, err.kind, name, late:await(5000), captured:output()
  end), "running", "killed", "inner", "late", "inner output\n", nil)
end)

spec("upvalues and globals travel through two levels", function()
  local up = { "upvalue" }
  g_nested = { "global" }
  local packed = T.job(function()
    return thread.async(function() return up[1], g_nested[1] end):await()
  end)
  g_nested = nil
  T.results(packed, "upvalue", "global")
end)

spec("the nested job's res and self are its own", function()
  T.results(T.job(function(outer)
    local inner_pid, same, id_is_number = thread.async(function(res)
      return res.pid, thread.self() == res, res.id % 1 == 0
    end, { name = "inner" }):await()
    return inner_pid ~= outer.pid, same, id_is_number, thread.self() == outer
  end), true, true, true, true)
end)

-- A job whose nested job runs for ever; gives the task, and the nested job's process and supervisors.
local function owner()
  local path = T.path()
  local task = thread.async(function()
    local inner = thread.async(function() os.execute("sleep 600") end)
    local stats = thread.stats()
    local pid = inner:pid()
    local child
    while not child do
      local file = io.open(("/proc/%d/task/%d/children"):format(pid, pid))
      child = file:read("*n")
      file:close()
    end
    local file = io.open(path, "w")
    file:write(pid, " ", child, " ", stats.guard, " ", stats.zygote, "\n")
    file:close()
    inner:await()
  end)
  local pids = {}
  for pid in T.line(path):gmatch("%d+") do pids[#pids + 1] = T.integer(pid) end
  equal(#pids, 4, "the number of processes of the nested job")
  for _, pid in ipairs(pids) do T.yes(T.exists(pid), "process " .. pid .. " exists") end
  return task, pids
end

spec("kill of the owner ends its nested jobs before it returns", function()
  local task, pids = owner()
  task:kill()
  T.no(T.exists(task:pid()), "the owner exists")
  for _, pid in ipairs(pids) do T.no(T.exists(pid), "process " .. pid .. " of the nested job exists") end
  T.failure(pack(task:await(5000)), "killed")
end)

spec("clean of the owner ends its nested jobs", function()
  local task, pids = owner()
  task:clean()
  for _, pid in ipairs(pids) do T.gone(pid, "process of the nested job") end
end)

spec("a crash of the owner ends its nested jobs", function()
  local task, pids = owner()
  os.execute("kill -SEGV " .. task:pid())
  T.failure(pack(task:await(5000)), "signal")
  for _, pid in ipairs(pids) do T.no(T.exists(pid), "process " .. pid .. " of the nested job exists") end
end)

spec("the timeout of the owner ends its nested jobs", function()
  local path = T.path()
  local task = thread.async(function()
    local inner = thread.async(function() require "llib".thread.sleep(600000) end)
    local file = io.open(path, "w")
    file:write(inner:pid(), "\n")
    file:close()
    inner:await()
  end, { timeout = 1000 })
  local pid = T.integer(T.line(path))
  T.failure(pack(task:await(5000)), "deadline")
  T.no(T.exists(pid), "the nested job exists")
end)

spec("nested jobs that the owner leaves running end with it", function()
  local pid = T.values(function()
    kept = thread.async(function() require "llib".thread.sleep(600000) end)
    return kept:pid()
  end)
  T.gone(pid, "the nested job of a cleaned owner")
end)

spec("a nested failure is the owner's to handle", function()
  local kind, code = T.values(function()
    local _, err = thread.async(function() os.exit(9) end):await()
    return err.kind, err.code
  end)
  equal(kind, "exit", "the kind")
  equal(code, 9, "the code")
  T.results(T.job(function()
    local inner = thread.async(function() os.execute("kill -SEGV $PPID") end)
    local value, err = inner:await()
    return value, err.signal, "alive"
  end), nil, "SEGV", "alive")
end)

spec("close reaches an owner that waits for its nested job", function()
  local task, pids = owner()
  task:close()
  T.failure(pack(task:await(5000)), "closed")
  for _, pid in ipairs(pids) do T.gone(pid, "process of the nested job") end
end)

T.finish()
