-- A plugin: Prosody gives each an environment of its own, in which it finds the real globals.
package.cpath = "@MODULE@;" .. package.cpath
local thread = require "llib".thread

local function report(name, text)
  local file = assert(io.open("@SCRATCH@/" .. name .. ".new", "w"))
  file:write(tostring(text))
  file:close()
  os.rename("@SCRATCH@/" .. name .. ".new", "@SCRATCH@/" .. name)
end

local function double(n) return n * 2 end

local function run(n)
  local task = thread.async(function(res, rej, n) return double(n) end, { args = { n } })
  local value, problem = task:await(20000)
  return value or problem
end

@INIT@

-- It becomes a daemon at this event; timers come after that.
module:hook_global("server-started", function()
  local left = 3
  module:add_timer(0.01, function()
    local _, value = pcall(run, 50)
    left = left - 1
    if left > 0 then return 0.01 end
    report("timer", value)
  end)
end)
