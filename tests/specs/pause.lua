-- Locks and channels seen from outside: what a job that is stopped leaves to others, and what calls that do not wait say.

local llib = require "llib"
local thread = llib.thread
local T = dofile((arg[0]:match("^(.*/)") or "./") .. "support.lua")
local spec, equal = T.spec, T.equal
local pack = T.pack

local function await(task, ...) return pack(task:await(...)) end

-- Jobs that are at it with a shared object all the time, and what anybody else wants of that.
local busy = {
  ["a buffer that it changes"] = function()
    local b = thread.buffer({ n = 0 })
    return function() while true do b:mod(function(v) v.n = v.n + 1 return v end) end end, function() return b:get().n end
  end,
  ["a buffer that it sets and reads"] = function()
    local b = thread.buffer(("x"):rep(100000))
    return function() while true do b:set(b:get()) end end, function() return #b end
  end,
  ["a channel"] = function()
    local c = thread.channel()
    return function() while true do c:push(("x"):rep(10000)) c:pop() end end, function() return c:push(1) and c:pop() end
  end,
  ["a mutex"] = function()
    local m = thread.mutex()
    return function() while true do m:with(tostring, 1) end end, function() return m:with(function() return true end) end
  end,
  ["a lock by number"] = function()
    return function() while true do thread.lock(71) thread.unlock(71) end end, function()
      thread.lock(71)
      thread.unlock(71)
      return true
    end
  end,
  ["a method of a buffer"] = function()
    local b = thread.buffer({ n = 0, add = function(self) self.n = self.n + 1 end })
    return function() while true do b:add() end end, function() return b.n end
  end,
}

for name, make in pairs(busy) do
  spec("pause stops no job with a lock in its hands: " .. name, function()
    local job, use = make()
    local pool = T.scoped(thread.pool { size = 1 })
    for _, task in ipairs { T.scoped(thread.async(job)), pool:submit(job) } do
      T.wait(function() return task:pid() end, "the job to run")
      for _ = 1, 15 do
        equal(task:pause(), true)
        equal(task:status(), "paused")
        T.yes(use(), "what another process does with it meanwhile")
        task:resume()
      end
      task:kill()
      T.failure(await(task, 5000), "killed")
    end
  end)
end

spec("pause waits for a lock's end, whether a short one or of a whole call", function()
  local ready, b = thread.channel(), thread.buffer("before")
  local task = T.scoped(thread.async(function()
    b:mod(function() ready:push(true) thread.sleep(60) return "after" end)
    thread.sleep(600000)
  end))
  equal(ready:pop(5000), true)
  equal(task:pause(), true)
  equal(b:get(), "after")
  equal(task:status(), "paused")
end)

spec("a job that keeps a lock is not paused, which pause says, and is ended by kill and close", function()
  local ready = thread.channel()
  local function keeps() thread.lock(72) ready:push(true) thread.sleep(600000) end
  local pool = T.scoped(thread.pool { size = 1 })
  for _, start in ipairs { function() return thread.async(keeps) end, function() return pool:submit(keeps) end } do
    for _, way in ipairs { "pause", "kill" } do
      local task = start()
      T.wait(function() return task:pid() end, "the job to run")
      equal(ready:pop(5000), true)
      local began = T.now()
      local err = T.failure(pack(task[way](task, way == "kill" and "STOP" or nil)), "busy")
      T.contains(err.message, "has held a lock")
      T.yes(T.now() - began < 4, "it does not take long")
      equal(task:status(), "running")
      -- It has just been let go on from its last stop.
      T.wait(function() return T.state(task:pid()) == "S" end, "the process to sleep on")
      if way == "kill" then task:kill() T.failure(await(task, 5000), "killed") end
      if way == "pause" then task:close() T.failure(await(task, 5000), "closed") end
    end
  end
end)

spec("a job that waits for somebody's lock can be paused, and has it when it goes on", function()
  local ready = thread.channel()
  thread.lock(73)
  local task = T.scoped(thread.async(function() ready:push(true) thread.lock(73) thread.unlock(73) return "had it" end))
  equal(ready:pop(5000), true)
  thread.sleep(20)
  equal(task:pause(), true)
  thread.unlock(73)
  -- Others are not held up by its place in the queue.
  equal(T.values(function() local got = thread.lock(73, 5000) thread.unlock(73) return got end), true)
  task:resume()
  equal(task:await(5000), "had it")
end)

spec("kill and close work on a paused job", function()
  local function paused(job)
    local task = thread.async(job)
    T.wait(function() return task:pid() end, "the job to run")
    equal(task:pause(), true)
    return task
  end
  local function polls() while true do thread.self():testclose() end end
  local task = paused(polls)
  task:kill()
  T.failure(await(task, 5000), "killed")
  task = paused(polls)
  task:close()
  T.failure(await(task, 5000), "closed")
  task = paused(function() while true do end end)
  task:close(20)
  T.failure(await(task, 5000), "closed")
  task = thread.async(function() while true do end end)
  T.wait(function() return task:pid() end, "the job to run")
  task:kill("STOP", 20)
  T.failure(await(task, 5000), "killed")
  local pool = T.scoped(thread.pool { size = 1 })
  for _, way in ipairs { "kill", "close" } do
    task = pool:submit(polls)
    T.wait(function() return task:pid() end, "the job to run")
    equal(task:pause(), true)
    task[way](task)
    T.failure(await(task, 5000), way == "kill" and "killed" or "closed")
  end
end)

