-- Limits: memory, CPU time, descriptors, file size. Each ends a job with its own failure, or is an error in it.

local llib = require "llib"
local thread = llib.thread
local T = dofile((arg[0]:match("^(.*/)") or "./") .. "support.lua")
local spec, equal = T.spec, T.equal
local finalizer = T.finalizer

local MIB = 0x100000

-- ---------------------------------------------------------------- options

spec("limits take sizes with suffixes and times, and refuse anything else in words", function()
  equal(T.values(function() return 1 end, { memory = "64M", cpu = 5000, files = 32, fsize = "1G" }), 1, "the value")
  equal(T.values(function() return 1 end, { memory = 64 * MIB, fsize = 0, cpu = 0.5 * 1000 }), 1, "the value")
  local function refused(options, ...)
    T.raises_here(function() thread.async(function() end, options) end, "bad argument #2 to 'async'", ...)
  end
  refused({ memory = "lots" }, "option 'memory' expects a size such as 65536 or \"64K\"", "got 'lots'")
  refused({ memory = -1 }, "option 'memory'")
  refused({ memory = "2T" }, "at most \"1T\"")
  refused({ cpu = 0 }, "option 'cpu' expects milliseconds above zero, got 0")
  refused({ cpu = "1s" }, "option 'cpu'")
  refused({ files = -1 }, "option 'files' expects an integer from 0 to 1048576, got -1")
  refused({ files = 1.5 }, "option 'files'")
  refused({ fsize = {} }, "option 'fsize'")
end)

-- ---------------------------------------------------------------- memory

local function hoard() local t = {} for i = 1, math.huge do t[i] = { i } end end

spec("a job that needs more memory than its limit fails as memory, naming limit and use", function()
  local err = T.failure(T.job(hoard, { memory = "16M" }), "memory")
  equal(err.limit, 16 * MIB, "err.limit")
  T.matches(err.message, "^not enough memory: %d+ bytes of its limit of 16777216 were in use", "the message")
  local used = tonumber(err.message:match("(%d+) bytes"))
  T.yes(used > 8 * MIB and used <= 16 * MIB, "it used " .. used)
  T.yes(err.usage.maxrss < 128 * MIB, "the process used " .. err.usage.maxrss)
  T.type(err.pid, "integer", "err.pid")
end)

spec("running out of memory is an ordinary error in the job, which goes on", function()
  local ok, problem, rest = T.values(function()
    local kept = {}
    local ok, problem = pcall(function() for i = 1, math.huge do kept[i] = ("x"):rep(1000) .. i end end)
    kept = nil
    collectgarbage()
    return ok, problem, #("y"):rep(1000000)
  end, { memory = "8M" })
  equal(ok, false, "pcall")
  T.matches(problem, "^not enough memory", "the error")
  equal(rest, 1000000, "what was made afterwards")
end)

spec("one huge block is refused at once", function()
  local ok, problem = T.values(function() return pcall(string.rep, "x", 0x40000000) end, { memory = "8M" })
  equal(ok, false, "pcall")
  T.matches(problem, "^not enough memory", "the error")
end)

spec("garbage is collected before memory runs out", function()
  if T.lua < 5.2 then T.skip("before Lua 5.2 nothing is collected when memory runs out") end
  local sum = T.values(function()
    local sum = 0
    for i = 1, 200 do sum = sum + #(("x"):rep(1000000) .. i) end
    return sum
  end, { memory = "6M" })
  T.yes(sum > 200 * 1000000, "the sum")
end)

spec("a memory error that was caught and raised again, or came out of a coroutine, still is one", function()
  local err = T.failure(T.job(function()
    local _, problem = pcall(string.rep, "x", 0x40000000)
    error(problem, 0)
  end, { memory = "8M" }), "memory")
  equal(err.limit, 8 * MIB, "err.limit")
  T.failure(T.job(function() coroutine.wrap(function() return ("x"):rep(0x40000000) end)() end, { memory = "8M" }), "memory")
end)

spec("an error of the script's own that only sounds like it is an error", function()
  T.failure(T.job(function() error("not enough memory", 0) end, { memory = "8M" }), "error")
end)

