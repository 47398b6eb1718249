-- The other methods of a task: kill, close, status, pause, resume, pid, usage, getfd, and its end.

local llib = require "llib"
local thread = llib.thread
local T = dofile((arg[0]:match("^(.*/)") or "./") .. "support.lua")
local spec, equal = T.spec, T.equal
local pack, finalizer = T.pack, T.finalizer

local function await(task, ...) return pack(task:await(...)) end

-- ---------------------------------------------------------------- kill

spec("when kill returns the process no longer exists", function()
  for _ = 1, 10 do
    local task = thread.async(T.forever)
    local pid = task:pid()
    T.yes(T.exists(pid), "the process exists before")
    task:kill()
    T.no(T.exists(pid), "the process exists after kill")
    local err = T.failure(await(task, 5000), "killed")
    equal(err.signal, "KILL", "err.signal")
    equal(err.pid, pid, "err.pid")
  end
end)

spec("kill ends code that never stops, blocks, or ignores", function()
  local jobs = {
    loop = function() while true do end end,
    pcall = function() while true do pcall(error) end end,
    matching = function() return (("a"):rep(0x100000)):find(("a-"):rep(30) .. "b") end,
    reading = function() io.popen("sleep 600"):read("*a") end,
    child = function() os.execute("sleep 600") end,
    gc = function() finalizer(function() while true do end end) for _ = 1, 3 do collectgarbage() end end,
  }
  for name, job in pairs(jobs) do
    local task = thread.async(job)
    local pid = task:pid()
    T.wait(function() return T.process(pid, "Name") ~= "llib-worker" end, "the job " .. name .. " has begun")
    task:kill()
    T.no(T.exists(pid), "the process of " .. name .. " exists")
    T.failure(await(task, 5000), "killed")
  end
end)

spec("kill ends whatever the job started, also in sessions and groups of its own", function()
  local path = T.path()
  local task = thread.async(function()
    os.execute("(setsid sh -c 'echo $$ >> " .. path .. "; exec sleep 600' &) ; (sh -c 'echo $$ >> " .. path
      .. "; trap \"\" TERM; sleep 600; true' &) ; sleep 600")
  end)
  T.wait(function() return select(2, (T.read(path) or ""):gsub("\n", "")) == 2 end, "the two processes")
  task:kill()
  T.no(T.exists(task:pid()), "the worker exists")
  for pid in T.read(path):gmatch("%d+") do
    T.no(T.exists(T.integer(pid)), "a process that the job started exists")
  end
  task:clean()
end)

spec("kill takes names with and without SIG, in any case, and numbers", function()
  for given, name in pairs { KILL = "KILL", SIGKILL = "KILL", kill = "KILL", sigkill = "KILL", [9] = "KILL",
    [9.0] = "KILL", TERM = "TERM", SIGTERM = "TERM", [15] = "TERM", HUP = "HUP", Sigusr1 = "USR1", ALRM = "ALRM" } do
    local task = T.endless()
    local pid = task:pid()
    equal(select("#", task:kill(given)) <= 1, true, "kill gives at most one value")
    local err = T.failure(await(task, 5000), "killed")
    equal(err.signal, name, "err.signal after kill(" .. tostring(given) .. ")")
    T.contains(err.message, "SIG" .. name, "the message")
    T.gone(pid)
  end
end)

spec("kill refuses signals that do not exist, naming what it got", function()
  local task = T.scoped(T.endless())
  for _, name in ipairs { "FOO", "", "SIG", "SIGSIGKILL", "KILL ", "9", "KILL\0" } do
    T.raises_here(function() task:kill(name) end, "bad argument #1 to 'kill' (", "signal")
  end
  for _, number in ipairs { 0, -1, -9, 65, 9999, T.largest, -T.largest, 0x100000009 } do
    T.raises_here(function() task:kill(number) end, "bad argument #1 to 'kill' (", ("%d"):format(number))
  end
  for _, value in ipairs { {}, true, print, io.stdout } do
    T.raises_here(function() task:kill(value) end, "bad argument #1 to 'kill' (signal name or number expected, got ")
  end
  T.raises_here(function() task:kill(9.5) end, "bad argument #1 to 'kill' (")
  T.raises_here(function() task:kill(0 / 0) end, "bad argument #1 to 'kill' (")
  T.bad_argument(function() task:kill("TERM", "5") end, 2, "kill", "number of milliseconds", "string")
  T.raises_here(function() task:kill("TERM", -1) end, "bad argument #2 to 'kill' (")
  equal(task:status(), "running", "the status after wrong arguments")
  T.yes(T.exists(task:pid()), "the process exists after wrong arguments")
end)

