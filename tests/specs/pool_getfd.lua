-- getfd of a pool's task: a host that only polls learns of every end, also of those that need its help.

local llib = require "llib"
local thread = llib.thread
local T = dofile((arg[0]:match("^(.*/)") or "./") .. "support.lua")
local spec, equal = T.spec, T.equal

-- Polls until the job is over, as a loop does that sleeps in poll(2); how often it was woken.
local function poll(task)
  local fd = task:getfd()
  for round = 1, 100 do
    T.yes(T.readable(fd, 10000), "nothing wakes the host in round " .. round)
    local status = task:status()
    if status ~= "running" and status ~= "paused" then return round end
  end
  T.fail "the host is woken again and again"
end

spec("it is readable when the job is over, and not before", function()
  local pool = T.scoped(thread.pool { size = 1 })
  local go = thread.channel()
  local task = pool:submit(function(go) return go:pop() end, go)
  local fd = T.type(task:getfd(), "integer", "the descriptor")
  equal(task:getfd(), fd, "the descriptor once more")
  T.no(T.readable(fd, 20), "the descriptor of a running job is readable")
  go:push("value")
  equal(poll(task), 1, "times that the host was woken")
  equal(task:await(0, true), "value", "the value, without waiting")
  T.yes(T.readable(fd), "the descriptor of a task that was kept is not readable")
  equal(task:await(0), "value", "the value once more")
end)

spec("it is readable at once for a job that is over", function()
  local pool = T.scoped(thread.pool { size = 1 })
  local task = pool:submit(function() return 1 end)
  task:await(10000, true)
  T.yes(T.readable(task:getfd()), "the descriptor")
  task:clean()
  task = pool:submit(T.forever)
  local waits = pool:submit(function() return 2 end)
  local early = waits:getfd()
  waits:kill()
  T.yes(T.readable(early), "the descriptor of a job that was given up")
  T.failure(T.pack(waits:await(0)), "killed")
  task:kill()
  T.yes(T.readable(task:getfd()), "the descriptor of one that was killed")
  T.failure(T.pack(task:await(0)), "killed")
end)

spec("every end makes it readable", function()
  local pool = T.scoped(thread.pool { size = 2, timeout = 200 })
  for kind, f in pairs {
    error = function() error "no" end,
    rejected = function() rej "no" end,
    exit = function() os.exit(3) end,
    signal = function() os.execute "kill -SEGV $PPID" end,
    deadline = T.forever,
  } do
    local task = pool:submit(f)
    poll(task)
    T.failure(T.pack(task:await(0)), kind)
  end
end)

spec("a job behind a dead worker's moves on for a host that only polls", function()
  local pool = T.scoped(thread.pool { size = 1 })
  local go = thread.channel()
  local first = pool:submit(function(go) go:pop() os.exit(1) end, go)
  local second = pool:submit(function() return "second" end)
  second:getfd()
  go:push(true)
  T.yes(poll(second) <= 3, "times that the host was woken")
  equal(second:await(0), "second", "the value")
  T.failure(T.pack(first:await(0)), "exit")
end)

spec("workers are recycled for a host that only polls", function()
  local pool = T.scoped(thread.pool { size = 1, max_jobs = 1 })
  local tasks = {}
  for i = 1, 5 do
    tasks[i] = pool:submit(function(i) return i end, i)
    tasks[i]:getfd()
  end
  poll(tasks[5])
  for i = 1, 5 do equal(tasks[i]:await(10000), i, "value " .. i) end
end)

spec("jobs that find no slot move on for a host that only polls", function()
  local pool = T.scoped(thread.pool { size = 2 })
  local tasks = {}
  for i = 1, 3000 do tasks[i] = pool:submit(function(i) return i end, i) end
  poll(tasks[3000])
  equal(tasks[3000]:await(0), 3000, "the last value")
  for i = 1, 2999 do equal(tasks[i]:await(10000), i, "value " .. i) end
end)

spec("when nobody supervises any more a host that only polls learns of it", function()
  for _, supervisors in ipairs { "zygote", "both" } do
    equal(T.script([[
      local thread = require "llib".thread
      local pool = thread.pool { size = 1 }
      local tasks = { pool:submit("require 'llib'.thread.sleep(1e6)"), pool:submit("return 1"), thread.async("require 'llib'.thread.sleep(1e6)") }
      for i = 1, 3 do tasks[i]:getfd() end
      local stats = thread.stats()
      os.execute("kill -KILL " .. stats.zygote .. (... == "both" and " " .. stats.guard or ""))
      for i = 1, 3 do
        local rounds = 0
        while tasks[i]:status() == "running" do
          rounds = rounds + 1
          if rounds == 5000 then error("task " .. i .. " runs for ever") end
          thread.sleep(1)
        end
        io.write(select(2, tasks[i]:await(0)).kind, " ")
      end
    ]], supervisors), "lost lost lost ", "the ends after a kill of " .. supervisors)
  end
end)

spec("clean and collection close it", function()
  local pool = T.scoped(thread.pool { size = 1 })
  local function count() return tonumber((T.shell "ls /proc/$PPID/fd | wc -l")) end
  local before = count()
  for _ = 1, 20 do
    local task = pool:submit(T.forever)
    task:getfd()
    task:clean()
  end
  local task = pool:submit(T.forever)
  task:getfd()
  task = nil
  T.wait(function() collectgarbage() return count() == before end, "the descriptors to be closed")
end)

T.finish()
