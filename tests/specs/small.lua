-- Small promises, each of its own kind.

local llib = require "llib"
local thread = llib.thread
local T = dofile((arg[0]:match("^(.*/)") or "./") .. "support.lua")
local spec, equal, same = T.spec, T.equal, T.same
local pack = T.pack

-- ---------------------------------------------------------------- args.n

spec("the n of args counts, as an integer or a float with an integer's value", function()
  for n, args in pairs { [3] = { 1, n = 3 }, [4] = { 1, 2, n = 4.0 }, [0] = { 1, 2, n = 0 }, [1] = { nil, n = 1 } } do
    equal(T.values(function(_, _, ...) return select("#", ...) end, { args = args }), n)
  end
  equal(T.values(function(_, _, ...) return select("#", ...) end, { args = { 1, 2 } }), 2)
end)

spec("any other n raises", function()
  for shown, n in pairs { ["2.5"] = 2.5, ["'5'"] = "5", ["-1"] = -1, boolean = true, table = {}, inf = math.huge } do
    T.raises_here(function() thread.async(function() end, { args = { 1, n = n } }) end,
      "bad argument #2 to 'async' (option 'args.n' expects an integer from 0 on, got " .. shown)
  end
  T.raises_here(function() thread.async(function() end, { args = { n = 1e9 } }) end, "too many arguments")
end)

-- ---------------------------------------------------------------- lists of pool:map

spec("map takes a list that a metatable makes up, and one that completes another", function()
  local pool = T.scoped(thread.pool { size = 1 })
  local function double(x) return x * 2 end
  local made = setmetatable({}, { __index = function(_, i) return i <= 4 and i or nil end, __len = function() return 4 end })
  same(pool:map(double, made), { 2, 4, 6, 8 })
  same(pool:map(double, setmetatable({ 1 }, { __index = { 5, 6, 7 }, __len = function() return 3 end })), { 2, 12, 14 })
  same(pool:map(double, setmetatable({ 1, 2, 3 }, { __len = function() return 2 end })), { 2, 4 })
  same(pool:map(double, setmetatable({}, { __len = function() return 0 end })), {})
  same(pool:map(double, setmetatable({ 1, 2 }, { __index = function() error "no such item" end })), { 2, 4 })
  same(pool:map(double, setmetatable({ 3 }, { __call = print })), { 6 })
end)

spec("what the list's metatable raises comes out of map, and so does a length that is none", function()
  local pool = T.scoped(thread.pool { size = 1 })
  local function list(len, index) return setmetatable({}, { __len = len, __index = index }) end
  local function same_again(x) return x end
  local thrown = {}
  local ok, got = pcall(pool.map, pool, same_again, list(function() return 2 end, function() error(thrown) end))
  T.yes(not ok and rawequal(got, thrown), "what __index raised")
  T.raises(function() pool:map(same_again, list(function() error("no length", 0) end)) end, "no length")
  T.raises(function() pool:map(same_again, list(function() return "many" end)) end, "object length is not an integer")
  T.raises(function() pool:map(same_again, list(function() return 1.5 end)) end, "object length is not an integer")
  T.bad_argument(function() pool:map(same_again, thread.buffer({ 1 })) end, 2, "map", "table", "llib.buffer")
end)

-- ---------------------------------------------------------------- autoclose and hooks

spec("autoclose leaves a job's hooks where they are", function()
  local jobs = {
    line = function(count) debug.sethook(count, "l") end,
    call = function(count) debug.sethook(count, "c") end,
    ["return"] = function(count) debug.sethook(count, "r") end,
    often = function(count) debug.sethook(count, "", 10) end,
    rarely = function(count) debug.sethook(count, "", 5000) end,
    both = function(count) debug.sethook(count, "l", 100) end,
  }
  local function work() local x = 0 for i = 1, 20000 do x = tostring(i) end return x end
  local pool = T.scoped(thread.pool { size = 1 })
  for name, set in pairs(jobs) do
    local function counted(auto)
      local calls = 0
      if jit then jit.off() jit.flush() end
      set(function() calls = calls + 1 end)
      if auto then res:autoclose() end
      work()
      local seen = calls
      debug.sethook()
      return seen
    end
    local expected, got = T.values(function() return counted(false) end), T.values(function() return counted(true) end)
    T.yes(expected > 0 and got > 0 and math.abs(got - expected) <= expected / 10 + 20, name .. ": " .. got .. " calls of " .. expected)
    T.yes(pool:submit(counted, true):await() > 0, name .. " in a pool")
    T.yes(pool:submit(counted, true):await() > 0, name .. " in the pool's next job")
  end
end)

spec("a hook that stays, or raises, does not keep close from ending the job", function()
  local task = T.scoped(thread.async(function(res)
    debug.sethook(function() end, "l")
    res:autoclose()
    while true do local _ = 1 end
  end))
  thread.sleep(20)
  task:close()
  T.failure(pack(task:await(5000)), "closed")
  local err = T.failure(T.job(function(res)
    debug.sethook(function() debug.sethook() error("from the hook", 0) end, "", 2000)
    res:autoclose()
    if jit then jit.off() jit.flush() end
    while true do end
  end), "error")
  equal(err.message, "from the hook")
end)

-- ---------------------------------------------------------------- processes that a job forks

-- A function that forks, for jobs.
local function fork_by()
  if jit then
    local ffi = require "ffi"
    ffi.cdef "int fork(void); int waitpid(int, int *, int);"
    return function() return ffi.C.fork() end, function(pid)
      local status = ffi.new "int[1]"
      ffi.C.waitpid(pid, status, 0)
      return bit.rshift(status[0], 8)
    end
  end
  local unistd, wait = require "posix.unistd", require "posix.sys.wait"
  return unistd.fork, function(pid) return select(3, wait.wait(pid)) end
end

spec("a job whose forked child comes to the end too is answered by the job alone", function()
  if not jit then T.optional "posix.unistd" end
  local pool = T.scoped(thread.pool { size = 1 })
  local endings = {
    -- What it returns goes nowhere, so it need not travel.
    [0] = { function() return "the child's" end, function() res("the child's") end, function() return coroutine.create(function() end) end },
    [1] = { function() error("the child's words", 0) end, function() rej("the child's words") end },
  }
  for code, ways in pairs(endings) do
    for _, ending in ipairs(ways) do
      local function job()
        local fork, wait = fork_by()
        local pid = fork()
        if pid == 0 then return ending() end
        return "the job's", wait(pid)
      end
      local task = T.scoped(thread.async(job, { stderr = "capture" }))
      T.results(pack(task:await(10000, true)), "the job's", code)
      if code == 1 then T.yes(#select(2, task:output()) > 0, "the child says what it died of") end
      T.results(pack(pool:submit(function() return (job()) end):await(10000)), "the job's")
      equal(pool:submit(function() return "next" end):await(10000), "next", "the pool's next job")
    end
  end
end)

T.finish()