spec("a signal that the job survives leaves it running", function()
  local task = T.scoped(T.endless())
  task:kill("CHLD")
  task:kill("URG")
  task:kill("WINCH")
  equal(task:status(), "running", "the status")
  T.failure(await(task, 10), "timeout")
end)

-- A job whose child ignores SIGTERM is none that does so itself: Lua cannot ignore a signal. One that is stopped
-- does not see it.
spec("with grace: the signal first, SIGKILL after that time", function()
  local task = T.endless()
  local pid = task:pid()
  task:pause()
  T.wait(function() return T.state(pid) == "T" end, "the process stops")
  local start = T.now()
  task:kill("TERM", 100)
  T.yes(T.exists(pid), "a stopped process exists after SIGTERM")
  local err = T.failure(await(task, 5000), "killed")
  equal(err.signal, "KILL", "err.signal")
  T.yes(T.now() - start >= 0.08, "the grace was waited for")
  T.no(T.exists(pid), "the process exists")
end)

spec("with grace a job that obeys the signal ends by it", function()
  local task = T.endless()
  task:kill("TERM", 5000)
  local err = T.failure(await(task, 4000), "killed")
  equal(err.signal, "TERM", "err.signal")
end)

spec("kill with no grace left kills", function()
  local task = T.endless()
  task:kill("CHLD", 0)
  equal(T.failure(await(task, 5000), "killed").signal, "KILL", "err.signal")
  task = T.endless()
  task:kill(nil, 50)
  equal(T.failure(await(task, 5000), "killed").signal, "KILL", "err.signal")
end)

spec("kill of a done job leaves its result, and ends its process", function()
  local task = thread.async(function() return "result" end)
  T.wait(function() return task:status() == "done" end, "the job's end")
  local pid = task:pid()
  task:kill()
  T.no(T.exists(pid), "the process exists")
  equal(task:status(), "done", "the status")
  task:kill("TERM")
  task:kill("TERM", 10)
  equal(task:await(5000), "result", "the value")
end)

spec("kill of a failed job changes nothing", function()
  local task = thread.async(function() os.exit(3) end)
  T.wait(function() return task:status() == "failed" end, "the job's end")
  task:kill()
  task:kill("TERM", 0)
  equal(T.failure(await(task), "exit").code, 3, "err.code")
end)

spec("kill of a killed job, twice and more, is one kill", function()
  for _ = 1, 20 do
    local task = thread.async(T.forever)
    task:kill("TERM")
    task:kill()
    task:kill()
    equal(task:status(), "failed", "the status")
    T.failure(await(task), "killed")
  end
end)

spec("kill of a cleaned task raises", function()
  local task = T.endless()
  task:clean()
  T.raises_here(function() task:kill() end, "has been cleaned")
end)

spec("kill right after async hits the job, whether it has begun or not", function()
  for _ = 1, 20 do
    local task = thread.async(T.forever)
    task:kill()
    equal(task:status(), "failed", "the status")
    T.failure(await(task, 5000), "killed")
  end
  local many = {}
  for i = 1, 30 do many[i] = thread.async(T.forever) end
  for i = 30, 1, -1 do many[i]:kill() end
  for i = 1, 30 do T.failure(await(many[i], 5000), "killed") end
end)

spec("kill ends a paused job", function()
  local task = T.endless()
  task:pause()
  task:kill()
  T.no(T.exists(task:pid()), "the process exists")
  T.failure(await(task), "killed")
end)

-- ---------------------------------------------------------------- close

spec("close ends the job at its next testclose", function()
  local path = T.path()
  local task = thread.async(function(res)
    local file = io.open(path, "w")
    file:write("begun\n")
    file:close()
    for _ = 1, 0x10000000000 do res:testclose() end
    return "never"
  end)
  T.line(path)
  equal(task:status(), "running", "the status before close")
  task:close()
  local err = T.failure(await(task, 5000), "closed")
  T.type(err.message, "string", "the message")
end)

spec("a job that does not ask runs on after close", function()
  local path = T.path()
  local task = thread.async(function()
    while not io.open(path) do for _ = 1, 1000 do end end
    return "ended by itself"
  end)
  task:close()
  T.failure(await(task, 30), "timeout")
  T.write(path, "")
  equal(task:await(5000), "ended by itself", "the value")
end)

