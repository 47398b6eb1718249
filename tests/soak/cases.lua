-- What the jobs of the long run do, how each of them ends, and how that is told from every other end.
--
-- A case has
--   share    how many of 1,000 jobs are of it
--   run      the job, given its number
--   given    a further argument, by number
--   right    whether its value is the right one; cases without it fail
--   kind     the failure it ends with; `signal` or `code` as well
--   act      what the host does before it awaits the job
--   patience milliseconds that the host awaits it, before it gives it up and has it killed
--   limited  whether it needs the time limit
--   hangs    whether it runs until another process ends it

local thread = require("llib").thread

local cases = {}

local function case(name, share, fields)
  fields.name, fields.share = name, share
  cases[#cases + 1] = fields
end

local function sleep_on() thread.sleep(1e9) end
local function kill(task) task:kill() end

case("plain", 0, { run = function(n) return 2 * n + 1 end, right = function(n, value) return value == 2 * n + 1 end })
case("global", 150, {
  run = function(n)
    if seen then return "a global of an earlier job: " .. tostring(seen) end
    seen = n
    return tostring(n)
  end,
  right = function(n, value) return value == tostring(n) end,
})
case("text", 50, {
  given = function(n) return ("%d."):format(n):rep(n % 1000) end,
  run = function(n, text) return #text, text:sub(-8) .. n end,
  right = function(n, length, tail)
    local text = ("%d."):format(n):rep(n % 1000)
    return length == #text and tail == text:sub(-8) .. n
  end,
})
case("large", 2, {
  run = function(n) return { n = n, text = ("x"):rep(100000 + n % 1000) } end,
  right = function(n, value) return value.n == n and #value.text == 100000 + n % 1000 end,
})
case("error", 10, { run = function(n) error("job " .. n) end, kind = "error" })
case("crash", 5, {
  run = function() os.execute("kill -SEGV $PPID") while true do end end, hangs = true, kind = "signal", signal = "SEGV",
})
case("exit", 5, { run = function() os.exit(3) end, kind = "exit", code = 3 })
case("killed asleep", 5, { run = sleep_on, hangs = true, act = kill, kind = "killed", signal = "KILL" })
case("killed at work", 5, {
  run = function() while true do end end, hangs = true, act = kill, kind = "killed", signal = "KILL",
})
case("past its limit", 5, { run = sleep_on, kind = "deadline", limited = true })
case("given up", 5, { run = sleep_on, hangs = true, kind = "timeout", patience = 5 })

local rest = 1000
for _, each in ipairs(cases) do rest = rest - each.share end
cases[1].share = rest

-- The case of a random number from 1 to 1000.
function cases.pick(number)
  for _, each in ipairs(cases) do
    number = number - each.share
    if number <= 0 then return each end
  end
end

-- How a job ended: "right"; "late" where it was to run until another process ends it, and the pool's limit of time in ms
-- came first; or else what is wrong with it.
function cases.judge(each, n, limit, value, ...)
  if each.right then
    if value == nil then return "it failed: " .. tostring((...)) end
    return each.right(n, value, ...) and "right" or "it returned " .. tostring(value)
  end
  local err = ...
  if value ~= nil then return "it returned " .. tostring(value) end
  if each.hangs and limit and err.kind == "deadline" and err.usage.wall >= limit then return "late" end
  if err.kind ~= each.kind then return ("it ended with '%s', not with '%s'"):format(tostring(err), each.kind) end
  if each.signal and err.signal ~= each.signal then return "it died of " .. tostring(err.signal) end
  if each.code and err.code ~= each.code then return "it ended with code " .. tostring(err.code) end
  if each.name == "error" and not tostring(err.message):find("job " .. n, 1, true) then
    return "it has another job's error: " .. tostring(err)
  end
  return "right"
end

return cases
