-- Odd use: wrong objects, odd places, many at once.

local llib = require "llib"
local thread = llib.thread
local T = dofile((arg[0]:match("^(.*/)") or "./") .. "support.lua")
local spec, equal = T.spec, T.equal
local pack, finalizer = T.pack, T.finalizer

local methods = { "await", "clean", "kill", "close", "status", "pause", "resume", "pid", "id", "name", "usage",
  "output", "getfd" }

spec("a method called with a dot says what it wants", function()
  local task = T.scoped(thread.async(T.forever))
  for _, method in ipairs(methods) do
    local call = T.load(("local task = ...\ntask.%s()"):format(method), "=script.lua")
    T.raises(function() call(task) end,
      ("script.lua:2: bad argument #1 to '%s' (llib.task expected, got no value)"):format(method))
  end
  equal(task:status(), "running", "the status")
end)

spec("a method of wrong objects raises", function()
  local task = T.scoped(thread.async(T.forever))
  for _, method in ipairs(methods) do
    local call = task[method]
    for name, object in pairs { table = {}, string = "task", number = 5, ["nil"] = false, ["FILE*"] = io.stdout } do
      if name == "nil" then object = nil end
      local problem = T.raises(function() call(object) end, "bad argument #1 to 'call' (llib.task expected, got ")
      T.contains(problem, name == "nil" and "got n" or "got " .. name, "the error")
    end
    T.raises(function() call(setmetatable({}, { __name = "llib.task" })) end, "bad argument #1 to 'call'")
  end
  T.raises(function() getmetatable(io.stdout).__gc(task) end, "FILE*")
end)

spec("a method on another task's is that other task's", function()
  local a = thread.async(function() return "a" end)
  local b = thread.async(function() return "b" end)
  equal(a.await(b), "b", "a.await(b)")
  equal(b.await(a), "a", "b.await(a)")
end)

spec("res in the worker used wrongly raises an ordinary error", function()
  local err = T.failure(T.job(function(res) res.nothing() end), "error")
  T.contains(err.message, "nothing", "the message")
  err = T.failure(T.job(function(_, rej) rej.x = 1 end), "error")
  T.contains(err.message, "index", "the message")
end)

spec("a worker's script may spoil res, rej, and the libraries, and its own return still counts", function()
  T.results(T.job(function() res, rej = nil, nil return 1 end), 1)
  T.results(T.job(function(res)
    for key in pairs(_G) do if key ~= "_G" then _G[key] = nil end end
    res(2)
  end), 2)
  T.results(T.job(function(res)
    res.pid, res.id, res.name, res.testclose = nil, nil, nil, nil
    package.loaded.llib, string.format, package = nil, nil, nil
    res(3)
  end), 3)
  T.results(T.job(function(res) debug.sethook(function() error "hook" end, "", 0x40000000) res(4) end), 4)
  T.results(T.job(function(res) debug.setmetatable(nil, { __index = function() return nil end }) res(nil, 5) end), nil, 5)
  T.results(T.job(function() debug.getregistry()["llib.failure"] = nil return 6 end), 6)
  T.results(T.job(function(res) setmetatable(getmetatable(res), { __gc = error }) return 7 end), 7)
  T.results(T.job(function(res) setmetatable(_G, { __index = error, __newindex = error }) return 8 end), 8)
end)

spec("everything works from coroutines", function()
  local out = {}
  local co = coroutine.wrap(function()
    local task = thread.async(function() return 1 end)
    coroutine.yield(task:await())
    local other = thread.async(function() require "llib".thread.sleep(600000) end)
    coroutine.yield(select(2, other:await(5)).kind)
    other:kill()
    coroutine.yield(select(2, other:await()).kind)
    thread.sleep(1)
    return "end"
  end)
  for i = 1, 4 do out[i] = co() end
  T.same(out, { 1, "timeout", "killed", "end" }, "what the coroutine gave")
end)

spec("tasks outlive the coroutine that made them", function()
  local task = coroutine.wrap(function() return thread.async(function() return 5 end) end)()
  collectgarbage()
  equal(task:await(5000), 5, "the value")
end)

spec("async, await and clean work in finalizers", function()
  local got
  T.finalizer(function()
    local task = thread.async(function() return "from a finalizer" end)
    got = task:await(5000)
    local other = thread.async(T.forever)
    other:clean()
  end)
  collectgarbage()
  collectgarbage()
  equal(got, "from a finalizer", "the value")
end)