spec("testclose works with the global res, in coroutines, and pcall does not catch it", function()
  local jobs = {
    function() while true do res:testclose() end end,
    function() while true do pcall(function() res:testclose() end) end end,
    function() coroutine.wrap(function() while true do res:testclose() end end)() end,
    function() while true do thread.self():testclose() end end,
    function() while true do res.testclose() end end,
  }
  for _, job in ipairs(jobs) do
    for _, wait in ipairs { 0, 20 } do
      -- Both a job that is asked before it begins, and one that is under way.
      local task = T.scoped(thread.async(job))
      thread.sleep(wait)
      task:close()
      T.failure(await(task, 5000), "closed")
    end
  end
end)

for name, job in pairs {
  ["a loop"] = function(res, begun) res:autoclose() begun() while true do end end,
  ["protected calls"] = function(res, begun)
    res:autoclose()
    begun()
    while true do pcall(function() while true do end end) end
  end,
  ["calls of C functions"] = function(res, begun) res:autoclose() begun() while true do tostring(1) end end,
  ["a coroutine"] = function(res, begun)
    res:autoclose()
    coroutine.wrap(function() begun() while true do end end)()
  end,
  ["a coroutine that was made before"] = function(res, begun)
    local co = coroutine.wrap(function() begun() while true do end end)
    res:autoclose()
    co()
  end,
  ["the main function, when a coroutine called autoclose"] = function(res, begun)
    coroutine.wrap(function() res:autoclose() end)()
    begun()
    while true do end
  end,
  ["many short coroutines"] = function(res, begun)
    res:autoclose()
    begun()
    while true do coroutine.wrap(function() for _ = 1, 50 do end end)() end
  end,
} do
  spec("close ends a job under autoclose at any instruction: " .. name, function()
    local path = T.path()
    local task = T.scoped(thread.async(function(res)
      job(res, function()
        local file = io.open(path, "w")
        file:write("begun\n")
        file:close()
      end)
    end))
    T.line(path)
    equal(task:status(), "running", "the status before close")
    task:close()
    local packed = await(task, 2000)
    if packed[2].kind == "timeout" then T.fail("the job runs on 2 s after close") end
    T.failure(packed, "closed")
  end)
end

spec("close ends a job inside a blocking call of llib", function()
  local sleeping = T.endless()
  sleeping:close()
  T.failure(await(sleeping, 5000), "closed")
  local waiting = thread.async(function()
    local inner = thread.async(function() require "llib".thread.sleep(600000) end)
    inner:await()
  end)
  waiting:close()
  T.failure(await(waiting, 5000), "closed")
end)

spec("past its grace a job that does not end is killed, with kind closed", function()
  local task = thread.async(function() while true do end end)
  local pid = task:pid()
  local start = T.now()
  task:close(60)
  local err = T.failure(await(task, 5000), "closed")
  T.yes(T.now() - start >= 0.05, "the grace was waited for")
  equal(err.signal, "KILL", "err.signal")
  T.no(T.exists(pid), "the process exists")
  task = thread.async(function() while true do end end)
  task:close(0)
  T.failure(await(task, 5000), "closed")
end)

spec("a result that comes within the grace stays", function()
  local task = thread.async(function() require "llib" return "in time" end)
  T.wait(function() return task:status() == "done" end, "the job's end")
  task:close(0)
  equal(task:status(), "done", "the status")
  equal(task:await(5000), "in time", "the value")
end)

spec("close refuses what is no time, and raises for a cleaned task", function()
  local task = T.endless()
  T.bad_argument(function() task:close("soon") end, 1, "close", "number of milliseconds", "string")
  T.raises_here(function() task:close(-5) end, "bad argument #1 to 'close' (")
  equal(task:status(), "running", "the status after wrong arguments")
  task:clean()
  T.raises_here(function() task:close() end, "has been cleaned")
end)

-- ---------------------------------------------------------------- status

spec("status has its word in every state", function()
  local path = T.path()
  local task = thread.async(function()
    while not io.open(path) do require "llib".thread.sleep(1) end
    return nil, "a second value that is no failure"
  end)
  equal(task:status(), "running", "a job that runs")
  task:pause()
  equal(task:status(), "paused", "a job that was paused")
  task:resume()
  equal(task:status(), "running", "a job that was resumed")
  T.write(path, "")
  T.wait(function() return task:status() ~= "running" end, "the job's end")
  equal(task:status(), "done", "a job with values")
  task:await(0, true)
  equal(task:status(), "done", "a job whose values were kept")
  task:clean()
  equal(task:status(), "cleaned", "a cleaned job")
  for name, job in pairs {
    error = function() error "x" end,
    rej = function(_, rej) rej() end,
    exit = function() os.exit(0) end,
    signal = function() os.execute("kill -SEGV $PPID") end,
    encode = function() return coroutine.create(function() end) end,
  } do
    task = thread.async(job)
    T.wait(function() return task:status() ~= "running" end, "the job's end")
    equal(task:status(), "failed", "a job that ended by " .. name)
    task:clean()
    equal(task:status(), "cleaned", "a failed job that was cleaned")
  end
end)