spec("arguments that do not fit into the limit fail as memory", function()
  local big = ("x"):rep(4 * MIB)
  T.failure(T.job(function(_, _, s) return #s end, { memory = "2M", args = { big } }), "memory")
  local rows = {}
  for i = 1, 50000 do rows[i] = { i } end
  T.failure(T.job(function(_, _, t) return #t end, { memory = "1M", args = { rows } }), "memory")
end)

spec("a limit below what Lua itself takes fails as memory", function()
  for _, limit in ipairs { 0, 1, 1000, 20000 } do
    local err = T.failure(T.job(function() return { 1 } end, { memory = limit }), "memory")
    equal(err.limit, limit, "err.limit")
  end
end)

spec("whatever the limit, a job ends with its values or as memory", function()
  local function job(_, _, t)
    local copy = {}
    for i, row in ipairs(t) do copy[i] = { row[1], tostring(row[1]) } end
    return setmetatable(copy, { __index = function(_, k) return k end })
  end
  local rows = {}
  for i = 1, 100 do rows[i] = { i } end
  local values, failures = 0, 0
  for limit = 30000, 300000, 2500 do
    local packed = T.job(job, { memory = limit, args = { rows } })
    if packed[1] then
      equal(#packed[1], 100, "the values")
      values = values + 1
    else
      T.failure(packed, "memory")
      failures = failures + 1
    end
  end
  T.yes(values > 5 and failures > 5, ("both happen: %d, %d"):format(values, failures))
end)

spec("an error, a rejection and a result at the edge of memory end as what they are or as memory", function()
  local function fill()
    local kept = {}
    pcall(function() for i = 1, math.huge do kept[i] = { i } end end)
    pcall(function() for i = 1, math.huge do kept[#kept + 1] = i end end)
    return kept
  end
  local function ends(f, kind)
    local packed = T.job(f, { memory = "1M", args = { fill } })
    if packed[1] ~= nil then return end
    if packed[2].kind ~= kind then T.failure(packed, "memory") end
  end
  for _ = 1, 3 do
    ends(function(_, _, fill) local kept = fill() error({ kept }) end, "error")
    ends(function(_, _, fill) local kept = fill() error("x" .. #kept) end, "error")
    ends(function(_, rej, fill) local kept = fill() rej(kept) end, "rejected")
    ends(function(res, _, fill) local kept = fill() res(kept) end)
    ends(function(res, _, fill) local kept = fill() pcall(res, kept) return "not reached" end)
    ends(function(_, _, fill) local kept = fill() return print, kept, coroutine.create(print) end, "encode")
  end
end)

spec("memory outside Lua's heap has a limit above Lua's own", function()
  -- setvbuf makes the C library allocate.
  local count, kind = T.values(function()
    local files, count, text = {}, 0, ("x"):rep(0x10000)
    for i = 1, 1000 do
      local file = io.open("/dev/null", "w")
      if not file or not file:setvbuf("full", 0x100000) then break end
      for _ = 1, 16 do if not file:write(text) then break end end
      files[i], count = file, i
    end
    return count, io.open("/proc/self/limits"):read("*a"):match("Max data size%s+(%d+)")
  end, { memory = "4M", files = 2000 })
  T.type(count, "integer", "the count")
  local limit = tonumber(kind)
  T.yes(limit and limit > 4 * MIB and limit < 100 * MIB, "RLIMIT_DATA is " .. tostring(kind))
end)

spec("without a limit there is none", function()
  equal(T.values(function() return io.open("/proc/self/limits"):read("*a"):match("Max data size%s+(%w+)") end),
    T.read("/proc/self/limits"):match("Max data size%s+(%w+)"), "the limit of private memory")
end)

-- ---------------------------------------------------------------- CPU time

spec("a job that uses more CPU time than its limit fails as cpu, naming limit and use", function()
  local err = T.failure(T.job(function() while true do end end, { cpu = 100 }), "cpu")
  equal(err.limit, 100.0, "err.limit")
  T.matches(err.message, "^used [%d.]+ ms of CPU time, and its limit was 100 ms", "the message")
  local used = err.usage.user + err.usage.system
  T.yes(used >= 99 and used < 400, "it used " .. used)
  equal(err.signal, "XCPU", "err.signal")
end)

spec("the limit of CPU time holds inside one long call of a C function", function()
  local err = T.failure(T.job(function() return ("a"):rep(300):find((".-"):rep(4) .. "b") end, { cpu = 50 }), "cpu")
  T.yes(err.usage.user + err.usage.system < 400, "it used " .. err.usage.user)
  T.failure(T.job(function() return ("x"):rep(0x10000000):rep(0x10):reverse() end, { cpu = 20, memory = "8G" }), "cpu")
end)

spec("waiting uses no CPU time", function()
  equal(T.values(function() require "llib".thread.sleep(150) return "slept" end, { cpu = 50 }), "slept", "the value")
end)

spec("the time a worker took before its job does not count", function()
  for _ = 1, 20 do equal(T.values(function() return 7 end, { cpu = 5 }), 7, "the value") end
end)

spec("no pcall catches the limit of CPU time", function()
  T.failure(T.job(function() while true do pcall(function() while true do end end) end end, { cpu = 30 }), "cpu")
  T.failure(T.job(function()
    finalizer(function() while true do end end)
    collectgarbage()
    collectgarbage()
  end, { cpu = 30 }), "cpu")
end)

spec("what a job starts has a limit of CPU time too", function()
  local words = T.values(function()
    local pipe = io.popen("ulimit -t")
    local words = pipe:read("*l")
    pipe:close()
    return words
  end, { cpu = 3000 })
  equal(words, "5", "ulimit -t, in seconds")
end)

-- ---------------------------------------------------------------- files

local function fill()
  local open = {}
  for i = 1, 1000 do
    local file, problem = io.open("/dev/null")
    if not file then return open, problem end
    open[i] = file
  end
  return open
end

spec("a job opens no more files than its limit allows, which is an error there", function()
  local count, problem = T.values(function(_, _, fill)
    local open, problem = fill()
    return #open, problem
  end, { files = 20, args = { fill } })
  -- Standard streams and llib's own make four.
  equal(count, 16, "the number of files")
  T.contains(problem, "Too many open files", "the error")
  T.yes(T.values(function(_, _, fill) return #fill() end, { args = { fill } }) > 20, "without a limit")
end)

spec("a job with all its descriptors in use still hands a large result over", function()
  local size = T.values(function(_, _, fill)
    keep = fill()
    return ("x"):rep(MIB)
  end, { files = 10, args = { fill } })
  equal(#size, MIB, "the size")
end)

spec("a job writes files only up to its limit of size, which is an error there", function()
  local path = T.path()
  local ok, problem, code = T.values(function()
    local file = io.open(path, "w")
    file:setvbuf("no")
    assert(file:write(("x"):rep(1000)))
    local ok, problem, code = file:write(("y"):rep(1000))
    file:close()
    return ok, problem, code
  end, { fsize = 1500 })
  equal(ok, nil, "write")
  T.contains(problem, "File too large", "the error")
  equal(code, 27, "EFBIG")
  equal(#T.read(path), 1500, "the size of the file")
end)

spec("a job with a limit of file size still hands a large result over", function()
  equal(#T.values(function() return ("x"):rep(MIB) end, { fsize = 10 }), MIB, "the size")
end)

spec("a job with limits can be a host", function()
  local inner = T.values(function()
    local thread = require "llib".thread
    local value = thread.async(function() return 40 + 2 end):await()
    return value
  end, { memory = "64M", cpu = 5000, files = 64, fsize = "1K" })
  equal(inner, 42, "the nested job's value")
end)

spec("limits are a job's own: the next one has none of them", function()
  T.failure(T.job(hoard, { memory = "1M", cpu = 1000, files = 8, fsize = 0 }), "memory")
  local limits = T.values(function() return io.open("/proc/self/limits"):read("*a") end)
  for _, name in ipairs { "Max cpu time", "Max file size", "Max data size", "Max open files" } do
    equal(limits:match(name .. "%s+(%w+)"), T.read("/proc/self/limits"):match(name .. "%s+(%w+)"), name)
  end
end)

T.finish()
