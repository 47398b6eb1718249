-- Pools: code that jobs bring again. Its workers keep it, with what LuaJIT has compiled of it, and nothing else of a job.

local llib = require "llib"
local thread = llib.thread
local T = dofile((arg[0]:match("^(.*/)") or "./") .. "support.lua")
local spec, equal = T.spec, T.equal

-- The traces that LuaJIT compiles while `work` runs, and what it returns.
local function compiled(work, ...)
  local traces = 0
  local function count(what) if what == "stop" then traces = traces + 1 end end
  jit.attach(count, "trace")
  local result = work(...)
  jit.attach(count)
  return traces, result
end

local function needs_compiler()
  if not (jit and jit.status()) then T.skip("there is no compiler") end
end

local total = 0
local floor = math.floor
local function add(n) total = total + floor(n / 2) end
local function work(n)
  for i = 1, n do add(i % 3) end
  return total
end

spec("what was compiled for a job is there for the next one with equal functions", function()
  needs_compiler()
  local pool = T.scoped(thread.pool { size = 1 })
  for round = 1, 3 do
    local traces, result = pool:submit(compiled, work, 1000):await()
    equal(traces > 0, round == 1, "whether job " .. round .. " compiles anything")
    equal(result, 333, "its result")
  end
  local make = T.load("local x = 1 return function(n) local s = 0 for i = 1, n do s = s + x end return s end")
  for round = 1, 3 do
    -- Functions that were made anew, of equal code.
    local traces, result = pool:submit(compiled, make(), 1000):await()
    equal(traces, round == 1 and 1 or 0, "what job " .. round .. " compiles")
    equal(result, 1000, "its result")
  end
end)