spec("status never blocks, also for a job that is stopped or has no process yet", function()
  local start = T.now()
  local task = T.scoped(thread.async(T.forever))
  for _ = 1, 10000 do task:status() end
  task:pause()
  for _ = 1, 1000 do equal(task:status(), "paused", "the status") end
  T.yes(T.now() - start < 3, "it took no time")
end)

-- ---------------------------------------------------------------- pause and resume

spec("pause stops the process and resume continues it", function()
  local task = T.endless()
  local pid = task:pid()
  task:pause()
  T.wait(function() return T.state(pid) == "T" end, "the process stops")
  T.failure(await(task, 20), "timeout")
  task:pause()
  equal(task:status(), "paused", "the status after a second pause")
  task:resume()
  T.wait(function() return T.state(pid) ~= "T" end, "the process continues")
  equal(task:status(), "running", "the status")
  task:resume()
  task:clean()
end)

spec("a paused job does nothing, and what it does after resume counts", function()
  local path = T.path()
  local task = thread.async(function()
    local n = 0
    while not io.open(path) do n = n + 1 require "llib".thread.sleep(1) end
    return n
  end)
  local pid = task:pid()
  task:pause()
  T.wait(function() return T.state(pid) == "T" end, "the process stops")
  T.write(path, "")
  T.failure(await(task, 50), "timeout")
  task:resume()
  T.type(task:await(5000), "integer", "the value")
end)

spec("pause stops what the job started as well", function()
  local path = T.path()
  local task = T.scoped(thread.async(function() os.execute("echo $$ > " .. path .. "; exec sleep 600") end))
  local child = T.integer(T.line(path))
  task:pause()
  T.wait(function() return T.state(child) == "T" end, "the child stops")
  task:resume()
  T.wait(function() return T.state(child) ~= "T" end, "the child continues")
  task:clean()
  T.gone(child)
end)

spec("pause and resume of a done job change nothing", function()
  local task = thread.async(function() return 1 end)
  T.wait(function() return task:status() == "done" end, "the job's end")
  task:pause()
  equal(task:status(), "done", "the status after pause")
  task:resume()
  equal(task:status(), "done", "the status after resume")
  equal(task:await(5000), 1, "the value")
end)

spec("a paused job still has its timeout, and the grace of close and kill", function()
  local function paused(options)
    local task = T.endless(options)
    task:pause()
    T.wait(function() return T.state(task:pid()) == "T" end, "the process stops")
    return task
  end
  T.failure(await(paused({ timeout = 500 }), 5000), "deadline")
  local task = paused()
  task:close(20)
  T.failure(await(task, 5000), "closed")
  task = paused()
  task:kill("TERM")
  T.failure(await(task, 20), "timeout")
  equal(task:status(), "paused", "the status of a stopped job with a pending signal")
  task:resume()
  equal(T.failure(await(task, 5000), "killed").signal, "TERM", "err.signal after resume")
end)

-- ---------------------------------------------------------------- pid, id, name, usage

spec("pid is the process id of the worker, from the start to the end", function()
  local path = T.path()
  local task = thread.async(function()
    while not io.open(path) do require "llib".thread.sleep(1) end
    return res.pid
  end)
  local pid = T.type(task:pid(), "integer", "the pid")
  T.yes(T.exists(pid), "the process exists")
  T.write(path, "")
  equal(task:await(5000, true), pid, "res.pid")
  equal(task:pid(), pid, "the pid afterwards")
  task:kill()
  equal(task:pid(), pid, "the pid of a process that is gone")
  task:clean()
end)

spec("every job has a pid, also one that ended before anybody asked", function()
  local tasks = {}
  for round = 1, 5 do
    for i = 1, 30 do tasks[i] = thread.async(function() return res.pid end, round == 5 and { stdout = "capture" } or nil) end
    for i = 1, 30 do
      local pid = tasks[i]:pid()
      equal(tasks[i]:await(5000), pid, "res.pid")
    end
  end
end)

