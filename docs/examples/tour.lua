-- A tour of llib: jobs that return, crash, loop, get killed, and what is left of them.
--
--   cargo run --release -- docs/examples/tour.lua          (or: lua5.4 docs/examples/tour.lua)

local llib = require "llib"
local thread = llib.thread

local function line(what, outcome)
  print(string.format("%-34s %s", what, outcome))
end

-- Lua 5.1 has none.
local pack = table.pack or function(...) return { n = select("#", ...), ... } end

--- Awaits a task and tells its outcome in one line.
local function outcome(task)
  local results = pack(task:await(10000))
  if results[1] == nil and results[2] then
    return "✗ " .. tostring(results[2])
  end
  for i = 1, results.n do results[i] = tostring(results[i]) end
  return "✓ " .. table.concat(results, ", ", 1, results.n)
end

print("Each line is a job in a process of its own.\n")

-- A function travels with what it needs: upvalues, the globals it names, its arguments.
local greeting = "hello from process"
line("returns values", outcome(thread.async(function(res) return greeting, res.pid end)))

-- `res` answers from anywhere, and nothing after it runs.
line("answers through res", outcome(thread.async(function(res)
  pcall(function() res("done, from inside a pcall") end)
  return "never reached"
end)))

-- An error comes back with the script's own file and line.
line("raises an error", outcome(thread.async(function() local t; return t.field end)))
line("says no by itself", outcome(thread.async(function(_, rej) rej("not today") end)))

-- What would take a thread library's whole program down ends one process.
line("leaves with os.exit(3)", outcome(thread.async(function() os.exit(3) end)))
line("dies of a real SIGSEGV", outcome(thread.async(function(res)
  os.execute("kill -SEGV " .. res.pid)
end)))

-- An endless loop, and one that no debug hook could stop: a pattern that backtracks for ages in C.
line("loops past its timeout", outcome(thread.async(function() while true do end end, { timeout = 100 })))
line("hangs in a C function", outcome(thread.async(function()
  return (("a"):rep(300)):find((".-"):rep(8) .. "b")
end, { timeout = 100 })))

-- kill is a real signal: when it returns the process is gone, and whatever it started.
local task = thread.async(function()
  os.execute("sleep 1000 & sleep 1000")
end, { name = "has children of its own" })
thread.sleep(50)
task:kill()
line("is killed with its children", outcome(task))

-- Asking first.
local polite = thread.async(function(res)
  res:autoclose()
  while true do end
end)
polite:close(1000)
line("is asked to close", outcome(polite))

-- Many at once, each with an interpreter of its own.
local squares, sum = {}, 0
for i = 1, 100 do
  squares[i] = thread.async(function(_, _, n) return n * n end, { args = { i } })
end
for i = 1, 100 do sum = sum + squares[i]:await() end
line("a hundred together", "✓ the squares of 1 to 100 sum up to " .. sum)

-- A job may start jobs.
local function fib(n)
  if n < 2 then return n end
  local llib = require "llib"
  local left = llib.thread.async(function() return fib(n - 1) end)
  local right = llib.thread.async(function() return fib(n - 2) end)
  return left:await() + right:await()
end
line("jobs that start jobs", outcome(thread.async(function() return "fib(5) = " .. fib(5) end)))

-- What is left: only the supervisors and a few spare workers, which end with this program.
local deadline = os.time() + 5
while thread.stats().jobs > 0 and os.time() < deadline do thread.sleep(5) end
local left = thread.stats()
print(string.format("\nLeft of all that: %d jobs (%d spare workers wait for the next one).", left.jobs, left.spares))