spec("a job of a pool that no worker has is not paused, which pause says", function()
  local pool = T.scoped(thread.pool { size = 1 })
  local first = pool:submit(function() while true do end end)
  T.wait(function() return first:pid() end, "the first job to run")
  local queued = pool:submit(function() return 1 end)
  T.contains(T.failure(pack(queued:pause()), "busy").message, "no worker has the job")
  equal(queued:status(), "running")
end)

spec("status tells of a stop from outside, and of its end", function()
  local pool = T.scoped(thread.pool { size = 1 })
  for _, task in ipairs { T.scoped(thread.async(T.forever)), pool:submit(T.forever) } do
    local pid = T.wait(function() return task:pid() end, "the job to run")
    os.execute("kill -STOP " .. pid)
    T.wait(function() return task:status() == "paused" end, "the status says so")
    T.contains(tostring(task), "(paused, pid " .. pid .. ")")
    os.execute("kill -CONT " .. pid)
    T.wait(function() return task:status() == "running" end, "the status says that it goes on")
    equal(task:pause(), true)
    os.execute("kill -CONT " .. pid)
    T.wait(function() return task:status() == "running" end, "somebody else let it go on")
    os.execute("kill -STOP " .. pid)
    T.wait(function() return task:status() == "paused" end, "the status says so")
    task:resume()
    equal(task:status(), "running")
    task:kill()
  end
end)

spec("a job that stops itself is paused", function()
  local task = T.scoped(thread.async(function() os.execute("kill -STOP $PPID") return "went on" end))
  T.wait(function() return task:status() == "paused" end, "the status says so")
  task:resume()
  equal(task:await(5000), "went on")
end)

-- ---------------------------------------------------------------- calls that do not wait

spec("push and pop without time are never refused though there is room, or an item", function()
  local c, out = thread.channel(), thread.channel()
  local tasks = {}
  for i = 1, 3 do
    tasks[i] = thread.async(function()
      local refused = 0
      for n = 1, 2000 do
        local ok, err = c:push(n, 0)
        if not ok and err.kind ~= "busy" then refused = refused + 1 end
      end
      return refused
    end)
  end
  local popper = T.scoped(thread.async(function() while true do c:pop() end end))
  for _, task in ipairs(tasks) do equal(task:await(60000), 0, "pushes that were refused") end
  popper:kill()
  for i = 1, 6000 do out:push(i) end
  for i = 1, 3 do
    tasks[i] = thread.async(function()
      local refused = 0
      for _ = 1, 1500 do
        local value, err = out:pop(0)
        if value == nil and err.kind ~= "busy" then refused = refused + 1 end
      end
      return refused
    end)
  end
  for _, task in ipairs(tasks) do equal(task:await(60000), 0, "pops that were refused") end
end)

spec("push and pop without time say that there is no room, or no item", function()
  local c = thread.channel(1)
  for _, time in ipairs { 0, 0.2, 5 } do
    T.contains(T.failure(pack(c:pop(time)), "timeout").message, "no item")
    c:push(1)
    T.contains(T.failure(pack(c:push(2, time)), "timeout").message, "no room")
    equal(c:pop(time), 1)
  end
end)

spec("a channel in whose midst a process is stopped is busy, soon, and goes on with that one", function()
  local c = thread.channel()
  -- Most of its time it copies in or out, with the channel's lock.
  local task = T.scoped(thread.async(function()
    local item = ("x"):rep(4 * 1024 * 1024)
    while true do c:push(item) c:pop() end
  end))
  local pid = T.wait(function() return task:pid() end, "the job to run")
  local function met(call)
    for _ = 1, 2000 do
      os.execute("kill -STOP " .. pid)
      T.wait(function() return T.state(pid) == "T" end, "the process stops")
      local began = T.now()
      local value, err = call()
      T.yes(T.now() - began < 1, "it does not wait")
      if value == nil and err.kind == "busy" then
        T.contains(err.message, "in the middle of a push or a pop")
        return
      end
      -- The job waits for this item otherwise, and holds no lock meanwhile.
      if value ~= nil then c:push(value) end
      os.execute("kill -CONT " .. pid)
    end
    T.fail("the job was never met with the lock")
  end
  met(function() return c:pop(0) end)
  T.failure(pack(c:push(1, 0)), "busy")
  T.failure(pack(c:push(1, 3)), "busy")
  os.execute("kill -CONT " .. pid)
  equal(c:push("small", 5000), true)
end)

spec("trylock and lock without time take a lock that nobody has, also where others queue for it", function()
  local m = thread.mutex()
  local tasks, go = {}, thread.channel()
  for i = 1, 3 do
    tasks[i] = thread.async(function()
      go:pop()
      for _ = 1, 300 do m:lock() m:unlock() thread.lock(74) thread.unlock(74) end
      return "done"
    end)
  end
  for _ = 1, 3 do go:push(true) end
  for _, task in ipairs(tasks) do equal(task:await(60000), "done") end
  equal(m:trylock(), true)
  equal(T.values(function() return m:trylock() end), false)
  equal(T.values(function() return (thread.lock(74, 0)) end), true)
  for id = 100000, 100200 do T.results(pack(thread.lock(id, 0)), true) end
  for id = 100000, 100200 do thread.unlock(id) end
end)

spec("locks by number that nobody has had before are taken without time, by many at once", function()
  local tasks = {}
  for i = 1, 4 do
    tasks[i] = thread.async(function()
      local refused = 0
      for n = 1, 500 do
        local ok, err = thread.lock(i * 1000000 + n, 0)
        if not ok and err.kind ~= "busy" then refused = refused + 1 elseif ok then thread.unlock(i * 1000000 + n) end
      end
      return refused
    end)
  end
  for _, task in ipairs(tasks) do equal(task:await(60000), 0, "locks that were refused") end
end)

T.finish()