spec("jobs at the same time have processes of their own; ids are unique for ever", function()
  local pids, ids, tasks = {}, {}, {}
  for round = 1, 3 do
    for i = 1, 20 do tasks[i] = thread.async(function() return res.id end) end
    for i = 1, 20 do
      local task = tasks[i]
      local id, pid = T.type(task:id(), "integer", "the id"), task:pid()
      T.no(ids[id], "the id " .. id .. " was given before")
      ids[id] = true
      T.no(pids[pid] == round, "two jobs at once have the process " .. pid)
      pids[pid] = round
      equal(task:id(), id, "the id once more")
      equal(task:await(5000), id, "res.id")
    end
  end
end)

spec("usage gives wall and CPU time and memory, of a running and of an ended job", function()
  local task = thread.async(function()
    local start = os.clock()
    while os.clock() - start < 0.1 do end
    local big = ("x"):rep(0x2000000)
    return #big
  end)
  local running = task:usage()
  for _, field in ipairs { "wall", "user", "system" } do
    T.type(running[field], "float", "usage." .. field)
    T.yes(running[field] >= 0, "usage." .. field .. " is not below zero")
  end
  T.type(running.maxrss, "integer", "usage.maxrss")
  task:await(5000, true)
  local ended = task:usage()
  T.yes(ended.user + ended.system >= 90, "CPU time of 100 ms of work: " .. ended.user + ended.system)
  T.yes(ended.wall >= 90, "wall time of 100 ms of work: " .. ended.wall)
  T.yes(ended.maxrss >= 0x2000000, "maxrss with 32 MiB allocated: " .. ended.maxrss)
  thread.sleep(30)
  equal(task:usage().wall, ended.wall, "the wall time of a done job stands still")
  task:kill()
  local gone = task:usage()
  T.yes(gone.user + gone.system >= 90, "CPU time when the process is gone: " .. gone.user + gone.system)
  T.yes(gone.maxrss >= 0x2000000, "maxrss when the process is gone: " .. gone.maxrss)
  equal(gone.wall, ended.wall, "the wall time when the process is gone")
  task:clean()
end)

spec("usage of a job starts from zero, though workers are forked beforehand", function()
  thread.async(function() end):await()
  thread.sleep(100)
  -- The best of some: the machine may be busy.
  local wall, cpu = math.huge, math.huge
  for _ = 1, 5 do
    local task = T.scoped(thread.async(function() return 1 end))
    task:await(5000, true)
    local usage = task:usage()
    wall, cpu = math.min(wall, usage.wall), math.min(cpu, usage.user + usage.system)
  end
  T.yes(wall < 90, "the wall time of an empty job: " .. wall)
  T.yes(cpu < 90, "CPU time of an empty job: " .. cpu)
end)

-- ---------------------------------------------------------------- getfd

local readable = T.readable

spec("getfd is readable when await(0) would not time out, and not before", function()
  local path = T.path()
  local task = thread.async(function()
    while not io.open(path) do require "llib".thread.sleep(1) end
    return 1
  end)
  local fd = T.type(task:getfd(), "integer", "the descriptor")
  T.yes(fd > 2, "the descriptor is none of the standard ones")
  equal(task:getfd(), fd, "the descriptor once more")
  T.no(readable(fd, 20), "the descriptor of a running job is readable")
  T.write(path, "")
  T.yes(readable(fd, 5000), "the descriptor becomes readable")
  equal(task:await(0), 1, "the value, without waiting")
end)

for name, job in pairs {
  result = function() return 1 end,
  exit = function() os.exit(1) end,
  signal = function() os.execute("kill -SEGV $PPID") end,
  kill = T.forever,
} do
  spec("getfd becomes readable for an end by " .. name .. ", also asked for afterwards", function()
    local path = T.path()
    local task = thread.async(function()
      while not io.open(path) do require "llib".thread.sleep(1) end
      job()
    end)
    local early = task:getfd()
    T.write(path, "")
    if name == "kill" then task:kill() end
    T.yes(readable(early, 5000), "the descriptor becomes readable")
    T.no(task:status() == "running", "the job runs")
    task:clean()
    task = thread.async(job)
    if name == "kill" then task:kill() end
    task:await(5000, true)
    T.yes(readable(task:getfd(), 5000), "the descriptor of a job that has ended is readable")
    task:clean()
  end)
end