spec("async in a finalizer while another async is sending", function()
  local ran = 0
  local function garbage()
    T.finalizer(function()
      ran = ran + 1
      local task = thread.async(function() return 1 end)
      task:await(5000)
    end)
  end
  local mode = T.lua >= 5.4 and collectgarbage("incremental")
  for i = 1, 30 do
    garbage()
    local data = {}
    for k = 1, 200 do data[k] = { k, tostring(k) .. i } end
    local count = T.values(function(_, _, t) return #t end, { args = { data } })
    equal(count, 200, "the number of rows")
  end
  collectgarbage()
  if mode then collectgarbage(mode) end
  T.yes(ran > 0, "finalizers ran")
end)

spec("a job may end in a finalizer of the worker", function()
  T.results(T.job(function(res)
    finalizer(function() res("gc") end)
    for _ = 1, 3 do collectgarbage() end
    return "not reached"
  end), "gc")
end)

spec("errors pass through pcall and xpcall with their text", function()
  local ok, problem = pcall(thread.async, 5)
  equal(ok, false, "pcall")
  T.contains(problem, "bad argument #1 to ", "the error")
  local handled
  ok = xpcall(function() thread.async(T.forever, { nice = 99 }) end, function(e) handled = e end)
  equal(ok, false, "xpcall")
  T.contains(handled, "option 'nice'", "the error in the handler")
  local task = thread.async(function() return 1 end)
  T.results(pack(pcall(task.await, task)), true, 1)
  T.results(pack(xpcall(function() return task:status() end, print)), true, "cleaned")
end)

spec("200 tasks at once, awaited in reverse order", function()
  local tasks = {}
  for i = 1, 200 do tasks[i] = thread.async(function() return i * i end) end
  for i = 200, 1, -1 do equal(tasks[i]:await(10000), i * i, "the value of task " .. i) end
end)

spec("200 tasks at once, cleaned without an await", function()
  local tasks = {}
  for i = 1, 200 do tasks[i] = thread.async(function() return ("x"):rep(10000) end) end
  for i = 1, 200, 2 do tasks[i]:clean() end
  for i = 2, 200, 2 do tasks[i]:kill() tasks[i]:clean() end
  T.jobs(0)
end)

spec("async during garbage collection, stopped and stepped", function()
  collectgarbage("stop")
  for i = 1, 20 do
    local t = { i, { i } }
    equal(T.values(function() return t[2][1] end), i, "the value while the collector is stopped")
    if T.asks_collector then T.yes(not collectgarbage("isrunning"), "the collector stays stopped") end
  end
  collectgarbage("restart")
  for i = 1, 50 do
    collectgarbage("step", 1)
    local t = { i }
    equal(T.values(function() collectgarbage("step") return t end)[1], i, "the value while the collector steps")
  end
  if T.asks_collector then T.yes(collectgarbage("isrunning"), "the collector runs") end
  if T.lua >= 5.4 then
    local mode = collectgarbage("generational")
    for i = 1, 20 do equal(T.values(function() return i end), i, "the value in generational mode") end
    collectgarbage(mode)
  end
end)

spec("dropped tasks do not pile up", function()
  for _ = 1, 300 do thread.async(function() end) end
  collectgarbage()
  collectgarbage()
  T.jobs(0)
end)

spec("a debug hook in the host stays, and is called", function()
  local count = 0
  debug.sethook(function() count = count + 1 end, "l")
  local value = thread.async(function() return 1 end):await(5000)
  local hook = debug.gethook()
  debug.sethook()
  equal(value, 1, "the value")
  T.yes(hook, "the hook is set")
  T.yes(count > 0, "the hook was called")
end)

spec("a hook that raises ends a blocking await", function()
  local task = T.scoped(T.endless())
  local ok, problem = pcall(function()
    local rounds = 0
    debug.sethook(function() rounds = rounds + 1 if rounds > 20 then debug.sethook() error("from a hook", 0) end end, "l")
    while true do task:await(1) end
  end)
  debug.sethook()
  equal(ok, false, "the call")
  equal(problem, "from a hook", "the error")
  equal(task:status(), "running", "the status")
end)

spec("the host's signal handling of children is untouched", function()
  local task = T.scoped(thread.async(T.forever))
  for i = 1, 5 do
    -- Before Lua 5.2: the number that wait(2) gives; a pipe tells nothing.
    if T.lua < 5.2 then
      equal(os.execute("exit " .. i), i * 256, "the status")
      io.popen("exit " .. i):close()
    else
      T.results(pack(os.execute("exit " .. i)), nil, "exit", i)
      local pipe = io.popen("exit " .. i)
      T.results(pack(pipe:close()), nil, "exit", i)
    end
  end
  equal(task:status(), "running", "the status")
end)

spec("a job has the host's environment variables, and the script's arguments if it names them", function()
  equal(T.values(function() return os.getenv("PATH") end), os.getenv("PATH"), "PATH")
  equal(T.values(function() return arg[0] end), arg[0], "the global arg")
end)

spec("many small jobs one after the other", function()
  for i = 1, 300 do
    local value = thread.async(function() return i end):await(5000)
    if value ~= i then equal(value, i, "the value of job " .. i) end
  end
end)

T.finish()
