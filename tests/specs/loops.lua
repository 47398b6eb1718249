-- Tasks in event loops: the adapters of docs/examples/loops for luv, cqueues and copas.

local llib = require "llib"
local thread = llib.thread
local here = arg[0]:match("^(.*/)") or "./"
local T = dofile(here .. "support.lua")
local spec, equal = T.spec, T.equal
local pack = T.pack

-- Copas is Lua alone, and Debian has it only where Lua 5.1 looks.
package.path = package.path .. ";/usr/share/lua/5.1/?.lua"

-- How each loop is spoken to: `go(f)` runs f in a coroutine of it, `tick(f)` calls f every 10 ms until that
-- returns true, `run(over)` runs the loop until over() is true.
local loops = {}

function loops.luv()
  local uv = T.optional("luv")
  return {
    go = function(f) return coroutine.wrap(f)() end,
    tick = function(f)
      local timer = uv.new_timer()
      timer:start(10, 10, function() if f() then timer:close() end end)
    end,
    run = function(over) while not over() do uv.run("once") end end,
  }
end

function loops.cqueues()
  local cqueues = T.optional("cqueues")
  local loop = cqueues.new()
  return {
    go = function(f) loop:wrap(f) end,
    tick = function(f)
      loop:wrap(function() repeat cqueues.sleep(0.01) until f() end)
    end,
    run = function(over) while not over() do assert(loop:step(1)) end end,
  }
end

function loops.copas()
  local copas = T.optional("copas")
  local ticks = {}
  return {
    go = function(f) copas.addthread(f) end,
    tick = function(f) ticks[#ticks + 1] = f end,
    -- Older releases have no timers: the loop's own steps are the clock.
    run = function(over)
      while not over() do
        copas.step(0.01)
        for i = #ticks, 1, -1 do if ticks[i]() then table.remove(ticks, i) end end
      end
    end,
  }
end

-- Where everything has to be tested a module that is missing is a failure.
local optional = T.optional
local required = os.getenv("LLIB_TEST_REQUIRE_STOCK_LUA") == "1"
function T.optional(name)
  if not required then return optional(name) end
  local ok, module = pcall(require, name)
  return ok and module or T.fail("the module " .. name .. " is needed here: " .. tostring(module))
end

-- Whether a coroutine can wait inside of pcall. In Lua 5.1 it cannot; LuaJIT can.
local yields = coroutine.wrap(function() return pcall(coroutine.yield, true) end)() == true

-- A claim about each of the loops; what its coroutines raise is the claim's failure. `body` gets await, `go` and
-- `tick`, and the loop runs until all coroutines have ended.
local function claim(names, text, body)
  for name in names:gmatch("%a+") do
    spec(name .. ": " .. text, function()
      if not yields then T.skip("this Lua cannot yield across a pcall") end
      local loop = loops[name]()
      local await = dofile(here .. "../../docs/examples/loops/" .. name .. ".lua")
      local open, problem = 0, nil
      local function go(f)
        open = open + 1
        loop.go(function()
          -- After the first problem nothing more begins.
          local ok, raised = pcall(function() if not problem then f() end end)
          open = open - 1
          if not ok then problem = problem or raised end
        end)
      end
      body(await, go, loop.tick)
      loop.run(function() return open == 0 or problem end)
      if problem then error(problem, 0) end
    end)
  end
end

local ALL, TIMED = "luv cqueues copas", "luv cqueues"

-- A job that cannot hang.
local function job(f, options)
  options = options or {}
  options.timeout = options.timeout or 20000
  return thread.async(f, options)
end

claim(ALL, "a hundred jobs are awaited while a timer ticks", function(await, go, tick)
  -- A job ends when the timer has ticked for it. Were the loop to wait for a job, neither would ever end.
  local ticks, ticked, ended, sum = thread.channel(), 0, 0, 0
  tick(function()
    ticked = ticked + 1
    ticks:push(ticked)
    return ended == 100
  end)
  for _ = 1, 100 do
    go(function()
      local value, problem = await(job(function() return ticks:pop() end))
      T.type(value, "integer", "the value (" .. tostring(problem) .. ")")
      ended, sum = ended + 1, sum + value
    end)
  end
end)

claim(ALL, "values come with their nils, and the task is cleaned", function(await, go)
  go(function()
    local task = job(function() return 1, nil, "x", nil end)
    T.results(pack(await(task)), 1, nil, "x", nil)
    equal(task:status(), "cleaned", "the status")
  end)
end)

claim(ALL, "a job that has ended before is not waited for", function(await, go)
  local task = job(function() return "early" end)
  task:await(30000, true)
  go(function() equal(await(task), "early", "the value") end)
end)

claim(ALL, "failures come as from await", function(await, go)
  go(function() T.failure(pack(await(job(function() error("no") end))), "error") end)
  go(function() T.failure(pack(await(job(function() os.exit(3) end))), "exit") end)
  go(function()
    T.failure(pack(await(job(function() while true do end end, { cpu = 50 }))), "cpu")
  end)
  go(function()
    T.failure(pack(await(job(T.forever, { timeout = 50 }))), "deadline")
  end)
end)

claim(ALL, "a kill from another coroutine ends the wait", function(await, go, tick)
  local task = T.endless()
  go(function() T.failure(pack(await(task)), "killed") end)
  tick(function()
    task:kill()
    return true
  end)
end)

claim(TIMED, "a time that runs out gives a failure and keeps the task", function(await, go)
  go(function()
    local task = T.endless()
    T.failure(pack(await(task, 20)), "timeout")
    equal(task:status(), "running", "the status")
    T.failure(pack(await(task, 20, false)), "timeout")
    equal(task:status(), "cleaned", "the status after await(task, ms, false)")
  end)
end)

claim(TIMED, "a result in time is given, and kept if that is asked for", function(await, go)
  go(function()
    local task = job(function() return 7 end)
    equal(await(task, 30000, true), 7, "the value")
    equal(await(task, 30000), 7, "the value once more")
    equal(task:status(), "cleaned", "the status")
  end)
end)

claim(ALL, "tasks of a pool are awaited, also when a worker dies before their turn", function(await, go, tick)
  local pool = thread.pool { size = 1 }
  local ticks, ended = thread.channel(), 0
  tick(function()
    ticks:push(true)
    return ended == 12
  end)
  for i = 1, 12 do
    go(function()
      local value, problem = await(pool:submit(function(ticks, i) ticks:pop() if i == 5 then os.exit(7) end return i end, ticks, i))
      ended = ended + 1
      if i == 5 then equal(problem.kind, "exit", "the failure") else equal(value, i, "the value (" .. tostring(problem) .. ")") end
    end)
  end
end)

spec("luv: await outside of a coroutine raises", function()
  loops.luv()
  local await = dofile(here .. "../../docs/examples/loops/luv.lua")
  local task = T.scoped(T.endless())
  T.raises(function() await(task) end, "await is for coroutines")
end)

T.finish()