spec("clean closes the descriptor", function()
  local task = T.endless()
  local fd = task:getfd()
  local function target() return T.shell("readlink /proc/$PPID/fd/" .. fd) end
  T.contains(target(), "socket", "the descriptor")
  local before = target()
  task:clean()
  T.no(target() == before, "the descriptor is open after clean")
end)

-- ---------------------------------------------------------------- tostring, metatable

spec("tostring gives name, status and process id", function()
  local task = thread.async(T.forever, { name = "painter" })
  local pid = task:pid()
  equal(tostring(task), ("llib.task: painter (running, pid %d)"):format(pid), "a running task")
  task:pause()
  equal(tostring(task), ("llib.task: painter (paused, pid %d)"):format(pid), "a paused task")
  task:kill()
  equal(tostring(task), ("llib.task: painter (failed, pid %d)"):format(pid), "a failed task")
  task:clean()
  equal(tostring(task), "llib.task: painter (cleaned)", "a cleaned task")
  task = thread.async(function() end, { name = "x" })
  pid = task:pid()
  task:await(5000, true)
  equal(tostring(task), ("llib.task: x (done, pid %d)"):format(pid), "a done task")
  task:clean()
end)

spec("a task is a userdata whose metatable is out of reach", function()
  local task = T.scoped(thread.async(function() end))
  equal(type(task), "userdata", "its type")
  T.no(type(getmetatable(task)) == "table", "getmetatable gives the metatable")
  T.raises(function() setmetatable(task, {}) end, "bad argument #1 to 'setmetatable'")
  T.raises_here(function() task.field = 1 end, "attempt to index")
  equal(task.nothing, nil, "an unknown field")
  T.raises_here(function() task:nothing() end, "nothing")
end)

-- ---------------------------------------------------------------- the end of a handle

spec("__close is clean", function()
  if T.lua < 5.4 then T.skip("there is no __close before Lua 5.4") end
  local pid, kept
  local function look(task) pid, kept = task:pid(), task end
  T.load("local endless, look = ... local task <close> = endless() look(task)")(T.endless, look)
  equal(kept:status(), "cleaned", "the status after the block")
  T.gone(pid)
  local raising = T.load("local endless, look = ... local task <close> = endless() look(task) error 'x'")
  local ok = pcall(raising, T.endless, look)
  equal(ok, false, "the block's error")
  T.gone(pid, "after an error in the block, the process")
end)

spec("a running job whose handle was collected runs on, and is freed when it ends", function()
  collectgarbage()
  T.jobs(0)
  local begun, go, done = T.path(), T.path(), T.path()
  thread.async(function()
    io.open(begun, "w"):close()
    while not io.open(go) do require "llib".thread.sleep(1) end
    local file = io.open(done, "w")
    file:write(tostring(res.pid), "\n")
    file:close()
    return ("result that nobody wants"):rep(1000)
  end)
  collectgarbage()
  collectgarbage()
  T.wait(function() return io.open(begun) end, "the job begins after its handle is gone")
  equal(thread.stats().jobs >= 1, true, "the job is counted")
  T.write(go, "")
  local pid = T.integer(T.line(done))
  T.gone(pid, "the process of an ended job without a handle")
  T.jobs(0)
end)

spec("jobs without handles are freed however they end", function()
  collectgarbage()
  T.jobs(0)
  for _, job in ipairs {
    function() return 1 end,
    function() error "x" end,
    function(_, rej) rej(1) end,
    function() os.exit(1) end,
    function() os.execute("kill -SEGV $PPID") end,
    function() require "llib".thread.sleep(30) return ("x"):rep(0x100000) end,
  } do
    for _ = 1, 5 do thread.async(job) end
    thread.async(job, { stdout = "capture" })
  end
  thread.async(T.forever, { timeout = 50 })
  collectgarbage()
  collectgarbage()
  T.jobs(0)
end)

spec("a collected handle of an ended job is cleaned", function()
  collectgarbage()
  T.jobs(0)
  local task = thread.async(function() return ("x"):rep(0x100000) end)
  local pid = task:pid()
  T.wait(function() return task:status() == "done" end, "the job's end")
  task = nil
  collectgarbage()
  collectgarbage()
  T.gone(pid)
  T.jobs(0)
end)

spec("a paused job whose handle was collected does not stay for ever beyond the host", function()
  local output = T.script [[
    local thread = require "llib".thread
    local task = thread.async(function() require "llib".thread.sleep(600000) end)
    io.write(task:pid(), "\n")
    task:pause()
    task = nil
    collectgarbage()
  ]]
  T.gone(T.integer(output:match("^%d+")))
end)

T.finish()
