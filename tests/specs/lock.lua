-- thread.lock, thread.unlock and thread.mutex.

local llib = require "llib"
local thread = llib.thread
local T = dofile((arg[0]:match("^(.*/)") or "./") .. "support.lua")
local spec, equal = T.spec, T.equal
local pack, unpack = T.pack, T.unpack

local lock, unlock = thread.lock, thread.unlock

-- A job that does `hold()`, says so, and keeps what it holds until it is told to go on. Gives the task, and the
-- function that tells it, with what it should do then.
local function holder(hold, then_do)
  local ready, go = thread.channel(), thread.channel()
  local task = thread.async(function()
    hold()
    ready:push(true)
    go:pop()
    -- No tail call: it would drop this function, and with it the last handle of a mutex that `hold` took.
    if then_do then return (then_do()) end
  end)
  equal(ready:pop(5000), true, "the job holds it")
  return task, function() go:push(true) end
end

local function timed_out(packed, ms, text)
  local err = T.failure(packed, "timeout")
  T.contains(err.message, text)
  T.contains(err.message, "within " .. ms .. " ms")
end

-- ---------------------------------------------------------------- lock and unlock

spec("lock gives true, unlock nothing", function()
  T.results(pack(lock(1)), true)
  equal(select("#", unlock(1)), 0)
end)

spec("a held lock keeps other processes out until it is given back", function()
  local order = thread.channel()
  lock(2)
  local task = thread.async(function()
    order:push("waits")
    local results = pack(lock(2))
    order:push("has it")
    unlock(2)
    return unpack(results, 1, results.n)
  end)
  equal(order:pop(5000), "waits")
  T.failure(pack(order:pop(30)), "timeout")
  unlock(2)
  equal(order:pop(5000), "has it")
  T.results(pack(task:await(5000)), true)
end)

spec("locks exclude: no change of any process is lost", function()
  local path, tasks = T.path(), {}
  T.write(path, "0")
  for i = 1, 4 do
    tasks[i] = thread.async(function()
      for _ = 1, 50 do
        lock(3)
        local file = assert(io.open(path, "r+"))
        local n = file:read("*n")
        file:seek("set", 0)
        file:write(n + 1)
        file:close()
        unlock(3)
      end
    end)
  end
  for i = 1, 4 do T.results(pack(tasks[i]:await(20000))) end
  equal(T.read(path), "200")
end)