spec("each job has variables of its own, shared as they are in the host", function()
  local pool = T.scoped(thread.pool { size = 1 })
  local count, other, kept = 0, 10, {}
  local function up() count = count + 1 kept[#kept + 1] = count return count end
  local function down() count = count - 1 return count, #kept, other end
  local function both(n)
    for _ = 1, n do up() end
    other = other + 1
    return up(), down()
  end
  for _ = 1, 5 do
    local a, b, c, d = pool:submit(both, 100):await()
    T.same({ a, b, c, d }, { 101, 100, 101, 11 })
  end
  count, other = 1000, "text"
  local function read() return count, other end
  for _ = 1, 3 do T.same({ pool:submit(function() up() return read() end):await() }, { 1001, "text" }) end
  equal(count, 1000, "the count here")
end)

spec("one function with other variables each time, and several at once", function()
  local pool = T.scoped(thread.pool { size = 1 })
  local function make(step)
    local sum = 0
    return function(n) for _ = 1, n do sum = sum + step end return sum end
  end
  local adders = {}
  for i = 1, 20 do adders[i] = make(i) end
  local function all(list) for i, f in ipairs(list) do list[i] = f(100) + f(100) end return list end
  for _ = 1, 3 do
    for i, result in ipairs(pool:submit(all, adders):await()) do equal(result, i * 300, "the sums of adder " .. i) end
    -- Lua 5.3 makes a float of it.
    T.yes(pool:submit(make "2", 100):await() == 200, "with a text for a number")
  end
end)

spec("variables that are shared in one job and not in the next are told apart", function()
  if not debug.upvaluejoin then T.skip("debug.upvaluejoin is missing") end
  local pool = T.scoped(thread.pool { size = 1 })
  local function pair(joined)
    local x, y = 0, 0
    local function set(v) y = v end
    local function sum(n) local s = 0 for i = 1, n do set(i) s = s + x end return s end
    for i = 1, 2 do
      if joined and debug.getupvalue(sum, i) == "x" then debug.upvaluejoin(sum, i, set, 1) end
    end
    return sum
  end
  for round = 1, 4 do
    for _ = 1, 3 do
      equal(pool:submit(pair(round % 2 == 0), 1000):await(), round % 2 == 0 and 500500 or 0, "the sum of round " .. round)
    end
  end
end)

spec("a job that forbids a function to be compiled, or changes its constants, does so for itself", function()
  needs_compiler()
  local pool = T.scoped(thread.pool { size = 1 })
  local up = 2
  local function loop(n) local s = 0 for _ = 1, n do s = s + up end return s end
  local function list() return ({ up, 20, 30 })[2] + up end
  local function forbid(f, n) jit.off(f, true) return (compiled(f, n)) end
  T.yes(pool:submit(compiled, loop, 1000):await() > 0, "the first job compiles something")
  equal(pool:submit(forbid, loop, 1000):await(), 0, "what the one that forbids it compiles")
  T.yes(pool:submit(compiled, loop, 1000):await() > 0, "the next one compiles it again")
  local function spoil(f)
    local changed = 0
    for i = -1, -10, -1 do
      local constant = require("jit.util").funck(f, i)
      if type(constant) == "table" then constant[2] = 99 changed = changed + 1 end
    end
    return changed, f()
  end
  for _ = 1, 2 do
    local changed, result = pool:submit(spoil, list):await()
    T.same({ changed, result }, { 1, 101 })
    equal(pool:submit(list):await(), 22, "what the next one makes of its constants")
  end
end)

spec("a job that replaces what the registry holds harms nobody", function()
  local pool = T.scoped(thread.pool { size = 1 })
  local up = 1
  local function get() up = up + 1 return up end
  -- Replaces the functions in the lists of functions that the registry holds, or such a list.
  local function spoil(value, whole)
    local registry, changed = debug.getregistry(), 0
    for i = 1, 100 do
      local list = rawget(registry, i)
      if type(list) == "table" and type(list[1]) == "function" then
        if whole then registry[i] = value end
        for k = 1, #list do list[k] = value end
        changed = changed + 1
      end
    end
    return changed
  end
  for _, value in ipairs { 1, print, get, function() end, function() return print end, function() return get, get end } do
    for _, whole in ipairs { false, true } do
      equal(pool:submit(get):await(), 2, "before")
      local changed = pool:submit(spoil, value, whole):await()
      if jit then equal(changed, 1, "the lists that are changed") end
      equal(pool:submit(get):await(), 2, "after")
    end
  end
end)

spec("a job that loads a module is compiled for it, after many others as well", function()
  needs_compiler()
  local pool = T.scoped(thread.pool { size = 1 })
  package.preload.pool_code_module = function()
    local numbers = { 1, 2, 3 }
    return { look = function(i) return numbers[i % 3 + 1] end }
  end
  local function look(n)
    local module, s = require "pool_code_module", 0
    for i = 1, n do s = s + module.look(i) end
    return s
  end
  -- LuaJIT would give up when a hundred traces had been for the functions of one job each.
  for i = 1, 150 do
    local traces, result = pool:submit(compiled, look, 1000):await()
    T.yes(traces > 0, "job " .. i .. " compiles its loop")
    equal(result, 2000, "the sum")
  end
  package.preload.pool_code_module = nil
end)

spec("compiled code keeps no values of earlier jobs alive", function()
  local pool = T.scoped(thread.pool { size = 1 })
  local up = 1
  local function big(n)
    local text = ("x"):rep(n)
    local function length(i) return #text + i + up end
    local s = 0
    for i = 1, 1000 do s = s + length(i) end
    return s
  end
  local function used() collectgarbage() collectgarbage() return collectgarbage("count") end
  local before = pool:submit(used):await()
  for _ = 1, 5 do pool:submit(big, 5e6):await() end
  local after = pool:submit(used):await()
  T.yes(after < before + 3000, ("KiB before: %.0f, after: %.0f"):format(before, after))
end)

spec("thousands of different functions leave a worker as large as it was", function()
  local pool = T.scoped(thread.pool { size = 1 })
  local function used() collectgarbage() collectgarbage() return collectgarbage("count") end
  local before
  for i = 1, 4000 do
    local make = T.load(("local up = ... return function(n) for _ = 1, n do up = up + %d end return up, 'text %d' end"):format(i, i))
    local sum, text = pool:submit(make(1), 100):await()
    equal(sum, 1 + 100 * i, "the sum")
    equal(text, "text " .. i, "the text")
    if i == 1000 then before = pool:submit(used):await() end
  end
  local after = pool:submit(used):await()
  T.yes(after < before * 1.1, ("KiB after 1,000 functions: %.0f, after 4,000: %.0f"):format(before, after))
end)

T.finish()
