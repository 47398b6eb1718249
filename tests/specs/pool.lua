-- Pools: jobs one after the other in reused workers, each as if its worker were new.

local llib = require "llib"
local thread = llib.thread
local T = dofile((arg[0]:match("^(.*/)") or "./") .. "support.lua")
local spec, equal = T.spec, T.equal

local pack = T.pack

local function await(task, ...) return pack(task:await(...)) end

-- A job that says which process it runs in.
local function whoami() return thread.self().pid end

-- ---------------------------------------------------------------- submit and await

spec("a job gets the arguments of submit and gives back what it returns", function()
  local pool = T.scoped(thread.pool { size = 2 })
  T.same(await(pool:submit(function(...) return select("#", ...), ... end, 1, nil, "x", 2.5, nil)), { 5, 1, nil, "x", 2.5, nil, n = 6 })
  T.same(await(pool:submit(function() end)), { n = 0 })
  T.same(await(pool:submit("return ...", 7, 8)), { 7, 8, n = 2 })
  local shared = { 1, 2 }
  local a, b = pool:submit(function(t, u) t[3] = 3 return t, u end, shared, shared):await()
  equal(a, b, "the shared table")
  equal(#a, 3, "its length")
  equal(#shared, 2, "the length of the one here")
end)

spec("functions come with their upvalues and globals, as they are at each submit", function()
  local pool = T.scoped(thread.pool { size = 2 })
  local count = 0
  local function counted() count = count + 1 return count end
  for i = 1, 5 do
    count = i * 10
    equal(pool:submit(counted):await(), i * 10 + 1, "the count of round " .. i)
  end
  POOL_GLOBAL = nil
  local function ask() return POOL_GLOBAL and POOL_GLOBAL() end
  for i = 1, 5 do
    equal(pool:submit(ask):await(), nil, "without the global")
  end
  for i = 1, 5 do
    POOL_GLOBAL = function() return i end
    equal(pool:submit(ask):await(), i, "with the global of round " .. i)
  end
  POOL_GLOBAL = nil
  equal(pool:submit(ask):await(), nil, "without the global again")
end)

spec("a function that is an argument too stays one", function()
  local pool = T.scoped(thread.pool { size = 1 })
  local function f(g, ...) return rawequal(g, ...) end
  for _ = 1, 3 do equal(pool:submit(f, f, f):await(), true, "the two arguments") end
end)

spec("many more jobs than slots, awaited in any order", function()
  local pool = T.scoped(thread.pool { size = 3 })
  local tasks = {}
  for i = 1, 5000 do tasks[i] = pool:submit(function(n, text) return n * 2, #text end, i, ("x"):rep(i % 700)) end
  for i = 5000, 1, -1 do
    local double, length = tasks[i]:await()
    if double ~= i * 2 or length ~= i % 700 then error(("job %d gave %s, %s"):format(i, double, length)) end
  end
end)

spec("values of any size", function()
  local pool = T.scoped(thread.pool { size = 2 })
  for _, size in ipairs { 0, 900, 1000, 70000, 2 ^ 20, 2 ^ 24 } do
    local text = ("ab"):rep(math.floor(size / 2))
    local back, length = pool:submit(function(s) return s, #s end, text):await()
    equal(length, #text, "the length there")
    T.yes(back == text, "the text of " .. size .. " comes back")
  end
  for _ = 1, 200 do equal(#pool:submit(function() return ("x"):rep(5000) end):await(), 5000, "a longer result") end
end)

spec("await has all its forms", function()
  local pool = T.scoped(thread.pool { size = 1 })
  local task = pool:submit(function() return 1, 2 end)
  T.same(await(task, nil, true), { 1, 2, n = 2 })
  T.same(await(task, 100, true), { 1, 2, n = 2 })
  equal(task:status(), "done", "the status")
  T.same(await(task), { 1, 2, n = 2 })
  equal(task:status(), "cleaned", "the status afterwards")
  T.raises_here(function() task:await() end, "has been cleaned")
  local slow = pool:submit(T.forever)
  T.failure(await(slow, 0), "timeout")
  T.wait(function() return slow:pid() end, "the job to run")
  T.failure(await(slow, 5), "timeout")
  equal(slow:status(), "running", "the status after a timeout")
  local pid = slow:pid()
  T.failure(await(slow, 5, false), "timeout")
  T.gone(pid)
  equal(slow:status(), "cleaned", "the status after the last timeout")
end)

spec("failures are those of async", function()
  local pool = T.scoped(thread.pool { size = 2 })
  local err = T.failure(await(pool:submit(function() error("boom") end)), "error")
  T.contains(err.message, "pool.lua")
  T.contains(err.traceback, "pool.lua")
  err = T.failure(await(pool:submit(function() error({ code = 7 }) end)), "error")
  equal(err.value.code, 7, "err.value.code")
  T.yes(err.usage.wall >= 0, "the wall time")
  err = T.failure(await(pool:submit(function() rej("no", 5) end)), "rejected")
  equal(err.values[2], 5, "err.values[2]")
  err = T.failure(await(pool:submit(function() os.exit(3) end)), "exit")
  equal(err.code, 3, "err.code")
  T.failure(await(pool:submit(function() return coroutine.create(function() end) end)), "encode")
  equal(await(pool:submit(function() pcall(function() res("early") end) return "late" end))[1], "early", "what res sends")
  equal(pool:submit(function() return "fine" end):await(), "fine", "the job after all that")
end)

spec("a job that dies takes no other with it, and its worker is replaced", function()
  local pool = T.scoped(thread.pool { size = 2 })
  local tasks = {}
  for i = 1, 60 do
    tasks[i] = pool:submit(function(n) if n % 10 == 0 then os.exit(n) end return n end, i)
  end
  for i = 1, 60 do
    if i % 10 == 0 then
      equal(T.failure(await(tasks[i]), "exit").code, i, "the code of job " .. i)
    else
      equal(tasks[i]:await(), i, "job " .. i)
    end
  end
  T.wait(function() return pool:stats().workers == 2 end, "two workers")
end)

-- ---------------------------------------------------------------- nothing leaks

-- Runs jobs that change something, and looks for it in the same process afterwards.
local function leaks(change, look)
  local pool = T.scoped(thread.pool { size = 1 })
  local first = await(pool:submit(look), nil, true)
  for _ = 1, 3 do
    local changed = await(pool:submit(change))
    T.no(changed[1] == nil and changed[2] and changed[2].kind, tostring(changed[2]))
    T.same(await(pool:submit(look)), first)
  end
end

spec("globals do not leak", function()
  leaks(function() leaked = 1 print = nil string = { upper = 5 } _G.tostring = 1 return true end,
    function() local n = 0 for _ in pairs(_G) do n = n + 1 end return leaked, type(print), string.upper("x"), type(tostring), n end)
end)

spec("changes of libraries do not leak", function()
  leaks(function() string.leaked = 1 math.pi = 3 table.insert = nil os.time, io.open = io.open, os.time debug.x = {} return true end,
    function() return string.leaked, math.pi, type(table.insert), type(os.time()), debug.x, ("x").leaked end)
  leaks(function() llib = require "llib" llib.thread.async = 1 llib.crypto = nil return true end,
    function() local llib = require "llib" return type(llib.thread.async), type(llib.crypto) end)
end)

spec("finalizers run before the next job, and what they do is gone with them", function()
  local pool = T.scoped(thread.pool { size = 1 })
  if T.lua < 5.2 then T.skip("tables have no finalizers in this Lua") end
  local function leaves(finalizer)
    return function()
      left = setmetatable({}, { __gc = finalizer })
      return true
    end
  end
  for name, finalizer in pairs {
    answers = function() res("of another job") end,
    ends = function() os.exit(3) end,
    changes = function() leaked = 1 string.upper = nil end,
    fails = function() error("in vain") end,
    text = "left = setmetatable({}, { __gc = function() leaked = 1 end }) return true",
    renews = function(object) setmetatable({}, getmetatable(object)) end,
  } do
    equal(pool:submit(name == "text" and finalizer or leaves(finalizer)):await(), true)
    for _ = 1, 20 do
      equal(pool:submit(function()
        collectgarbage()
        return leaked == nil and ("x"):upper()
      end):await(), "X", "a job after one whose finalizer " .. name)
    end
  end
end)

spec("metatables do not leak", function()
  leaks(function()
    setmetatable(_G, { __index = function() return 1 end })
    setmetatable(string, { __index = { more = 1 } })
    getmetatable("").__call = function() return 1 end
    debug.setmetatable(nil, { __index = function() return 1 end })
    debug.setmetatable(1, { __index = {} })
    debug.setmetatable(print, { __index = {} })
    getmetatable(io.stdout).__index.leaked = 1
    return true
  end, function()
    return getmetatable(_G), getmetatable(string), (pcall(function() return ("")() end)), getmetatable("").__call,
      debug.getmetatable(nil), debug.getmetatable(1), debug.getmetatable(print), io.stdout.leaked
  end)
end)

spec("packages do not leak", function()
  leaks(function()
    package.loaded.leaked = {}
    package.preload.other = function() end
    package.path, package.cpath = "nowhere", "nowhere"
    local searchers = package.searchers or package.loaders
    searchers[1] = nil
    package.loaded.string = nil
    table.insert(searchers, 1, print)
    return true
  end, function()
    local searchers = package.searchers or package.loaders
    return package.loaded.leaked, package.preload.other, package.path, package.cpath, #searchers, package.loaded.string == string
  end)
end)

-- Sets the collector's pause and speed; gives what they were.
local function pace(pause, speed)
  if _VERSION ~= "Lua 5.5" then return collectgarbage("setpause", pause), collectgarbage("setstepmul", speed) end
  return collectgarbage("param", "pause", pause), collectgarbage("param", "stepmul", speed)
end

-- Whether garbage is collected that nobody asks for.
local function collects()
  collectgarbage()
  local before = collectgarbage("count")
  for _ = 1, 1e5 do local _ = { {} } end
  return collectgarbage("count") < before + 5000
end

spec("the collector's settings do not leak", function()
  local has_modes = T.lua >= 5.4
  local function look()
    local mode = has_modes and collectgarbage("generational")
    local running, pause, step = collects(), pace(200, 100)
    return mode, running, pause, step
  end
  leaks(function()
    if has_modes then collectgarbage("incremental", 500, 300, 20) end
    collectgarbage("stop")
    return true
  end, look)
  leaks(function() pace(777, 333) return true end, look)
  if _VERSION == "Lua 5.2" then leaks(function() collectgarbage("generational") return true end, look) end
end)

spec("environments do not leak", function()
  if not setfenv then T.skip("there are none from Lua 5.2 on") end
  leaks(function() setfenv(0, { leaked = 1 }) setfenv(1, {}) return true end,
    function() return leaked, type(print), getfenv(0) == _G, getfenv(1) == _G end)
  local pool = T.scoped(thread.pool { size = 1, preload = function() function helper() return leaked end end })
  for _ = 1, 3 do
    equal(pool:submit(function() return helper() end):await(), nil, "the helper's global")
    equal(pool:submit(function() setfenv(helper, { leaked = "set" }) return helper() end):await(), "set", "the one that was set")
  end
end)

spec("switches of LuaJIT do not leak", function()
  if not jit then T.skip("there is no compiler") end
  local function status() return (jit.status()) end
  leaks(function() jit.off() return true end, status)
  leaks(function() res:autoclose() return true end, status)
  leaks(function() require("jit.profile").start("i1", function() os.exit(7) end) return true end, function()
    local began = os.clock()
    while os.clock() - began < 0.02 do end
    return "nobody was called"
  end)
end)

spec("types of the FFI library do not leak, and those of a preloaded one stay", function()
  if not pcall(require, "ffi") then T.skip("there is no such library") end
  local function declare()
    local ffi = require "ffi"
    ffi.cdef "struct llib_pool_leak { int x; };"
    return ffi.sizeof "struct llib_pool_leak"
  end
  local pool = T.scoped(thread.pool { size = 1 })
  for _ = 1, 3 do equal(pool:submit(declare):await(), 4, "the size of the type") end
  pool = T.scoped(thread.pool { size = 1, preload = declare })
  local pid = pool:submit(whoami):await()
  for _ = 1, 3 do
    equal(pool:submit(function() return require("ffi").sizeof "struct llib_pool_leak" end):await(), 4, "the size of the type")
  end
  equal(pool:submit(whoami):await(), pid, "the process")
end)

spec("hooks, locale, warnings and default files do not leak", function()
  leaks(function() debug.sethook(function() end, "c", 100) return true end, function() return debug.gethook() end)
  leaks(function() os.setlocale("C.UTF-8") os.setlocale("C.utf8") return true end, function() return os.setlocale() end)
  local path = T.path()
  local pool = T.scoped(thread.pool { size = 1 })
  -- Closed, for a child that is left makes the worker go, and the next one may have inherited other files.
  local descriptors = function()
    local n, list = 0, io.popen("ls -l /proc/" .. thread.self().pid .. "/fd")
    -- Its own pipe may still be open at both ends.
    for line in list:lines() do if not line:find "pipe:" then n = n + 1 end end
    list:close()
    return n
  end
  local before = pool:submit(descriptors):await()
  pool:submit(function(path) io.output(path) io.input("/dev/null") KEPT = io.open(path) return true end, path):await()
  equal(pool:submit(descriptors):await(), before, "the number of open files")
  equal(pool:submit(function() return io.output() == io.stdout and io.input() == io.stdin end):await(), true, "the default files")
end)

spec("random numbers of a job tell nothing of those of the next", function()
  local pool = T.scoped(thread.pool { size = 1 })
  local function draw() return math.random() end
  local seen = {}
  for _ = 1, 20 do
    pool:submit(function() math.randomseed(42) return math.random() end):await()
    local number = pool:submit(draw):await()
    equal(seen[number], nil, "a number that came before")
    seen[number] = true
  end
end)

spec("registry, locks and children of a job do not stay", function()
  leaks(function() debug.getregistry().leaked = 1 return true end, function() return debug.getregistry().leaked end)
  local pool = T.scoped(thread.pool { size = 1 })
  equal(pool:submit(function() return thread.lock(4711) end):await(), true, "the lock")
  T.yes(thread.lock(4711, 5000), "a lock that a job kept is free after it")
  thread.unlock(4711)
  local pid = pool:submit(function() return io.popen("echo $$; exec sleep 600"):read("*n") end):await()
  T.gone(pid)
end)

spec("the working directory does not leak", function()
  local ok = pcall(require, "lfs")
  if not ok then T.skip("there is no lfs") end
  leaks(function() require("lfs").chdir("/") return true end, function() return require("lfs").currentdir() end)
end)

spec("jobs without globals and those with them take turns in one worker", function()
  local pool = T.scoped(thread.pool { size = 1 })
  local pid = pool:submit(whoami):await()
  for i = 1, 50 do
    equal(pool:submit(function(n) return n + 1 end, i):await(), i + 1, "a plain job")
    equal(pool:submit(function(n) x = n return tostring(x) end, i):await(), tostring(i), "one with a global")
    equal(pool:submit(function(t) return t.f() end, { f = function() y = 1 return i end }):await(), i, "one that is given a function")
    equal(pool:submit(function() return y, x end):await(), nil, "what is left")
  end
  equal(pool:submit(whoami):await(), pid, "the process")
end)

spec("a function that a job changed by the debug library is not the next one's", function()
  local pool = T.scoped(thread.pool { size = 1 })
  local function f(change)
    local globals = { tostring = function() return "evil" end }
    if change and setfenv then setfenv(1, globals) return end
    if change then debug.setupvalue(debug.getinfo(1, "f").func, 1, globals) return end
    return tostring(1)
  end
  for _ = 1, 4 do
    equal(pool:submit(f):await(), "1", "before")
    pool:submit(f, true):await()
  end
  equal(pool:submit(f):await(), "1", "after")
end)

-- ---------------------------------------------------------------- ending jobs

spec("kill ends the running job and no other", function()
  local pool = T.scoped(thread.pool { size = 1 })
  local loop = pool:submit(T.forever)
  T.wait(function() return loop:pid() end, "the job to run")
  local queued, last = pool:submit(function() return "never" end), pool:submit(function() return "fine" end)
  local pid = loop:pid()
  queued:kill()
  T.contains(T.failure(await(queued), "killed").message, "before")
  loop:kill()
  T.gone(pid)
  equal(T.failure(await(loop), "killed").signal, "KILL", "err.signal")
  equal(last:await(), "fine", "the job behind it")
end)

spec("a kill that comes late hits nobody", function()
  local pool = T.scoped(thread.pool { size = 1 })
  local pid = pool:submit(whoami):await()
  for _ = 1, 30 do
    local task = pool:submit(function() return 1 end)
    task:await(nil, true)
    task:kill()
    task:kill("TERM", 1)
    equal(pool:submit(whoami):await(), pid, "the process of the next job")
    equal(task:await(), 1, "the job's own value")
  end
  thread.sleep(20)
  equal(pool:submit(whoami):await(), pid, "the process after that time")
end)

spec("signals that a job survives leave it and the next ones alone", function()
  local pool = T.scoped(thread.pool { size = 1 })
  local task = pool:submit(function() local x = 0 for i = 1, jit and 3e8 or 3e7 do x = x + i end return thread.self().pid end)
  T.wait(function() return task:pid() end, "the job to run")
  for _ = 1, 10 do task:kill("URG") end
  task:pause()
  T.failure(await(task, 30), "timeout")
  equal(task:status(), "paused", "the status")
  task:resume()
  local pid = task:await()
  equal(pool:submit(whoami):await(), pid, "the process")
end)

spec("close asks, and kills past its grace", function()
  local pool = T.scoped(thread.pool { size = 1 })
  local polite = pool:submit(function() while true do res:testclose() end end)
  T.wait(function() return polite:pid() end, "the job to run")
  polite:close()
  T.failure(await(polite), "closed")
  local stubborn = pool:submit(T.forever)
  T.wait(function() return stubborn:pid() end, "the job to run")
  local queued = pool:submit(function() return 1 end)
  queued:close()
  T.failure(await(queued), "closed")
  stubborn:close(20)
  T.failure(await(stubborn), "closed")
  local auto = pool:submit(function() res:autoclose() while true do end end)
  T.wait(function() return auto:pid() end, "the job to run")
  thread.sleep(20)
  auto:close()
  T.failure(await(auto), "closed")
end)

spec("the pool's timeout is that of each job, also while this program does not wait", function()
  local pool = T.scoped(thread.pool { size = 1, timeout = 60 })
  local started = T.now()
  local path = T.path()
  local loop = pool:submit(T.forever)
  local after = pool:submit(function(path) io.open(path, "w"):close() return "done" end, path)
  while T.now() - started < 0.05 do end
  -- Another worker takes its place when this program comes by.
  local err = T.failure(await(loop, 5000), "deadline")
  equal(err.limit, 60.0, "err.limit")
  equal(after:await(5000), "done", "the job behind it")
  pool = T.scoped(thread.pool { size = 1, timeout = 400 })
  local pid = pool:submit(whoami):await()
  for _ = 1, 10 do
    pool:submit(function() local t = require("llib").thread t.sleep(50) end):await()
  end
  equal(pool:submit(whoami):await(), pid, "the process after many jobs that together took longer")
end)

spec("a deadline is kept while this program runs Lua alone", function()
  local pool = T.scoped(thread.pool { size = 1, timeout = 50 })
  local loop = pool:submit(T.forever)
  T.wait(function() return loop:pid() end, "the job to run")
  local pid = loop:pid()
  local ended = T.now() + 2
  while T.now() < ended and T.exists(pid) do end
  T.no(T.exists(pid), "the process exists")
  T.failure(await(loop), "deadline")
end)

spec("limits of CPU time and memory are those of each job", function()
  local pool = T.scoped(thread.pool { size = 1, cpu = 100, memory = "8M" })
  equal(T.failure(await(pool:submit(function() while true do end end)), "cpu").limit, 100.0, "err.limit")
  local pid = pool:submit(whoami):await()
  for _ = 1, 8 do pool:submit(function() local x = 0 for i = 1, 1e6 do x = x + i end end):await() end
  equal(pool:submit(whoami):await(), pid, "the process")
  T.failure(await(pool:submit(function() local t = {} for i = 1, math.huge do t[i] = { i } end end)), "memory")
  local caught = pool:submit(function() return select(2, pcall(string.rep, "x", 2 ^ 24)) end):await()
  T.contains(caught, "not enough memory")
  equal(pool:submit(function() return 1 end):await(), 1, "the next job")
end)

-- ---------------------------------------------------------------- the pool's end

spec("close waits for all jobs; results stay", function()
  local pool = thread.pool { size = 2 }
  local tasks = {}
  for i = 1, 3000 do tasks[i] = pool:submit(function(n) return n end, i) end
  equal(pool:close(), true, "all ended by themselves")
  for i = 1, 3000 do if tasks[i]:await() ~= i then error("job " .. i) end end
  T.raises_here(function() pool:submit(function() end) end, "the pool is closed")
  T.raises_here(function() pool:map(function() end, {}) end, "the pool is closed")
  equal(pool:close(), true, "closed again")
  T.contains(tostring(pool), "closed")
end)

spec("close with a time kills what remains", function()
  local pool = thread.pool { size = 1 }
  local done = pool:submit(function() return "done" end)
  local loop, queued = pool:submit(T.forever), pool:submit(function() return 1 end)
  equal(pool:close(50), false, "all ended by themselves")
  equal(done:await(), "done", "the first")
  T.failure(await(loop), "closed")
  T.failure(await(queued), "closed")
end)

spec("a pool that goes out of scope is closed", function()
  if T.lua < 5.4 then T.skip("there is no __close before Lua 5.4") end
  local pool = thread.pool { size = 1 }
  local loop = pool:submit(T.forever)
  T.load("local pool <close> = ...")(pool)
  T.failure(await(loop), "closed")
  T.raises_here(function() pool:submit(function() end) end, "the pool is closed")
end)

spec("a pool that is collected ends its workers", function()
  local pids = {}
  do
    local pool = thread.pool { size = 2 }
    for _ = 1, 20 do pids[pool:submit(whoami):await()] = true end
  end
  collectgarbage() collectgarbage()
  for pid in pairs(pids) do T.gone(pid) end
end)

spec("a task outlives its pool's handle", function()
  local task = thread.pool { size = 1 }:submit(function() return "still" end)
  collectgarbage() collectgarbage()
  equal(task:await(), "still", "the value")
end)

spec("a worker that dies at its start stops the pool with its error", function()
  local pool = thread.pool { size = 2, preload = function() error("no database") end }
  local err = T.failure(await(pool:submit(function() return 1 end)), "error")
  T.contains(err.message, "no database")
  T.raises_here(function() pool:submit(function() end) end, "no database")
  local exits = thread.pool { size = 2, preload = function() os.exit(9) end }
  equal(T.failure(await(exits:submit(function() return 1 end)), "exit").code, 9, "err.code")
  T.raises_here(function() thread.pool { size = 1, preload = "no.such.module" } end,
    "failed to preload module 'no.such.module': ")
  T.raises_here(function() thread.pool { size = 1, preload = { "string", 5 } } end, "entry 2 is none")
end)

-- ---------------------------------------------------------------- preload and recycling

spec("preload runs before the jobs, and what it leaves is theirs", function()
  local pool = T.scoped(thread.pool { size = 1, preload = function() ready = { count = 5 } math.answer = 42 end })
  equal(pool:submit(function() return ready.count + math.answer end):await(), 47, "what it left")
  pool:submit(function() ready, math.answer = nil, nil end):await()
  equal(pool:submit(function() return ready.count + math.answer end):await(), 47, "what it left, again")
end)

spec("workers are recycled after so many jobs, and nothing stalls", function()
  local pool = T.scoped(thread.pool { size = 2, max_jobs = 5 })
  local tasks, pids, count = {}, {}, 0
  for i = 1, 200 do tasks[i] = pool:submit(whoami) end
  for i = 1, 200 do
    local pid = tasks[i]:await(10000)
    if not pids[pid] then pids[pid], count = 0, count + 1 end
    pids[pid] = pids[pid] + 1
  end
  for pid, jobs in pairs(pids) do T.yes(jobs <= 5, "process " .. pid .. " did " .. jobs) end
  T.yes(count >= 40, "there were " .. count .. " processes")
end)

spec("workers are recycled when they grow", function()
  local pool = T.scoped(thread.pool { size = 1, max_memory = "4M" })
  local pid = pool:submit(whoami):await()
  for _ = 1, 30 do pool:submit(function() return #("x"):rep(2 ^ 21) end):await() end
  equal(pool:submit(whoami):await(), pid, "garbage alone recycles nobody")
  pool:submit(function() debug.getregistry()[1.5] = ("x"):rep(2 ^ 23) return true end):await()
  T.no(pool:submit(whoami):await() == pid, "the process after a job that kept 8 MiB")
end)

-- ---------------------------------------------------------------- map

spec("map gives results in their order", function()
  local pool = T.scoped(thread.pool { size = 3 })
  T.same(pool:map(function(x) return x * x end, { 1, 2, 3 }), { 1, 4, 9 })
  T.same(pool:map(function(x) return x end, {}), {})
  T.same(pool:map(function(x, i) return x .. i end, { "a", "b" }), { "a1", "b2" })
  local list = {}
  for i = 1, 20000 do list[i] = i end
  for _, options in ipairs { {}, { chunk = 1000 }, { chunk = 7 } } do
    local results = pool:map(function(x) return tostring(x) end, list, options)
    equal(#results, 20000, "how many results")
    for i = 1, 20000 do if results[i] ~= tostring(i) then error("result " .. i) end end
  end
  local offset = 5
  equal(pool:map(function(x) return x + offset end, { 1, 2, 3 })[3], 8, "with an upvalue")
  local holes = pool:map(function(x) if x % 2 == 0 then return x end end, { 1, 2, 3, 4 })
  T.yes(holes[1] == nil and holes[2] == 2 and holes[3] == nil and holes[4] == 4, "results that are nil")
end)

spec("map asks a list with metamethods for its length and its items, nil too", function()
  local pool = T.scoped(thread.pool { size = 2 })
  local list = setmetatable({}, { __len = function() return 4 end, __index = function(_, index) if index < 3 then return index * 10 end end })
  local results = pool:map(function(item, index) return tostring(item) .. index end, list)
  equal(table.concat(results, " "), "101 202 nil3 nil4")
end)

spec("map tells the first failure by index", function()
  local pool = T.scoped(thread.pool { size = 3 })
  local list = {}
  for i = 1, 3000 do list[i] = i end
  for _ = 1, 5 do
    local none, err = pool:map(function(x) if x >= 1234 then error("item " .. x) end return x end, list)
    equal(none, nil, "the result")
    equal(err.kind, "error", "err.kind")
    equal(err.index, 1234, "err.index")
    T.contains(err.message, "item 1234")
    T.contains(err.traceback, "pool.lua")
  end
  local _, err = pool:map(function(x) if x == 2 then os.exit(4) end return x end, { 1, 2, 3 }, { chunk = 1 })
  equal(err.kind, "exit", "err.kind of a death")
  equal(err.index, 2, "err.index of a death")
  _, err = pool:map(function(x) if x == 3 then error({ x }) end return x end, { 1, 2, 3 })
  equal(err.value[1], 3, "err.value")
  equal(pool:map(function(x) return x end, { 1 })[1], 1, "the next map")
end)

spec("map tells its progress, and stops if that raises", function()
  local pool = T.scoped(thread.pool { size = 2 })
  local list, last, calls = {}, 0, 0
  for i = 1, 1000 do list[i] = i end
  pool:map(function(x) return x end, list, { chunk = 50, on_progress = function(done, total)
    T.yes(done > last and total == 1000, "progress from " .. last .. " to " .. done)
    last, calls = done, calls + 1
  end })
  equal(last, 1000, "the last progress")
  equal(calls, 20, "how many times")
  T.raises_here(function()
    pool:map(function(x) return x end, list, { chunk = 50, on_progress = function() error("enough") end })
  end, "enough")
  equal(pool:submit(function() return 1 end):await(), 1, "the next job")
end)

spec("map of slow items uses all workers to the end", function()
  local pool = T.scoped(thread.pool { size = 4 })
  local began = T.now()
  pool:map(function() require("llib").thread.sleep(20) end, { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 })
  T.yes(T.now() - began < 0.3, "16 items of 20 ms took " .. (T.now() - began) .. " s with 4 workers")
end)

-- ---------------------------------------------------------------- arguments, handles

spec("wrong arguments raise at once", function()
  T.raises_here(function() thread.pool(5) end, "bad argument #1 to 'pool' (table expected, got number)")
  T.raises_here(function() thread.pool { sise = 1 } end, "unknown option 'sise' (known: size,")
  T.raises_here(function() thread.pool { size = 0 } end, "option 'size' expects an integer from 1 to")
  T.raises_here(function() thread.pool { stdout = "capture" } end, "cannot be captured")
  T.raises_here(function() thread.pool { preload = 5 } end, "option 'preload' expects")
  T.raises_here(function() thread.pool { args = {} } end, "unknown option 'args'")
  local pool = T.scoped(thread.pool { size = 1 })
  T.raises_here(function() pool:submit() end, "bad argument #1 to 'submit' (function or string expected, got no value)")
  T.raises_here(function() pool:submit(print) end, "Lua function expected, got a C function")
  T.raises_here(function() pool:submit(("\27Lua"):rep(3)) end, "source text expected, got precompiled code")
  T.raises_here(function() pool:submit(function() end, coroutine.create(function() end)) end, "cannot send argument 1")
  T.raises_here(function() pool:map(function() end, 5) end, "bad argument #2 to 'map' (table expected, got number)")
  T.raises_here(function() pool:map(function() end, {}, { chunk = 0 }) end, "option 'chunk' expects")
  T.raises_here(function() pool:map(function() end, {}, { chunks = 1 }) end, "unknown option 'chunks'")
  T.raises_here(function() pool:map(function() end, { print, coroutine.create(function() end) }) end, "cannot send")
end)

spec("shared objects go to jobs and come back", function()
  local pool = T.scoped(thread.pool { size = 2 })
  local buffer, channel = thread.buffer(0), thread.channel()
  local tasks = {}
  for i = 1, 200 do
    tasks[i] = pool:submit(function(b, c, n) b:mod(function(v) return v + 1 end) c:push(n) return c end, buffer, channel, i)
  end
  local sum = 0
  for i = 1, 200 do
    T.yes(tasks[i]:await() == channel, "the channel comes back")
    sum = sum + channel:pop()
  end
  equal(buffer:get(), 200, "the count")
  equal(sum, 20100, "the sum")
end)

spec("names, ids and texts", function()
  local pool = T.scoped(thread.pool { size = 1, name = "counting" })
  local a, b = pool:submit(function() return res.name, res.id end), pool:submit(function() return res.id end)
  T.no(a:id() == b:id(), "the ids are the same")
  equal(a:name(), "counting", "the name")
  T.contains(tostring(a), "llib.task: counting (")
  local name, id = a:await(nil, true)
  equal(name, "counting", "res.name")
  equal(id, a:id(), "res.id")
  equal(b:await(nil, true), b:id(), "res.id of the next")
  T.yes(a:usage().wall >= 0, "the wall time")
  T.contains(tostring(pool), "llib.pool: 1 workers (open)")
  local other = T.scoped(thread.pool { size = 1 })
  local task = other:submit(function() return res.name end)
  T.contains(task:name(), "pool.lua:")
  equal(task:await(nil, true), task:name(), "res.name without a name")
end)

-- Jobs that leave objects of a library in C, to be found by the collector.
local leaving = {
  lpeg = function()
    KEPT = require("lpeg").R("az") ^ 1
    return KEPT:match("abc")
  end,
  ["luasql.sqlite3"] = function()
    local connection = require("luasql.sqlite3").sqlite3():connect(":memory:")
    connection:execute("create table t (x)")
    connection:execute("insert into t values (4)")
    KEPT = connection:execute("select x from t")
    return tonumber((KEPT:fetch()))
  end,
  lxp = function()
    KEPT = require("lxp").new({})
    return KEPT:parse("<a>") and 4
  end,
}

for name, job in pairs(leaving) do
  spec("objects of " .. name .. " that a job leaves fail in no later one", function()
    T.optional(name)
    local pool = T.scoped(thread.pool { size = 1 })
    local function innocent()
      local kept = {}
      for i = 1, 500 do kept[i] = { i } end
      collectgarbage()
      return #kept + (KEPT and 1 or 0)
    end
    for _ = 1, 30 do
      equal(pool:submit(job):await(), 4, "what the library says")
      equal(pool:submit(innocent):await(), 500, "the next job")
    end
    local stats = pool:stats()
    equal(stats.died + stats.recycled, 0, "workers that were replaced")
  end)
end

T.finish()