spec("every integer is a lock of its own", function()
  local ids = { 0, 1, -1, 255, 256, 16384, 32768, 2147483648, 4294967296, -4294967296,
    T.largest, math.mininteger or -T.largest,
    0x5bd1e995, 1000003 }
  for _, id in ipairs(ids) do T.results(pack(lock(id, 0)), true) end
  local free = T.values(function()
    local free = {}
    for _, id in ipairs(ids) do if lock(id, 0) then free[#free + 1] = id end end
    return free
  end)
  equal(#free, 0, "those that another process could have")
  for _, id in ipairs(ids) do unlock(id) end
  equal(T.values(function()
    local count = 0
    for _, id in ipairs(ids) do if lock(id, 0) then count = count + 1 unlock(id) end end
    return count
  end), #ids)
end)

spec("a float with an integer's value is that integer", function()
  lock(2 ^ 53)
  T.failure(T.job(function() return lock(9007199254740992, 0) end), "timeout")
  lock(9007199254740992)
  unlock(2 ^ 53)
  unlock(9007199254740992)
  lock(-0.0)
  unlock(0)
end)

spec("the owner may lock again, and unlocks as often", function()
  for _ = 1, 3 do T.results(pack(lock(4, 0)), true) end
  for _ = 1, 2 do
    unlock(4)
    T.failure(T.job(function() return lock(4, 0) end), "timeout")
  end
  unlock(4)
  T.results(T.job(function() return lock(4, 0) end), true)
  T.raises_here(function() unlock(4) end, "lock 4 is not held by this process")
  for _ = 1, 100000 do lock(4) end
  for _ = 1, 100000 do unlock(4) end
  T.raises(function() unlock(4) end, "lock 4 is not held by this process")
end)

spec("unlock by a process that does not hold it raises, and takes it from nobody", function()
  T.raises_here(function() unlock(-77) end, "lock -77 is not held by this process")
  lock(5)
  local err = T.failure(T.job(function() unlock(5) end), "error")
  T.contains(err.message, "lock 5 is not held by this process")
  T.failure(T.job(function() return lock(5, 0) end), "timeout")
  unlock(5)
end)

spec("a time that runs out is a failure of kind timeout", function()
  local task, go = holder(function() lock(6) end, function() unlock(6) return "done" end)
  timed_out(pack(lock(6, 0)), 0, "lock 6 could not be had")
  timed_out(pack(lock(6, 20)), 20, "lock 6 could not be had")
  timed_out(pack(lock(6, 0.5)), 0.5, "lock 6 could not be had")
  local began = T.now()
  timed_out(pack(lock(6, 200)), 200, "lock 6 could not be had")
  T.yes(T.now() - began >= 0.18, "it waited that long")
  go()
  equal(task:await(5000), "done")
  T.results(pack(lock(6, 5000)), true)
  unlock(6)
end)

spec("a time of nil, infinity or more than anybody has is for ever", function()
  for _, ms in ipairs { math.huge, 1e300, T.largest } do
    T.results(pack(lock(7, ms)), true)
    unlock(7)
  end
  T.results(pack(lock(7, nil)), true)
  unlock(7)
end)

spec("wrong arguments raise where they are", function()
  T.bad_argument(function() lock() end, 1, "lock", "integer", "no value")
  T.bad_argument(function() lock({}) end, 1, "lock", "integer", "table")
  T.bad_argument(function() lock("1") end, 1, "lock", "integer", "string")
  T.bad_argument(function() lock(nil) end, 1, "lock", "integer", "nil")
  T.bad_argument(function() unlock(true) end, 1, "unlock", "integer", "boolean")
  for _, number in ipairs { 1.5, 2 ^ 63, 1 / 0, 0 / 0 } do
    T.raises_here(function() lock(number) end, "bad argument #1 to 'lock' (number has no integer representation)")
    T.raises_here(function() unlock(number) end, "bad argument #1 to 'unlock' (number has no integer representation)")
  end
  T.bad_argument(function() lock(1, "5") end, 2, "lock", "number of milliseconds", "string")
  T.raises_here(function() lock(1, -1) end, "bad argument #2 to 'lock' (milliseconds expected, got a number below zero or NaN)")
  T.raises_here(function() lock(1, 0 / 0) end, "below zero or NaN")
  T.raises(function() unlock(1) end, "lock 1 is not held by this process")
end)

-- ---------------------------------------------------------------- owners that are gone

local ENDINGS = {
  { "a kill", "while true do end", function(task) task:kill() end },
  { "a crash", "os.execute('kill -SEGV $PPID') while true do end" },
  { "os.exit", "os.exit(3)" },
  { "an error", "error('end')" },
  { "a return", "return 1" },
  { "close", "require'llib'.thread.sleep(600000)", function(task) task:close() end },
}

spec("the lock of a process that ended goes to the next one, marked as abandoned", function()
  for _, ending in ipairs(ENDINGS) do
    local name, code, finish = unpack(ending)
    local task, go = holder(function() lock(8) lock(8) end, T.load(code))
    go()
    if finish then finish(task) end
    T.results(pack(lock(8, 5000)), true, "abandoned")
    unlock(8)
    T.results(pack(lock(8, 0)), true)
    unlock(8)
    task:clean()
  end
end)

spec("a job whose values nobody has awaited yet holds no locks any more", function()
  local m = thread.mutex()
  local task = thread.async(function(res)
    lock(9)
    m:lock()
    pcall(res, "in vain")
  end)
  T.wait(function() return task:status() == "done" end, "the result")
  T.results(pack(lock(9, 5000)), true, "abandoned")
  T.results(pack(m:lock(5000)), true, "abandoned")
  unlock(9)
  m:unlock()
  equal(task:await(5000), "in vain")
end)

spec("waiters get a dead owner's lock one after the other, and one of them hears of it", function()
  local task, go = holder(function() lock(10) end, T.load "os.execute('kill -KILL $PPID') while true do end")
  local waiters = {}
  for i = 1, 4 do
    waiters[i] = thread.async(function()
      local results = pack(lock(10, 10000))
      unlock(10)
      return results[1], results[2]
    end)
  end
  go()
  local abandoned = 0
  for i = 1, 4 do
    local got, word = waiters[i]:await(10000)
    equal(got, true)
    if word == "abandoned" then abandoned = abandoned + 1 else equal(word, nil) end
  end
  equal(abandoned, 1, "how many heard of it")
  T.failure(pack(task:await(5000)), "signal")
end)

spec("a nested job's lock is seen by the whole tree, and freed with its owner's owner", function()
  local task, go = holder(function()
    local there = thread.channel()
    inner = thread.async(function()
      lock(11)
      there:push(1)
      require "llib".thread.sleep(600000)
    end)
    there:pop()
  end, T.load "return 1")
  T.failure(pack(lock(11, 0)), "timeout")
  go()
  equal(task:await(5000), 1)
  equal(lock(11, 5000), true)
  unlock(11)
end)

-- ---------------------------------------------------------------- many

spec("thousands of locks can be held at once", function()
  local count = 10000
  for i = 1, count do equal(lock(i * 7919), true) end
  local free, held = T.values(function()
    local free, held = 0, 0
    for i = 1, count, 97 do
      if lock(i * 7919, 0) then free = free + 1 else held = held + 1 end
      if lock(-i * 7919, 0) then held = held + 1 unlock(-i * 7919) end
    end
    return free, held
  end)
  equal(free, 0)
  equal(held, 2 * (math.floor((count - 1) / 97) + 1))
  for i = count, 1, -1 do unlock(i * 7919) end
  equal(T.values(function() for i = 1, count do if not lock(i * 7919, 0) then return i end end return "all" end), "all")
end)

spec("any number of locks can come and go", function()
  for i = 1, 100000 do
    lock(i)
    unlock(i)
  end
end)

spec("too many held at once are an error, and those that are held stay sound", function()
  local held, problem = 0, nil
  for i = 1, 40000 do
    local ok, what = pcall(lock, i)
    if not ok then problem = what break end
    held = i
  end
  T.contains(problem, "too many locks are held at once: the table has room for 32768, and none is left for this one")
  T.yes(held > 16000 and held <= 32768, "half of the table at least can be held, got " .. held)
  equal(lock(held), true)
  unlock(held)
  for i = held, 1, -1 do unlock(i) end
  equal(lock(held + 1), true)
  unlock(held + 1)
end)

spec("what dead processes held makes room for others", function()
  for round = 1, 3 do
    equal(T.values(function()
      for i = 1, 15000 do lock(round * 100000 + i) end
      return "all"
    end), "all")
  end
end)

-- ---------------------------------------------------------------- where locks are used

spec("locks belong to the process: a coroutine may give back what another took", function()
  coroutine.wrap(function() lock(12) end)()
  coroutine.wrap(function() equal(lock(12), true) unlock(12) end)()
  T.failure(T.job(function() return lock(12, 0) end), "timeout")
  unlock(12)
end)

spec("a finalizer may take and give back locks", function()
  local results
  T.finalizer(function()
    results = pack(lock(13, 1000))
    unlock(13)
  end)
  collectgarbage()
  T.results(results, true)
  T.results(T.job(function() return lock(13, 0) end), true)
end)

spec("task:close ends a job that waits for a lock", function()
  lock(14)
  local m = thread.mutex()
  m:lock()
  for _, wait in ipairs { function() lock(14) end, function() m:lock() end, function() m:with(print) end } do
    local ready = thread.channel()
    local task = thread.async(function() ready:push(1) wait() return "had it" end)
    ready:pop(5000)
    task:close()
    T.failure(pack(task:await(5000)), "closed")
  end
  unlock(14)
  m:unlock()
end)

-- ---------------------------------------------------------------- mutex

spec("a mutex keeps other processes out until it is given back", function()
  local m = thread.mutex()
  T.results(pack(m:lock()), true)
  timed_out(T.job(function() return m:lock(10) end), 10, "the mutex could not be had")
  equal(T.values(function() return m:trylock() end), false)
  equal(select("#", m:unlock()), 0)
  T.results(T.job(function() return m:lock() end), true)
end)

spec("trylock gives true or false at once", function()
  local m = thread.mutex()
  T.results(pack(m:trylock()), true)
  T.results(pack(m:trylock()), true)
  m:unlock()
  T.results(T.job(function() return m:trylock() end), false)
  m:unlock()
  T.results(T.job(function() local got = m:trylock() m:unlock() return got end), true)
end)

spec("a mutex is recursive for its owner", function()
  local m = thread.mutex()
  for _ = 1, 3 do m:lock(0) end
  for _ = 1, 2 do m:unlock() equal(T.values(function() return m:trylock() end), false) end
  m:unlock()
  equal(T.values(function() return m:trylock() end), true)
  T.raises_here(function() m:unlock() end, "this process does not hold the mutex")
end)

spec("a mutex of a process that ended goes to the next one, marked as abandoned", function()
  for _, ending in ipairs(ENDINGS) do
    local m = thread.mutex()
    local name, code, finish = unpack(ending)
    local task, go = holder(function() m:lock() end, T.load(code))
    go()
    if finish then finish(task) end
    T.results(pack(m:lock(5000)), true, "abandoned")
    m:unlock()
    T.results(pack(m:trylock()), true)
    task:clean()
  end
end)

spec("with calls the function under the mutex, and gives what it gives", function()
  local m = thread.mutex()
  local function inside(...)
    equal(T.values(function() return m:trylock() end), false)
    return select("#", ...), ...
  end
  T.results(pack(m:with(inside, 1, nil, "x", nil)), 4, 1, nil, "x", nil)
  equal(select("#", m:with(function() end)), 0)
  equal(T.values(function() return m:trylock() end), true)
  equal(m:with(function() return m:with(function() return "twice" end) end), "twice")
  equal(T.values(function() return m:trylock() end), true)
end)

spec("with takes and gives thousands of values", function()
  local m, many = thread.mutex(), {}
  local count = T.lua >= 5.2 and 5000 or 2000
  for i = 1, count do many[i] = i end
  local results = pack(m:with(function(...) return ... end, unpack(many)))
  equal(results.n, count)
  equal(results[count], count)
end)

spec("an error inside with comes out as it is, and frees the mutex", function()
  local m, thrown = thread.mutex(), {}
  local ok, got = pcall(m.with, m, function() error(thrown) end)
  equal(ok, false)
  T.yes(rawequal(got, thrown), "the error is the object that was raised")
  T.raises_here(function() m:with(function() error("here") end) end, "here")
  equal(T.values(function() return m:trylock() end), true)
  local ok, text = coroutine.resume(coroutine.create(function() m:with(coroutine.yield) end))
  equal(ok, false)
  T.contains(text, "attempt to yield across")
  T.contains(text, "inside of mutex:with a lock is held, and no function can yield")
  -- What is caught inside is Lua's own, and no other error is touched.
  equal(m:with(function() return coroutine.wrap(function() return coroutine.yield("in a coroutine of its own") end)() end),
    "in a coroutine of its own")
  T.raises(function() m:with(function() error("C-call boundary", 0) end) end, "C-call boundary")
  equal(T.values(function() return m:trylock() end), true)
end)

spec("a mutex that the function itself gave back stays free after with", function()
  local m = thread.mutex()
  equal(m:with(function() m:unlock() return T.values(function() return m:trylock() end) end), true)
  T.raises(function() m:unlock() end, "this process does not hold the mutex")
end)

spec("mutexes exclude, with many processes", function()
  local m, b, tasks = thread.mutex(), thread.buffer(0), {}
  for i = 1, 4 do
    tasks[i] = thread.async(function()
      for _ = 1, 200 do m:with(function() b:set(b:get() + 1) end) end
    end)
  end
  for i = 1, 4 do T.results(pack(tasks[i]:await(20000))) end
  equal(b:get(), 800)
end)

spec("a freed handle raises, another one of the same mutex goes on", function()
  local m = thread.mutex()
  local other = thread.buffer({ m }):get()[1]
  equal(m == other, true, "two handles of one mutex")
  equal(m == thread.mutex(), false)
  m:free()
  m:free()
  local text = "this handle of a mutex has been cleaned"
  for _, body in ipairs {
    function() m:lock() end, function() m:trylock() end, function() m:unlock() end, function() m:with(print) end,
    function() thread.buffer({ m }) end,
  } do T.raises_here(body, text) end
  equal(tostring(m), "llib.mutex: cleaned")
  T.matches(tostring(other), "^llib%.mutex: %x+$")
  equal(other:trylock(), true)
  other:unlock()
end)

spec("freeing the last handle of a process gives its lock back", function()
  local m = thread.mutex()
  local task, go = holder(function()
    m:lock()
    m:free()
    collectgarbage()
  end)
  equal(m:lock(5000), true)
  m:unlock()
  go()
  task:await(5000)
end)

spec("mutexes travel like other handles", function()
  local m = T.values(function() local m = thread.mutex() return m end)
  m:lock()
  local got, again = T.values(function(_, _, t) return t[1]:trylock(), t[1] == t.m end, { args = { { m, m = m } } })
  equal(got, false)
  equal(again, true)
  m:unlock()
  local c = thread.channel()
  c:push(m)
  equal(c:pop() == m, true)
end)

spec("wrong use of a mutex raises where it is", function()
  local m = thread.mutex()
  T.bad_argument(function() m:with() end, 1, "with", "function", "no value")
  T.bad_argument(function() m:with(5) end, 1, "with", "function", "number")
  T.bad_argument(function() m:lock("1") end, 1, "lock", "number of milliseconds", "string")
  T.raises_here(function() m:lock(-1) end, "bad argument #1 to 'lock' (milliseconds expected")
  T.bad_argument(function() m.lock() end, 1, "lock", "llib.mutex", "no value")
  T.bad_argument(function() m.lock(5) end, 1, "lock", "llib.mutex", "number")
  T.bad_argument(function() m.unlock(thread.buffer(1)) end, 1, "unlock", "llib.mutex", "llib.buffer")
  T.bad_argument(function() m.trylock(io.stdout) end, 1, "trylock", "llib.mutex", "FILE*")
  T.bad_argument(function() m.free({}) end, 1, "free", "llib.mutex", "table")
  T.bad_argument(function() m.with("x", print) end, 1, "with", "llib.mutex", "string")
  T.raises(function() m.field = 1 end, "attempt to index")
  equal(m.nothing, nil)
  equal(getmetatable(m), "llib.mutex")
  equal(T.values(function() return m:trylock() end), true)
end)

T.finish()
